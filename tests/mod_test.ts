/** The embeddable library, as its users meet it: the README's example, every kind of source, with threads and without. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listTags, readSources } from "../artifact/mod.ts";
import { defaultingPatch, validatePolicy, validatePolicyServer } from "../crd/mod.ts";
import {
  fetchPolicy,
  hostCapabilities,
  loadPolicy,
  loadPolicyGroup,
  loadTrustRoot,
  ModuleError,
  parseVerificationConfig,
  Policy,
  PolicyError,
  type PolicyLogEntry,
  PortreeveError,
  readMetadata,
  verifyPolicy,
} from "../mod.ts";
import { servePolicies } from "../policy_server/mod.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const path = (relative: string) => join(root, relative);
const LABELS = path("policies/required-labels/policy.wasm");
const SETTINGS = { settings: { required: ["owner"] } };
const POD = {
  uid: "1",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  operation: "CREATE",
  userInfo: { username: "alice" },
  object: { apiVersion: "v1", kind: "Pod", metadata: { name: "web", labels: {} } },
};

function runScript(source: string): Promise<{ code: number | null; output: string }> {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-example-"));
  writeFileSync(join(folder, "example.ts"), source);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(folder, "example.ts")], { cwd: root });
    let output = "";
    child.stdout.on("data", (text) => output += text);
    child.stderr.on("data", (text) => output += text);
    child.on("close", (code) => {
      rmSync(folder, { recursive: true, force: true });
      resolve({ code, output });
    });
  });
}

test("the example in mod.ts runs as it stands, prints the verdict, and ends by itself", async () => {
  const [, example] = /```ts\n([\s\S]*?) \* ```/.exec(readFileSync(path("mod.ts"), "utf8"))!;
  const source = example!.replace(/^ \* ?/gm, "")
    .replace('"portreeve"', JSON.stringify(pathToFileURL(path("mod.ts")).href));
  const { code, output } = await runScript(source);
  assert.is(code, 0, output);
  assert.match(output, /^false .*owner/);
});

for (const threads of [0, 1, 2]) {
  test(`a policy judges, tells its metadata and takes or refuses its settings (threads: ${threads})`, async () => {
    await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads });
    assert.is(policy.metadata.executionMode, "kubewarden-wapc");
    assert.equal(await policy.validateSettings(), { valid: true });
    assert.is(await policy.protocolVersion(), "v1");
    const rejected = await policy.validate(POD);
    assert.is(rejected.allowed, false);
    assert.match(rejected.status?.message ?? "", /owner/);
    const labelled = {
      ...POD,
      object: { ...POD.object, metadata: { name: "web", labels: { owner: "me" } } },
    };
    assert.is((await policy.validate(JSON.stringify(labelled))).allowed, true);
    assert.is((await policy.validate(new TextEncoder().encode(JSON.stringify(labelled)))).allowed, true);
    const refused = await loadPolicy(LABELS, { settings: { requird: [] }, name: "labels", threads }).catch((
      error,
    ) => error);
    assert.is(refused.code, "invalid_settings");
    assert.match(refused.message, /^labels: the policy refuses its settings: unknown field `requird`/);
    await using wrong = await loadPolicy(LABELS, {
      settings: { requird: [] },
      validateSettings: false,
      threads,
    });
    const verdict = await wrong.validateSettings();
    assert.is(verdict.valid, false);
    assert.match(verdict.valid ? "" : verdict.message ?? "", /requird/);
  });

  test(`many requests at once are judged, each by itself (threads: ${threads})`, async () => {
    await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads });
    const verdicts = await Promise.all(Array.from({ length: 50 }, (_, index) =>
      policy.validate({
        ...POD,
        object: { metadata: { name: "x", labels: index % 2 === 0 ? { owner: "me" } : {} } },
      })));
    assert.equal(verdicts.map(({ allowed }) => allowed), verdicts.map((_, index) => index % 2 === 0));
  });

  test(`a policy that loops for ever is cut, and the next request is judged (threads: ${threads})`, async () => {
    await using policy = await loadPolicy(path("tests/vectors/verdict-echo.wasm"), {
      timeoutMs: 300,
      threads,
    });
    const ask = (verdict: unknown) => policy.validate({ ...POD, options: { verdict } });
    const cut = await ask("loop");
    assert.equal(cut.status, {
      message: "Policy execution interrupted because it exceeded the allowed execution time",
      code: 500,
    });
    assert.is((await ask({ accepted: true })).allowed, true);
  });

  test(`policies' logs arrive, and ungranted host calls are refused (threads: ${threads})`, async () => {
    const entries: PolicyLogEntry[] = [];
    await using caller = await loadPolicy(path("tests/policies/host-caller/policy.wasm"), {
      threads,
      onLog: (entry) => void entries.push(entry),
    });
    const ask = (hostCall: unknown) => caller.validate({ ...POD, options: { hostCall } });
    await ask({ namespace: "tracing", operation: "log", payload: { level: "info", message: "hello" } });
    assert.ok(
      entries.some(({ level, message }) => level === "info" && message === "hello"),
      JSON.stringify(entries),
    );
    const { status } = await ask({
      namespace: "net",
      operation: "v1/dns_lookup_host",
      payload: "example.com",
    });
    assert.match(
      status?.message ?? "",
      "has not been granted access to the 'net/v1/dns_lookup_host' host capability",
    );
  });
}

test("a mutation comes as a JSON Patch, numbers as they were written", async () => {
  await using policy = await loadPolicy(path("tests/vectors/verdict-echo.wasm"));
  const request = JSON.stringify({ ...POD, object: { a: 1 }, options: { verdict: "V" } })
    .replace('"V"', '{"accepted":true,"mutated_object":{"a":1,"b":123456789012345678,"c":1.0}}');
  const verdict = await policy.validate(request);
  assert.is(
    verdict.patch,
    '[{"op":"add","path":"/b","value":123456789012345678},{"op":"add","path":"/c","value":1.0}]',
  );
});

test("a raw policy judges any JSON", async () => {
  await using policy = await loadPolicy(path("policies/raw-quota/policy.wasm"), {
    settings: { quotas: { "team-shop": { "gpu-hours": 10 } } },
  });
  assert.is(policy.metadata.policyType, "raw");
  const request = readFileSync(path("policies/raw-quota/requests/within.json"), "utf8");
  assert.is(
    (await policy.validate(JSON.stringify(JSON.parse(request).request ?? JSON.parse(request)))).allowed,
    true,
  );
});

test("a policy is loaded from bytes, from a file URL and over HTTP", async () => {
  const bytes = readFileSync(LABELS);
  const server = createServer((request, response) => {
    response.writeHead(request.url === "/policy.wasm" ? 200 : 404).end(
      request.url === "/policy.wasm" ? bytes : "",
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    const sources = [
      new Uint8Array(bytes),
      pathToFileURL(LABELS),
      pathToFileURL(LABELS).href,
      `http://127.0.0.1:${port}/policy.wasm`,
    ];
    for (const source of sources) {
      await using policy = await loadPolicy(source, { ...SETTINGS, threads: 0 });
      assert.is((await policy.validate(POD)).allowed, false);
    }
    const missing = await loadPolicy(`http://127.0.0.1:${port}/absent`).catch((error: unknown) => error);
    assert.instance(missing, PolicyError);
    assert.match((missing as Error).message, "HTTP status 404");
  } finally {
    server.close();
  }
});

test("a policy that can't be got is one line: what, where, why, and what to do", async () => {
  const sources: readonly (readonly [source: unknown, code: string, message: RegExp])[] = [
    ["absent.wasm", "unreadable_policy", /absent\.wasm: there is no such file in \/.*$/],
    ["/absent/policy.wasm", "unreadable_policy", /: there is no such file$/],
    [path("policies"), "unreadable_policy", /: that is a folder: name the module in it$/],
    ["C:\\policies\\x.wasm", "unreadable_policy", /a path of Windows: write it as this system does/],
    ["policies\\x.wasm", "unreadable_policy", /a path of Windows/],
    ["file:///C:/policies/x.wasm", "unreadable_policy", /a path of Windows/],
    [new URL("file:///C:/policies/x.wasm"), "unreadable_policy", /a path of Windows/],
    [
      "registry://ghcr.io/a/b:v1",
      "unreadable_policy",
      /a reference to a registry: fetch it with fetchPolicy/,
    ],
    ["ghcr.io/a/b:v1", "unreadable_policy", /a reference to a registry/],
    ["ftp://127.0.0.1/x.wasm", "unreadable_policy", /ftp: is none of file:, http: and https:$/],
    [
      "http://127.0.0.1:1/x.wasm",
      "unreadable_policy",
      /cannot reach http:\/\/127\.0\.0\.1:1: .*(refused|bad port)/i,
    ],
    ["http://absent.invalid/x.wasm", "unreadable_policy", /cannot reach http:\/\/absent\.invalid: ./],
    [new ArrayBuffer(8), "invalid_options", /a Uint8Array.*found the class ArrayBuffer$/],
    [undefined, "invalid_options", /found undefined$/],
  ];
  for (const [source, code, message] of sources) {
    const error = await loadPolicy(source as string, { threads: 0 }).catch((reason) => reason);
    assert.instance(error, PolicyError, String(source));
    assert.is(error.code, code, error.message);
    assert.match(error.message, message);
    assert.not.match(error.message, "\n");
  }
});

test("what is no policy is refused with the reason", async () => {
  const refused = async (source: Uint8Array | string) =>
    await loadPolicy(source).catch((error: Error) => error);
  const noFile = await refused("/nonexistent/policy.wasm");
  assert.instance(noFile, PolicyError);
  const noModule = await refused(new TextEncoder().encode("not wasm"));
  assert.instance(noModule, ModuleError);
  assert.match((noModule as Error).message, "does not begin with the bytes 00 61 73 6d");
});

test("a request of the wrong shape is an error that names the member", async () => {
  await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads: 0 });
  const error = await policy.validate({ ...POD, operation: 3 }).catch((reason: Error) => reason);
  assert.match((error as Error).message, "request.operation: expected a string, found a number");
});

test("metadata is read from bytes alone", () => {
  assert.is(readMetadata(readFileSync(LABELS))?.policyType, "kubernetes");
  assert.is(readMetadata(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)), undefined);
});

test("a closed policy ends with an error instead of hanging", async () => {
  for (const threads of [0, 1]) {
    const policy = await Policy.fromBytes(readFileSync(LABELS), { ...SETTINGS, name: "labels", threads });
    const group = await loadPolicyGroup({ labels: { ...SETTINGS, policy: LABELS } }, {
      expression: "labels()",
      message: "no",
      name: "labels",
      threads,
    });
    await policy.close();
    await group.close();
    const uses: Readonly<Record<string, () => Promise<unknown>>> = {
      validate: () => policy.validate(POD),
      "validate no request": () => policy.validate(""),
      review: () => policy.review({}),
      validateSettings: () => policy.validateSettings(),
      protocolVersion: () => policy.protocolVersion(),
      "a group's validate": () => group.validate(POD),
      "a group's review": () => group.review({}),
    };
    for (const [name, use] of Object.entries(uses)) {
      const error = await use().then(() => undefined, (reason) => reason);
      assert.instance(error, PolicyError, `${name}: ${error}`);
      assert.is(error.code, "closed", name);
      assert.is(error.message, "labels: it was closed", name);
    }
  }
});

test("what still runs when the policy is closed ends with the same error", async () => {
  const policy = await loadPolicy(path("tests/vectors/verdict-echo.wasm"), { timeoutMs: 60_000 });
  const running = policy.validate({ ...POD, options: { verdict: "loop" } }).then(
    () => undefined,
    (reason) => reason,
  );
  await policy.close();
  assert.is((await running).code, "closed");
});

test("a fault in a request is told where it stands in what was given, with no review put around it", async () => {
  await using policy = await loadPolicy(LABELS, { ...SETTINGS, threads: 0 });
  await using raw = await loadPolicy(path("policies/raw-quota/policy.wasm"), {
    settings: { quotas: { t: { cpu: 1 } } },
    threads: 0,
  });
  const faults: readonly (readonly [text: string, at: number])[] = [
    ["", 0],
    ["  ", 2],
    ["x", 0],
    ["{", 1],
    ['{"uid":}', 7],
    ['{"a":1}}', 7],
    ['"a" 1', 4],
    ["[1,]", 3],
    ['{"request":}', 11],
  ];
  for (const [text, at] of faults) {
    for (
      const ask of [
        () => policy.validate(text),
        () => policy.review(text),
        () => policy.validate(new TextEncoder().encode(text)),
        () => raw.validate(text),
        () => raw.review(text),
      ]
    ) {
      const error = await ask().then(() => undefined, (reason) => reason);
      // The first fault from the left: where an object must be, a list or a text is one.
      if (error?.code === "invalid_review") assert.match(error.message, /at line 1 column 1$/, text);
      else {
        assert.is(error?.code, "invalid_json", `${text}: ${error}`);
        assert.is(error.at, at, text);
      }
    }
  }
  const shape = await policy.validate('{"uid": 1}').then(() => undefined, (reason) => reason);
  assert.is(shape.message, "request.uid: expected a string, found a number at line 1 column 9");
  assert.is((await raw.validate("7")).allowed, false);
});

test("settings are one JSON object, whoever wrote them: they stand beside the request that the policy judges", async () => {
  let deep: object = {};
  for (let level = 0; level < 600; level++) deep = { a: deep };
  const cyclic: Record<string, unknown> = {};
  cyclic["a"] = cyclic;
  const refused: Readonly<Record<string, unknown>> = {
    "another request behind them": '{},"request":{"uid":"forged"}',
    "a brace too many": "{}}",
    "a comma": "{},",
    "no JSON": "{a:1}",
    "nothing": "",
    "a list": "[1]",
    "a list as a value": [1],
    "null": null,
    "a text in JSON": '"a"',
    "a function": () => 1,
    "what becomes nothing": { toJSON: () => undefined },
    "what throws": {
      toJSON() {
        throw new Error("x".repeat(100_000));
      },
    },
    "a bigint": { a: 1n },
    "a cycle": cyclic,
    "many levels": deep,
    "many levels in text": `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
  };
  for (const [name, settings] of Object.entries(refused)) {
    try {
      await loadPolicy(LABELS, { settings: settings as string, threads: 0 });
      assert.unreachable(`${name} is taken`);
    } catch (error) {
      assert.instance(error, PolicyError, `${name}: ${error}`);
      assert.match((error as Error).message, /^settings: they /, name);
      assert.ok((error as Error).message.length < 700, name);
    }
  }
});

test("options that can't be meant are refused before anything is made", async () => {
  const refused: readonly (readonly [name: string, values: readonly unknown[]])[] = [
    ["threads", [-1, 0.5, NaN, Infinity, 1e9, "2"]],
    ["memoryMib", [0, -1, 0.5, NaN, 1e9, "64"]],
    ["timeoutMs", [0, -1, NaN, "100"]],
    ["mode", ["monitr", true]],
    ["message", [1]],
    ["name", [1]],
    ["allowedToMutate", ["no"]],
    ["validateSettings", ["no"]],
    ["hostCapabilities", ["net/*", [1]]],
    ["contextAwareResources", [["Pod"], [{ kind: "Pod" }]]],
    ["host", [Promise.resolve(), true]],
    ["onHostCall", [{}]],
    ["onLog", ["stdout"]],
    ["onThreadError", [1]],
  ];
  for (const [name, values] of refused) {
    for (const value of values) {
      try {
        await loadPolicy(LABELS, { [name]: value });
        assert.unreachable(`${name}: ${value} is taken`);
      } catch (error) {
        assert.instance(error, PolicyError, `${name} ${value}: ${error}`);
        assert.is((error as PolicyError).code, "invalid_options");
        assert.match((error as Error).message, new RegExp(`^${name} is .*; it is `));
      }
    }
  }
});

const NO_OPTIONS = "settings" as unknown as object;
const STORE = { kind: "store", root: "/nonexistent" } as const;

/** Every function of the library that takes options, with one that is misspelt; and the one that was meant. */
const MISSPELT: readonly (readonly [title: string, meant: string, code: string, ask: () => unknown])[] = [
  ["a policy", "settings", "invalid_options", () => loadPolicy(LABELS, { setings: {} } as object)],
  [
    "a policy's bytes",
    "threads",
    "invalid_options",
    () => Policy.fromBytes(readFileSync(LABELS), { thread: 1 } as object),
  ],
  [
    "a group",
    "expression",
    "invalid_options",
    () => loadPolicyGroup({ a: { policy: LABELS } }, { expresion: "a()", message: "" } as never),
  ],
  [
    "a group's member",
    "policy",
    "invalid_options",
    () => loadPolicyGroup({ a: { polcy: LABELS } as never }, { expression: "a()", message: "" }),
  ],
  ["a host", "kubeconfig", "invalid_options", () => hostCapabilities({ kubeConfig: true } as object)],
  [
    "a host's registries",
    "dockerConfigDir",
    "invalid_options",
    () => hostCapabilities({ registry: { dockerConfigDr: "" } as object }),
  ],
  [
    "a host's trust root",
    "cacheDir",
    "invalid_options",
    () => hostCapabilities({ trustRoot: { kind: "tuf", cachedir: "" } as never }),
  ],
  [
    "fetching",
    "sources",
    "invalid_options",
    () => fetchPolicy("ghcr.io/a/b:v1", STORE, { source: "" } as object),
  ],
  [
    "limits",
    "idleMs",
    "invalid_options",
    () => fetchPolicy("ghcr.io/a/b:v1", STORE, { limits: { idelMs: 1 } as object }),
  ],
  [
    "a destination",
    "root",
    "invalid_options",
    () => fetchPolicy("ghcr.io/a/b:v1", { kind: "store", rot: "" } as never),
  ],
  [
    "verifying",
    "onEvent",
    "invalid_options",
    () =>
      verifyPolicy(
        "ghcr.io/a/b:v1",
        parseVerificationConfig("apiVersion: v1\nallOf: [{kind: githubAction, owner: a}]"),
        undefined,
        { onevent: () => {} } as object,
      ),
  ],
  [
    "a trust root",
    "offline",
    "invalid_options",
    () => loadTrustRoot({ kind: "tuf", cacheDir: "/nonexistent", ofline: true } as never),
  ],
  ["a registry", "signal", "invalid_options", () => listTags("ghcr.io/a/b", { signl: 1 } as object)],
  [
    "sources",
    "onEvent",
    "invalid_options",
    () => readSources("/nonexistent", { onevent: () => {} } as object),
  ],
  ["the server", "output", "server_not_started", () => servePolicies([], { outputs: () => 0 } as object)],
  ["the server's flags", "--port", "server_not_started", () => servePolicies(["--prot", "1"])],
];
for (const [title, meant, code, ask] of MISSPELT) {
  test(`a misspelt option is refused, with the one that was meant: ${title}`, async () => {
    const error = await Promise.resolve().then(ask).then(() => undefined, (reason) => reason);
    assert.instance(error, PortreeveError, String(error));
    assert.is(error.code, code, error.message);
    assert.match(
      error.message,
      new RegExp(`(did you mean "${meant}"\\?|a similar argument exists: '${meant}')$`),
    );
    assert.not.match(error.message, "\n");
  });
}

