/** Execution mode `extism` (`docs/extism_policies.md`): plug-ins of the official kits, and plug-ins that misbehave. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { HostCall, HostCallAnswer, PolicyLogEntry } from "../../mod.ts";
import { loadGuest } from "../load_guest.ts";
import { wasm, withMetadata } from "./wasm_text.ts";

const committed = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../policies/${name}/policy.wasm`, import.meta.url)));
const RUST = committed("extism-rust");
const ASSEMBLYSCRIPT = committed("extism-assemblyscript");
const INTERRUPTED = "Policy execution interrupted because it exceeded the allowed execution time";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function request(kind: string, object: unknown) {
  return {
    uid: "1",
    kind: { group: "", version: "v1", kind },
    resource: { group: "", version: "v1", resource: `${kind.toLowerCase()}s` },
    operation: "CREATE",
    userInfo: {},
    object,
  };
}

const pod = (...images: readonly string[]) =>
  request("Pod", { spec: { containers: images.map((image) => ({ image })) } });
const ingress = (...hosts: readonly string[]) =>
  request("Ingress", { spec: { rules: hosts.map((host) => ({ host })) } });

/**
 * A plug-in in Wasm text whose `validate` runs `body`, then gives the 17 bytes at address 0, `{"accepted":true}`. `declarations`
 * stand beside it.
 */
function plugin(body: string, declarations = "", imports = ""): Uint8Array {
  const text = `(module
    (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
    (import "extism:host/env" "free" (func $free (param i64)))
    (import "extism:host/env" "length" (func $length (param i64) (result i64)))
    (import "extism:host/env" "load_u8" (func $load (param i64) (result i32)))
    (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
    (import "extism:host/env" "output_set" (func $output (param i64 i64)))
    (import "extism:host/env" "error_set" (func $error (param i64)))
    (import "extism:host/env" "input_length" (func $input_length (result i64)))
    (import "extism:host/env" "input_load_u8" (func $input (param i64) (result i32)))
    (import "extism:host/env" "var_get" (func $var_get (param i64) (result i64)))
    (import "extism:host/env" "var_set" (func $var_set (param i64 i64)))
    (import "extism:host/env" "config_get" (func $config (param i64) (result i64)))
    (import "extism:host/env" "http_request" (func $http (param i64 i64) (result i64)))
    (import "extism:host/env" "log_warn" (func $warn (param i64)))
    (import "extism:host/user" "host_call" (func $host_call (param i64) (result i64)))
    ${imports}
    (memory (export "memory") 1)
    (data (i32.const 0) "{\\"accepted\\":true}")
    (data (i32.const 32) "{\\"accepted\\":false,\\"message\\":\\"x\\"}")
    ${declarations}
    (func $block (param $from i32) (param $count i32) (result i64)
      (local $at i64) (local $index i32)
      (local.set $at (call $alloc (i64.extend_i32_u (local.get $count))))
      (block $done
        (loop $next
          (br_if $done (i32.ge_u (local.get $index) (local.get $count)))
          (call $store (i64.add (local.get $at) (i64.extend_i32_u (local.get $index)))
            (i32.load8_u (i32.add (local.get $from) (local.get $index))))
          (local.set $index (i32.add (local.get $index) (i32.const 1)))
          (br $next)))
      (local.get $at))
    (func $answer (param $from i32) (param $count i32)
      (call $output (call $block (local.get $from) (local.get $count)) (i64.extend_i32_u (local.get $count))))
    (func (export "validate") (result i32)
      ${body}
      (call $answer (i32.const 0) (i32.const 17))
      (i32.const 0))
    (func (export "validate_settings") (result i32) (i32.const 0)))`;
  return withMetadata(
    wasm(text),
    JSON.stringify({ rules: [], mutating: true, executionMode: "extism", policyType: "raw" }),
  );
}

