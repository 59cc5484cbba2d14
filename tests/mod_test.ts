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
import { loadPolicy, ModuleError, Policy, PolicyError, type PolicyLogEntry, readMetadata } from "../mod.ts";

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
    await using wrong = await loadPolicy(LABELS, { settings: { requird: [] }, threads });
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
  const policy = await Policy.fromBytes(readFileSync(LABELS), SETTINGS);
  await policy.close();
  const error = await policy.validate(POD).catch((reason: Error) => reason);
  assert.instance(error, Error);
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
  ];
  for (const [name, values] of refused) {
    for (const value of values) {
      try {
        await loadPolicy(LABELS, { [name]: value });
        assert.unreachable(`${name}: ${value} is taken`);
      } catch (error) {
        assert.instance(error, PolicyError, `${name} ${value}: ${error}`);
        assert.match((error as Error).message, new RegExp(`^${name} is a .*; it is `));
      }
    }
  }
});

test.run();
