/** What the library gives programs that embed policies: whole reviews, groups, hosts, logs, one family of errors, and its end. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runInNewContext } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  ArtifactError,
  fetchPolicy,
  hostCapabilities,
  loadPolicy,
  loadPolicyGroup,
  ModuleError,
  PolicyError,
  type PolicyLog,
  type PolicyOptions,
  PortreeveError,
  replaySession,
  ReviewShapeError,
} from "../mod.ts";
import { servePolicies } from "../policy_server/mod.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const path = (relative: string) => join(root, relative);
const LABELS = path("policies/required-labels/policy.wasm");
const PRIVILEGED = path("policies/pod-privileged/policy.wasm");
const SECCOMP = path("policies/default-seccomp/policy.wasm");
const QUOTA = path("policies/raw-quota/policy.wasm");
const CALLER = path("tests/policies/host-caller/policy.wasm");
const SETTINGS = { settings: { required: ["owner"] } };
const pod = (labels: Readonly<Record<string, string>>, spec: unknown = {}) => ({
  uid: "request-1",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  operation: "CREATE",
  userInfo: { username: "alice" },
  object: { apiVersion: "v1", kind: "Pod", metadata: { name: "web", labels }, spec },
});
const wrap = (request: unknown) => ({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request });
const error = async (promise: Promise<unknown>): Promise<PortreeveError> =>
  await promise.then(() => assert.unreachable("no error"), (reason) => reason) as PortreeveError;
const encoder = new TextEncoder();

function circle(): unknown {
  const itself: Record<string, unknown> = {};
  return itself["itself"] = itself;
}

let folder: string;
test.before(() => void (folder = mkdtempSync(join(tmpdir(), "embedding-"))));
test.after(() => rmSync(folder, { recursive: true, force: true }));

test("a whole review is taken as well as its request: as an object, as text, as bytes", async () => {
  await using policy = await loadPolicy(LABELS, SETTINGS);
  for (const labels of [{}, { owner: "me" }] as readonly Record<string, string>[]) {
    const expected = await policy.validate(pod(labels));
    assert.is(expected.allowed, "owner" in labels);
    const whole = wrap(pod(labels));
    for (
      const given of [
        whole,
        JSON.stringify(whole),
        encoder.encode(JSON.stringify(whole)),
        encoder.encode(JSON.stringify(whole)).buffer,
        new DataView(encoder.encode(JSON.stringify(whole)).buffer),
        runInNewContext(`new Uint8Array([${encoder.encode(JSON.stringify(whole))}])`),
        runInNewContext(`(${JSON.stringify(whole)})`),
        {
          request: pod(labels),
        },
      ]
    ) {
      assert.equal(await policy.validate(given), expected);
      assert.equal((await policy.review(given)).response.uid, "request-1");
    }
    assert.equal(await policy.review(pod(labels)), await policy.review(whole));
  }
});

test("the answer to a review is what a webhook sends: mode, message and mutation rule applied", async () => {
  const answer = async (
    module: string,
    options: PolicyOptions,
    request: unknown = pod({}, { containers: [] }),
  ) => {
    await using policy = await loadPolicy(module, { threads: 0, ...options });
    return await policy.review(wrap(request));
  };
  const rejected = await answer(LABELS, SETTINGS);
  assert.is(rejected.kind, "AdmissionReview");
  assert.is(rejected.apiVersion, "admission.k8s.io/v1");
  assert.is(rejected.response.allowed, false);
  assert.match(rejected.response.status!.message!, "owner");
  assert.is((await answer(LABELS, { ...SETTINGS, mode: "monitor" })).response.allowed, true);
  const reworded = (await answer(LABELS, { ...SETTINGS, message: "ask the platform team" })).response.status!;
  assert.is(reworded.message, "ask the platform team");
  assert.match(reworded.details!.causes![0]!.message!, "owner");
  const changed = (await answer(SECCOMP, {})).response;
  assert.is(changed.patchType, "JSONPatch");
  assert.match(atob(changed.patch!), "RuntimeDefault");
  const forbidden = (await answer(SECCOMP, { allowedToMutate: false, name: "seccomp" })).response;
  assert.is(forbidden.allowed, false);
  assert.match(
    forbidden.status!.message!,
    "Request rejected by policy seccomp. The policy attempted to mutate",
  );
  await using raw = await loadPolicy(QUOTA, { settings: { quotas: { t: { cpu: 1 } } }, threads: 0 });
  const request = { uid: "r", tenant: "t", resource: "cpu", amount: 5 };
  assert.equal(await raw.review({ request }), {
    response: { uid: "r", ...await raw.validate(request) },
  });
});

for (const threads of [0, 1]) {
  test(`a group is what its expression makes of its members (threads: ${threads})`, async () => {
    const members = {
      labels: { ...SETTINGS, policy: LABELS },
      unprivileged: { policy: pathToFileURL(PRIVILEGED) },
    };
    await using group = await loadPolicyGroup(members, {
      expression: "labels() || unprivileged()",
      message: "neither labelled nor unprivileged",
      name: "both",
      threads,
    });
    assert.equal([...group.metadata.keys()], ["labels", "unprivileged"]);
    const privileged = { containers: [{ name: "a", image: "i", securityContext: { privileged: true } }] };
    assert.is((await group.validate(pod({}, { containers: [] }))).allowed, true);
    assert.is((await group.validate(pod({ owner: "me" }, privileged))).allowed, true);
    const { response } = await group.review(wrap(pod({}, privileged)));
    assert.is(response.allowed, false);
    assert.is(response.status!.message, "neither labelled nor unprivileged");
    assert.equal(response.status!.details!.causes!.map(({ field }) => field), [
      "spec.policies.labels",
      "spec.policies.unprivileged",
    ]);
  });

  test(`a member that fails is not counted as a no (threads: ${threads})`, async () => {
    const echo = path("tests/vectors/verdict-echo.wasm");
    await using group = await loadPolicyGroup({ echo: { policy: echo } }, {
      expression: "!echo()",
      message: "no",
      threads,
      timeoutMs: 200,
    });
    const verdict = await group.validate({ ...pod({}), options: { verdict: "loop" } });
    assert.is(verdict.allowed, false);
    assert.match(verdict.status!.message!, "it depends on members that failed: echo");
    assert.is(
      (await group.validate({ ...pod({}), options: { verdict: { accepted: false } } })).allowed,
      true,
    );
  });
}

test("logs are streamed to every reader until the policy is closed, with who wrote them", async () => {
  const called: PolicyLog[] = [];
  const policy = await loadPolicy(CALLER, { name: "caller", onLog: (entry) => void called.push(entry) });
  const readers = [policy.logs(), policy.logs()].map(async (reader) => {
    const read: PolicyLog[] = [];
    for await (const entry of reader) read.push(entry);
    return read;
  });
  const log = (message: string) => ({
    namespace: "tracing",
    operation: "log",
    payload: { level: "info", message },
  });
  for (const message of ["one", "two"]) {
    await policy.validate({ ...pod({}), options: { hostCall: log(message) } });
  }
  await policy.close();
  const expected = ["one", "two"].map((message) => ["caller", "info", message]);
  for (const read of [called, ...await Promise.all(readers)]) {
    assert.equal(read.map(({ policy, level, message }) => [policy, level, message]), expected);
  }
  assert.equal(await policy.logs().next(), { done: true, value: undefined });
});

test("a reader that is late loses the oldest entries, and is told how many", async () => {
  const { LogStream } = await import("../admission/apply/log_stream.ts");
  const stream = new LogStream(undefined);
  const reader = stream.read();
  for (let index = 0; index < 5_500; index++) {
    stream.add({ policy: "p", level: "info", message: String(index), data: undefined });
  }
  stream.close();
  const read: string[] = [];
  for await (const { message } of reader) read.push(message);
  const [first, ...rest] = read;
  const dropped = Number(/^(\d+) log entries were dropped/.exec(first!)![1]);
  assert.ok(dropped > 0);
  assert.is(rest.length, 5_500 - dropped);
  assert.is(rest[0], String(dropped));
  assert.is(rest.at(-1), "5499");
});

test("a host answers what it was asked and granted; another policy with it gets nothing", async () => {
  using host = await hostCapabilities();
  const ask = async (options: PolicyOptions, hostCall: unknown) => {
    await using policy = await loadPolicy(CALLER, { host, ...options });
    return await policy.validate({ ...pod({}), options: { hostCall } });
  };
  const lookup = { namespace: "net", operation: "v1/dns_lookup_host", payload: "localhost" };
  const found = await ask({ hostCapabilities: ["net/*"] }, lookup);
  assert.is(found.allowed, true, found.status?.message);
  assert.match(found.status!.message!, /127\.0\.0\.1|::1/);
  assert.match(
    (await ask({ hostCapabilities: ["oci/*"] }, lookup)).status!.message!,
    "has not been granted access",
  );
  assert.match((await ask({}, lookup)).status!.message!, "has not been granted access");
  const get = {
    namespace: "kubernetes",
    operation: "get_resource",
    payload: { api_version: "v1", kind: "Pod", name: "a" },
  };
  const without = await ask({
    hostCapabilities: ["*"],
    contextAwareResources: [{ apiVersion: "v1", kind: "Pod" }],
  }, get);
  assert.match(without.status!.message!, "kube::Client was not initialized properly");
  assert.match(
    (await ask({ hostCapabilities: ["*"] }, get)).status!.message!,
    "has not been granted access to Kubernetes v1/Pod",
  );
});

test("a recorded session is replayed, with threads and without, and nothing else is answered", async () => {
  const file = join(folder, "session.yml");
  const exchange = `- type: Exchange
  request: |
    !DNSLookupHost
    host: example.test
  response:
    type: Success
    payload: '{"ips":["192.0.2.1"]}'
`;
  writeFileSync(file, exchange);
  const hostCall = { namespace: "net", operation: "v1/dns_lookup_host", payload: "example.test" };
  for (const threads of [0, 1]) {
    const host = await replaySession(file);
    await using policy = await loadPolicy(CALLER, { host, hostCapabilities: ["net/*"], threads });
    const ask = async (payload: string) =>
      (await policy.validate({ ...pod({}), options: { hostCall: { ...hostCall, payload } } })).status!
        .message!;
    assert.is(await ask("example.test"), '{"ips":["192.0.2.1"]}');
    assert.match(await ask("example.test"), "the list of recorded responses is empty");
  }
  writeFileSync(file, "- nothing");
  for (const wrong of [file, join(folder, "absent.yml"), pathToFileURL(file)]) {
    assert.is((await error(replaySession(wrong))).code, "unreadable_session");
  }
});

/** What goes wrong, and the code that programs branch on. */
const FAULTS:
  readonly (readonly [title: string, code: string, message: RegExp, run: () => Promise<unknown>])[] = [
    ["no such file", "unreadable_policy", /absent\.wasm/, () => loadPolicy(join(folder, "absent.wasm"))],
    ["a folder", "unreadable_policy", /cannot load the policy/, () => loadPolicy(folder)],
    ["a URL of another kind", "unreadable_policy", /ftp/, () => loadPolicy(new URL("ftp://127.0.0.1/a"))],
    ["no module", "invalid_module", /00 61 73 6d/, () => loadPolicy(encoder.encode("text"))],
    ["settings that are no JSON", "invalid_options", /settings/, () => loadPolicy(LABELS, { settings: "{" })],
    ["threads", "invalid_options", /threads is a whole number/, () => loadPolicy(LABELS, { threads: -1 })],
    ["threads without end", "invalid_options", /threads/, () => loadPolicy(LABELS, { threads: Infinity })],
    ["no time", "invalid_options", /timeoutMs/, () => loadPolicy(LABELS, { timeoutMs: 0 })],
    ["no memory", "invalid_options", /memoryMib/, () => loadPolicy(LABELS, { memoryMib: 0.5 })],
    ["an unknown capability", "invalid_options", /unknown segment "kubernets"/, async () => {
      using host = await hostCapabilities();
      return await loadPolicy(LABELS, { host, hostCapabilities: ["kubernets/*"] });
    }],
    [
      "grants without a host",
      "invalid_options",
      /give a host/,
      () => loadPolicy(LABELS, { hostCapabilities: ["*"] }),
    ],
    ["two answerers", "invalid_options", /onHostCall answers all/, async () => {
      using host = await hostCapabilities();
      return await loadPolicy(LABELS, { host, onHostCall: () => ({ ok: false, error: "" }) });
    }],
    [
      "an expression of nobody",
      "invalid_group",
      /Function not found: b/,
      () => loadPolicyGroup({ a: { policy: LABELS } }, { expression: "b()", message: "" }),
    ],
    [
      "raw and others in a group",
      "invalid_group",
      /raw policies/,
      () =>
        loadPolicyGroup({
          a: { ...SETTINGS, policy: LABELS },
          b: { settings: { quotas: { t: { cpu: 1 } } }, policy: QUOTA },
        }, {
          expression: "a() && b()",
          message: "",
        }),
    ],
    ["a request of the wrong shape", "invalid_review", /request\.operation/, async () => {
      await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads: 0 });
      return await policy.validate({ ...pod({}), operation: 3 });
    }],
    ["a review without a request", "invalid_review", /request/, async () => {
      await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads: 0 });
      return await policy.review({ request: null });
    }],
    ["text that is no JSON", "invalid_json", /./, async () => {
      await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads: 0 });
      return await policy.validate('{"uid"');
    }],
    ["a request that is undefined", "invalid_review", /undefined/, async () => {
      await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads: 0 });
      return await policy.validate(undefined);
    }],
    ["a request that refers to itself", "invalid_review", /can't be written as JSON/, async () => {
      await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads: 0 });
      const request: Record<string, unknown> = pod({});
      request["object"] = request;
      return await policy.validate(request);
    }],
    // A policy whose settings are all optional would be without them.
    ...([
      ["a promise", Promise.resolve({ required: ["a"] }), /^settings: .*a Promise: await it$/],
      ["a map", new Map([["required", ["a"]]]), /^settings: .*the class Map$/],
      ["bytes", encoder.encode("{}"), /^settings: they are bytes/],
      ["a buffer", encoder.encode("{}").buffer, /^settings: they are bytes/],
      ["a function", () => ({}), /^settings: .*a function$/],
      ["text that is no JSON", "owner", /^settings: they are no JSON: ./],
      ["a circle", circle(), /^settings: they can't be written as JSON: ./],
      ["a bigint", { required: 1n }, /^settings: they can't be written as JSON: ./],
      ["what throws nothing", {
        toJSON: () => {
          throw null;
        },
      }, /^settings: they can't be written as JSON: null$/],
    ] as [string, unknown, RegExp][]).map(([what, settings, message]): (typeof FAULTS)[number] => [
      `settings that are ${what}`,
      "invalid_options",
      message,
      () => loadPolicy(LABELS, { settings: settings as string }),
    ]),
    // A raw policy would be asked about `{}`.
    ...([
      ["a promise", Promise.resolve({}), /a Promise: await it$/],
      ["a map", new Map(), /the class Map$/],
      ["a response", new Response("{}"), /the class Response$/],
      ["a function", () => ({}), /a function$/],
    ] as [string, unknown, RegExp][]).flatMap(([what, request, message]) =>
      (["validate", "review"] as const).map((method): (typeof FAULTS)[number] => [
        `${method} of ${what}`,
        "invalid_review",
        message,
        async () => {
          await using raw = await loadPolicy(QUOTA, { settings: { quotas: { t: { cpu: 1 } } }, threads: 0 });
          return await raw[method](request);
        },
      ])
    ),
    ["no source", "invalid_options", /found undefined$/, () => loadPolicy(undefined as unknown as string)],
    [
      "a source that was not awaited",
      "invalid_options",
      /a Promise: await it$/,
      () => loadPolicy(Promise.resolve("") as unknown as string),
    ],
    [
      "a file's URL with half a path",
      "unreadable_policy",
      /whole path follows/,
      () => loadPolicy("file://x.wasm"),
    ],
    [
      "no session",
      "unreadable_session",
      /^cannot read the session .*absent\.yml: No such file/,
      () => replaySession(join(folder, "absent.yml")),
    ],
    ["settings that the policy refuses", "invalid_settings", /give required/, () => loadPolicy(LABELS)],
    [
      "settings that a member refuses",
      "invalid_settings",
      /^a: the policy refuses its settings/,
      () => loadPolicyGroup({ a: { policy: LABELS } }, { expression: "a()", message: "" }),
    ],
    ["a closed policy", "closed", /labels: it was closed/, async () => {
      const policy = await loadPolicy(LABELS, { ...SETTINGS, name: "labels" });
      policy[Symbol.dispose]();
      return await policy.validate(pod({}));
    }],
    [
      "a reference of the artifact room",
      "reference",
      /./,
      () => fetchPolicy("registry://UPPER CASE", { kind: "store", root: folder }),
    ],
    [
      "flags of the server",
      "server_not_started",
      /unexpected argument '--prot'/,
      () => servePolicies(["--prot", "1"]),
    ],
    ["help of the server", "server_not_started", /help/, () => servePolicies(["--help"])],
  ];

for (const [title, code, message, run] of FAULTS) {
  test(`one family of errors: ${title}`, async () => {
    const found = await error(run());
    assert.instance(found, PortreeveError);
    assert.is(found.code, code, found.message);
    assert.match(found.message, message);
    assert.not.match(found.message, "\n");
  });
}

test("the family's members can be told apart by their classes", async () => {
  assert.instance(await error(loadPolicy(folder)), PolicyError);
  assert.instance(await error(loadPolicy(encoder.encode("text"))), ModuleError);
  await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads: 0 });
  assert.instance(await error(policy.validate({})), ReviewShapeError);
  assert.instance(
    await error(fetchPolicy("registry://UPPER CASE", { kind: "store", root: folder })),
    ArtifactError,
  );
});