/** The message of the verdict of such a plug-in, without the prefix. */
async function failureOf(module: Uint8Array, timeoutMs = 10_000): Promise<string> {
  await using policy = await loadGuest(module, { timeoutMs });
  const { allowed, status } = await policy.validate("{}");
  assert.not.ok(allowed);
  assert.is(status?.code, 500);
  return status!.message!.replace("internal server error: Extism plug-in failure: ", "");
}

test("the examples of the documentation are the plug-ins that are tested here", () => {
  const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  const sources = [
    "extism-assemblyscript/host_call.ts",
    "extism-assemblyscript/policy.ts",
    "extism-rust/src/lib.rs",
  ]
    .map((path) => text(`tests/policies/${path}`)).join("\n");
  const blocks = [...text("docs/extism_policies.md").matchAll(/```(?:AssemblyScript|rust)\n(.*?)```/gs)];
  assert.is(blocks.length, 5);
  for (const [, block] of blocks) assert.ok(sources.includes(block!.trimEnd()), block);
});

test("the AssemblyScript plug-in is built by what npm installs, to the bytes that are committed", async () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "extism-"));
  try {
    const built = join(folder, "policy.wasm");
    await promisify(execFile)(process.execPath, [
      ...[
        join(root, "node_modules/assemblyscript/bin/asc.js"),
        "tests/policies/extism-assemblyscript/policy.ts",
      ],
      ...["--baseDir", root, "--outFile", relative(root, built), "--transform", "json-as"],
      ...["--optimize", "--runtime", "stub", "--disableWarning"],
    ], { cwd: root });
    const code = readFileSync(built);
    assert.ok(code.equals(ASSEMBLYSCRIPT.subarray(0, code.length)), "npm run build:policies was forgotten");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the Rust kit: a host call and a mutation", async () => {
  const calls: HostCall[] = [];
  await using policy = await loadGuest(RUST, {
    settings: { allowedRegistries: ["registry.example"], pinDigests: true },
    onHostCall: (call): HostCallAnswer => {
      calls.push(call);
      return { ok: true, payload: encoder.encode('{"digest":"sha256:abc"}') };
    },
  });
  assert.equal(await policy.validateSettings(), { valid: true });
  const verdict = await policy.validate(pod("registry.example/a:1", "registry.example/b@sha256:1"));
  assert.ok(verdict.allowed);
  assert.equal(JSON.parse(verdict.patch!), [{
    op: "replace",
    path: "/spec/containers/0/image",
    value: "registry.example/a:1@sha256:abc",
  }]);
  assert.is(calls.length, 1);
  assert.is(`${calls[0]!.namespace}/${calls[0]!.operation}`, "oci/v1/manifest_digest");
  assert.is(decoder.decode(calls[0]!.payload), '"registry.example/a:1"');
});

test("the Rust kit: logging, errors, the protocol's version", async () => {
  const logged: PolicyLogEntry[] = [];
  await using policy = await loadGuest(RUST, {
    settings: { allowedRegistries: ["registry.example"], pinDigests: true },
    onLog: (entry) => logged.push(entry),
    onHostCall: () => ({ ok: false, error: "the registry is away" }),
  });
  assert.is((await policy.validate(pod("other/a"))).status?.code, 403);
  assert.ok(logged.some(({ level, message }) => level === "info" && message === "rejected other/a"));
  assert.equal((await policy.validate(pod("registry.example/a"))).status, {
    message: "internal server error: Extism plug-in failure: the registry is away",
    code: 500,
  });
  assert.is(await policy.protocolVersion(), "v1");
});