test("what is given to the rules of custom resources is refused where it is misspelt", () => {
  const metadata = { name: "a" };
  const asks: readonly (readonly [meant: string, ask: () => unknown])[] = [
    ["old", () => validatePolicy({ metadata, spec: {} } as never, { olds: {} } as object)],
    ["old", () => validatePolicyServer({ metadata, spec: {} } as never, { olds: {} } as object)],
    ["finalizer", () => defaultingPatch("PolicyServer", { metadata }, { finaliser: false } as object)],
  ];
  for (const [meant, ask] of asks) {
    assert.throws(
      ask,
      (error: Error) => error instanceof TypeError && error.message.endsWith(`did you mean "${meant}"?`),
    );
  }
});

test("options that are none, or nowhere near one, are refused with what there is", async () => {
  const unlike = await loadPolicy(LABELS, { colour: "red" } as object).catch((reason) => reason);
  assert.match(unlike.message, /^there is no option "colour": the options are timeoutMs, .*settings/);
  const none = await loadPolicy(LABELS, NO_OPTIONS).catch((reason) => reason);
  assert.is(none.message, 'the options are an object; they are "settings"');
  const sources = await fetchPolicy("ghcr.io/a/b:v1", STORE, { sources: "sources.yml" } as object).catch((
    reason,
  ) => reason);
  assert.match(sources.message, /^sources is what readSources\(path\) gives, awaited/);
  const places: readonly (readonly [place: unknown, said: RegExp])[] = [
    [{ kind: "shop", root: "" }, /^destination: its kind is store or file$/],
    ["here", /^destination: its kind is store or file$/],
    [{ kind: "store" }, /^destination: it needs root$/],
    [{ kind: "file", root: "" }, /^destination: there is no option "root": the options are kind, path$/],
  ];
  for (const [place, said] of places) {
    const error = await fetchPolicy("ghcr.io/a/b:v1", place as never).catch((reason) => reason);
    assert.is(error.code, "invalid_options");
    assert.match(error.message, said);
  }
  for (const members of [{}, [], null, "a"]) {
    const error = await loadPolicyGroup(members as never, { expression: "true", message: "" }).catch((
      reason,
    ) => reason);
    assert.is(error.code, "invalid_group");
    assert.match(error.message, /^group: it has no members: give at least one/);
  }
  const flags = await servePolicies("--port" as never).catch((reason) => reason);
  assert.is(flags.code, "server_not_started");
  assert.match(flags.message, /^the flags are a list of strings/);
});

test.run();