/** Runs a script that loads the library; returns how it ended. */
function script(source: string) {
  const file = join(folder, "script.ts");
  writeFileSync(
    file,
    `import { loadPolicy } from ${JSON.stringify(pathToFileURL(path("mod.ts")).href)};\n${source}`,
  );
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [file], {
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status, signal, stdout, stderr };
}

test("a policy that was not closed keeps no process alive, and what is asked is answered before the end", () => {
  const { status, signal, stdout, stderr } = script(`
    const policy = await loadPolicy(${
    JSON.stringify(LABELS)
  }, { settings: { required: ["owner"] }, threads: 2 });
    void policy.validate(${JSON.stringify(pod({}))}).then(({ allowed }) => console.log(allowed));
  `);
  assert.is(signal, null, "it ended by itself");
  assert.is(status, 0, stderr);
  assert.is(stdout, "false\n");
});

test("the server serves in a process of others, and leaves it when it is told to stop", async () => {
  const policies = join(folder, "policies.yml");
  writeFileSync(
    policies,
    JSON.stringify({ labels: { module: pathToFileURL(LABELS).href, settings: { required: ["owner"] } } }),
  );
  let log = "";
  const flags = [
    "--addr",
    "127.0.0.1",
    "--port",
    "0",
    "--readiness-probe-port",
    "0",
    "--policies",
    policies,
    "--workers",
    "1",
  ];
  const server = await servePolicies([...flags, "--policies-download-dir", folder], {
    env: {},
    output: (text) => {
      log += text;
      return 0;
    },
  });
  const answer = await fetch(`http://127.0.0.1:${server.port}/validate/labels`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(wrap(pod({}))),
  });
  assert.is(((await answer.json()) as { response: { allowed: boolean } }).response.allowed, false);
  await server.stop(1_000);
  assert.match(log, "policy server is ready");
  // A host's own code from strings is none of the server's business.
  const { Worker } = await import("node:worker_threads");
  const made = await new Promise((resolve) =>
    new Worker('require("node:worker_threads").parentPort.postMessage(new Function("return 42")())', {
      eval: true,
    })
      .on("message", resolve).on("error", resolve)
  );
  assert.is(made, 42);
});

test("a read-only or missing file of the policies is one error that names it", async () => {
  const found = await error(
    servePolicies(["--policies", join(folder, "absent.yml"), "--port", "0"], { env: {} }),
  );
  assert.match(found.message, "absent.yml");
  assert.instance(found, PortreeveError);
  assert.is(readFileSync(LABELS).length > 0, true);
});

test.run();