test("the AssemblyScript kit: a host call", async () => {
  const calls: string[] = [];
  await using policy = await loadGuest(ASSEMBLYSCRIPT, {
    settings: { domains: ["example.com"], mustResolve: true },
    onHostCall: ({ namespace, operation, payload }): HostCallAnswer => {
      calls.push(`${namespace}/${operation} ${decoder.decode(payload)}`);
      return decoder.decode(payload) === '"gone.example.com"'
        ? { ok: false, error: "unknown host" }
        : { ok: true, payload: encoder.encode('{"ips":["::1"]}') };
    },
  });
  assert.ok((await policy.validate(ingress("a.example.com"))).allowed);
  const verdict = await policy.validate(ingress("a.example.com", "gone.example.com"));
  assert.is(verdict.status?.message, `the host "gone.example.com" can't be looked up: unknown host`);
  assert.equal(calls, [
    'net/v1/dns_lookup_host "a.example.com"',
    'net/v1/dns_lookup_host "a.example.com"',
    'net/v1/dns_lookup_host "gone.example.com"',
  ]);
  assert.is(await policy.protocolVersion(), "v1", "also where the plug-in doesn't say");
});

test("the AssemblyScript kit: what its runtime aborts with is the error", async () => {
  await using policy = await loadGuest(ASSEMBLYSCRIPT, { settings: '{"domains":[7]}' });
  const settings = await policy.validateSettings();
  assert.not.ok(settings.valid);
  assert.match(settings.valid ? "" : settings.message!, /^Extism plug-in failure: abort: .+:\d+:\d+$/);
});

test("many requests at once, large ones among them, each get their own answer", async () => {
  await using policy = await loadGuest(RUST, {
    settings: { allowedRegistries: ["r"] },
    threads: 2,
    timeoutMs: 20_000,
  });
  const verdicts = await Promise.all(Array.from({ length: 40 }, (_, index) => {
    const images = Array.from({ length: index * 50 }, (_, image) => `r/${image}`);
    return policy.validate(pod(...images, `x${index}/y`));
  }));
  verdicts.forEach(({ status }, index) => assert.match(status!.message!, `the image x${index}/y comes`));
});

test("nothing of one call is left for the next: memory, globals, blocks, variables", async () => {
  const module = plugin(
    `
      ;; a variable, a global, a byte of memory, the byte at address 0 of Extism's memory, the block of an earlier call
      (if (i64.ne (call $var_get (call $block (i32.const 2) (i32.const 8))) (i64.const 0)) (then unreachable))
      (call $var_set (call $block (i32.const 2) (i32.const 8)) (call $block (i32.const 0) (i32.const 17)))
      (if (i64.eq (call $var_get (call $block (i32.const 2) (i32.const 8))) (i64.const 0)) (then unreachable))
      (if (global.get $seen) (then unreachable))
      (global.set $seen (i32.const 1))
      (if (i32.load8_u (i32.const 5000)) (then unreachable))
      (i32.store8 (i32.const 5000) (i32.const 1))
      (if (i64.ne (call $length (i64.shl (i64.const 30) (i64.const 32))) (i64.const 0)) (then unreachable))
      (drop (memory.grow (i32.const 1)))
      (if (i32.ne (memory.size) (i32.const 2)) (then unreachable))
      (loop $again
        (drop (call $alloc (i64.const 10)))
        (br_if $again (i32.lt_u (global.get $count) (i32.const 40))
          (global.set $count (i32.add (global.get $count) (i32.const 1)))))`,
    "(global $seen (mut i32) (i32.const 0)) (global $count (mut i32) (i32.const 0))",
  );
  await using policy = await loadGuest(module);
  for (let turn = 0; turn < 5; turn++) {
    const verdict = await policy.validate("{}");
    assert.ok(verdict.allowed, JSON.stringify(verdict));
  }
});

test("what a plug-in freed or never had is out of its reach", async () => {
  const unallocated = /used Extism memory that it has not allocated/;
  assert.match(await failureOf(plugin("(drop (call $load (i64.const 0)))")), unallocated);
  assert.match(await failureOf(plugin("(drop (call $load (i64.const -1)))")), unallocated);
  assert.match(
    await failureOf(plugin("(drop (call $load (i64.add (call $alloc (i64.const 4)) (i64.const 4))))")),
    unallocated,
  );
  assert.match(
    await failureOf(plugin("(call $store (i64.shl (i64.const 77) (i64.const 32)) (i32.const 1))")),
    unallocated,
  );
  assert.match(
    await failureOf(plugin(
      `(local $at i64) (local.set $at (call $alloc (i64.const 4)))
       (call $free (local.get $at)) (drop (call $load (local.get $at)))`,
    )),
    unallocated,
  );
  assert.match(
    await failureOf(plugin("(call $output (call $alloc (i64.const 4)) (i64.const 5))")),
    unallocated,
  );
  assert.match(
    await failureOf(plugin("(drop (call $input (i64.const 1000000)))")),
    /read its input at 1000000/,
  );
  assert.match(
    await failureOf(plugin("(drop (call $host_call (i64.const 5)))")),
    /host_call was given no block/,
  );
});

test("blocks take only so much of the host's memory, in size and in number", async () => {
  assert.match(await failureOf(plugin("(drop (call $alloc (i64.const -1)))")), /allocated over \d+ bytes/);
  assert.match(
    await failureOf(plugin("(loop $again (drop (call $alloc (i64.const 1000000))) (br $again))")),
    /allocated over \d+ bytes/,
  );
  assert.match(
    await failureOf(plugin("(loop $again (call $free (call $alloc (i64.const 0))) (br $again))"), 60_000),
    /allocated over 100000 blocks/,
  );
});

test("neither HTTP nor configuration", async () => {
  assert.match(
    await failureOf(plugin("(drop (call $http (i64.const 0) (i64.const 0)))")),
    /made an HTTP request, which no policy is granted/,
  );
  const module = plugin(
    "(if (i64.ne (call $config (call $block (i32.const 2) (i32.const 8))) (i64.const 0)) (then unreachable))",
  );
  await using policy = await loadGuest(module);
  assert.ok((await policy.validate("{}")).allowed);
});

test("failures are told apart", async () => {
  assert.is(await failureOf(plugin("(return (i32.const 7))")), "validate returned 7 without an error");
  assert.is(
    await failureOf(plugin("(call $error (call $block (i32.const 2) (i32.const 8)))")),
    "accepted",
    "an error counts even when there is an answer",
  );
  assert.match(await failureOf(plugin("unreachable")), /wasm trap: unreachable/);
  assert.match(
    await failureOf(plugin("(return (i32.const 0))")),
    /^internal server error: invalid response from policy: /,
  );
});

test("an endless loop is stopped, in a call and in what initialises a plug-in", async () => {
  assert.is(await failureOf(plugin("(loop $again (br $again))"), 300), INTERRUPTED);
  const flood = "(loop $again (call $warn (call $block (i32.const 0) (i32.const 17))) (br $again))";
  assert.is(await failureOf(plugin(flood), 300), INTERRUPTED);
  for (
    const declarations of [
      '(func (export "_initialize") (loop $again (br $again)))',
      '(func (export "__wasm_call_ctors") (loop $again (br $again)))',
      "(func $begin (loop $again (br $again))) (start $begin)",
    ]
  ) {
    assert.is(await failureOf(plugin("", declarations), 300), INTERRUPTED, declarations);
  }
});

test("what Extism's SDK would run by itself while it links is not run", async () => {
  for (const body of ["(loop $again (br $again))", "unreachable"]) {
    await using policy = await loadGuest(plugin("", `(func (export "hs_init") ${body})`));
    assert.ok((await policy.validate("{}")).allowed);
  }
});

test("an initialised plug-in begins every call from there", async () => {
  const module = plugin(
    "(if (i32.ne (global.get $ready) (i32.const 1)) (then unreachable)) (global.set $ready (i32.const 2))",
    `(global $ready (mut i32) (i32.const 0))
     (func (export "_initialize") (global.set $ready (i32.add (global.get $ready) (i32.const 1))))`,
  );
  await using policy = await loadGuest(module);
  for (let turn = 0; turn < 3; turn++) assert.ok((await policy.validate("{}")).allowed);
});

/** A plug-in that makes the host call in its text and gives the answer as its error. */
const caller = (json: string) => {
  const text = json.replaceAll("\\", "\\5c").replaceAll('"', "\\22");
  return plugin(
    `(call $error (call $host_call (call $block (i32.const 1000) (i32.const ${
      encoder.encode(json).length
    }))))`,
    `(data (i32.const 1000) "${text}")`,
  );
};

test("host calls that can't be read are answered, not trapped", async () => {
  const answers: readonly (readonly [string, string])[] = [
    ["[]", "host_call: expected an object at line 1 column 1"],
    ['{"namespace":"a"}', "host_call: missing field `operation`"],
    ['{"operation":"a"}', "host_call: missing field `namespace`"],
    ['{"namespace":1,"operation":"a"}', "host_call: namespace: expected a string at line 1 column 14"],
    ['{"binding":"other","namespace":"a","operation":"b"}', "unknown binding: other"],
  ];
  for (const [json, error] of answers) {
    assert.equal(JSON.parse(await failureOf(caller(json))), { ok: false, error });
  }
  const syntax = JSON.parse(await failureOf(caller('{"namespace":')));
  assert.match(syntax.error, /^host_call: .* at line 1 column 14$/);
});

test("a payload goes to the host and back byte for byte", async () => {
  const json = '{"namespace":"a","operation":"b","payload":{"z":1.0,"a":9007199254740993,"b":"\\u00e9"}}';
  let sent = "";
  await using policy = await loadGuest(caller(json), {
    onHostCall: ({ payload }): HostCallAnswer => {
      sent = decoder.decode(payload);
      return { ok: true, payload: encoder.encode(' {"n":1.0,"big":9007199254740993} ') };
    },
  });
  const { status } = await policy.validate("{}");
  assert.is(sent, '{"z":1.0,"a":9007199254740993,"b":"\\u00e9"}');
  assert.match(status!.message!, '{"ok":true,"payload": {"n":1.0,"big":9007199254740993} }');
});

test("so does an answer in memory that threads share", async () => {
  const text = encoder.encode('{"gr\\u00fc\u00df":["\u00e4\\n"]}');
  const shared = new Uint8Array(new SharedArrayBuffer(text.length));
  shared.set(text);
  await using policy = await loadGuest(caller('{"namespace":"a","operation":"b"}'), {
    onHostCall: () => ({ ok: true, payload: shared }),
  });
  const { status } = await policy.validate("{}");
  assert.match(status?.message ?? "", `{"ok":true,"payload":${decoder.decode(text)}}`);
});

test("an answer that is no JSON does not break the plug-in's", async () => {
  await using policy = await loadGuest(caller('{"namespace":"a","operation":"b"}'), {
    onHostCall: ({ payload }): HostCallAnswer => {
      assert.is(payload.length, 0);
      return { ok: true, payload: encoder.encode('"},{') };
    },
  });
  const { status } = await policy.validate("{}");
  assert.match(status!.message!, '{"ok":false,"error":"the host\'s answer is no JSON');
});

test("log events through host_call are entries, like those of other policies", async () => {
  const logged: PolicyLogEntry[] = [];
  const json = '{"namespace":"tracing","operation":"log","payload":{"level":"error","message":"m","n":1}}';
  await using policy = await loadGuest(caller(json), { onLog: (entry) => logged.push(entry) });
  assert.match((await policy.validate("{}")).status!.message!, '{"ok":true,"payload":null}');
  assert.equal(logged, [{ policy: "policy", level: "error", message: "m", data: '{"n":1}' }]);
});

test("a plug-in must export both functions", async () => {
  const text = '(module (memory (export "memory") 1) (func (export "validate") (result i32) (i32.const 0)))';
  const metadata = { rules: [], mutating: false, executionMode: "extism", policyType: "raw" };
  await using policy = await loadGuest(withMetadata(wasm(text), JSON.stringify(metadata)));
  try {
    await policy.validate("{}");
    assert.unreachable();
  } catch (error) {
    assert.is(
      (error as Error).message,
      "unable to make an Extism plug-in: the plug-in does not export the function validate_settings",
    );
  }
});

test.run();
