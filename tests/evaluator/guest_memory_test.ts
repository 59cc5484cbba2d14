// What guests hand to their host is bounded and checked in one place: no answer, log entry or error grows with
// what a guest gives, and the process lives on.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GuestMemory, GuestMemoryError } from "../../evaluator/apply/guest_memory.ts";
import { GuestOutput } from "../../evaluator/apply/guest_output.ts";
import { hostCallHandler } from "../../evaluator/apply/host_calls.ts";
import { Input, Output } from "../../evaluator/apply/pipes.ts";
import { wholeRequest } from "../../evaluator/apply/pool.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { boundedText } from "../../evaluator/render/bounded_text.ts";
import { readHostCall } from "../../evaluator/render/extism_call.ts";
import { instrument } from "../../evaluator/render/instrument.ts";
import { policyLogEntry } from "../../evaluator/render/policy_log.ts";
import { AnswerError, verdictOf } from "../../evaluator/render/verdict.ts";
import { opaVerdict } from "../../evaluator/render/rego_verdict.ts";
import { escapeControls, jsonLine, textLine } from "../../policy_server/render/log_line.ts";
import { GUEST_LIMIT } from "../../evaluator/types/guest_limits.ts";
import { type CapabilityAllowList, parseCapabilities } from "../../evaluator/types/host_capabilities.ts";
import { evaluation, type LoadedPolicy } from "./evaluation.ts";
import { policyText, wasm, withMetadata } from "./wasm_text.ts";

const MEGA = 1_000_000;
/** What an answer may have, and what an attack's log entries may: far above every bound, far below what guests give. */
const MAX_ANSWER = 500_000, MAX_LOGGED = 3 * MEGA;
const encoder = new TextEncoder();

/** A module of `mode` whose memory holds 240 MB of letters from address 1 MB on when `$fill` was called. */
const FILL = "(func $fill (memory.fill (i32.const 1000000) (i32.const 65) (i32.const 240000000)))";
const PAGES = 3840;

const inMode = (executionMode: string, text: string) =>
  withMetadata(
    wasm(text),
    JSON.stringify({ protocolVersion: "v1", rules: [], mutating: false, executionMode, policyType: "raw" }),
  );

const wapc = (body: string, imports = "") =>
  inMode(
    "kubewarden-wapc",
    `(module
      (import "wapc" "__guest_response" (func $respond (param i32 i32)))
      (import "wapc" "__guest_error" (func $error (param i32 i32)))
      (import "wapc" "__console_log" (func $log (param i32 i32)))
      (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      ${imports}
      (memory (export "memory") ${PAGES})
      (data (i32.const 0) "kubewarden") (data (i32.const 16) "kubernetes") (data (i32.const 32) "can_i")
      (data (i32.const 64) "{\\"accepted\\":true,\\"valid\\":true}")
      ${FILL}
      (func (export "__guest_call") (param i32 i32) (result i32)
        (call $fill)
        ${body}
        (call $respond (i32.const 64) (i32.const 30))
        (i32.const 1)))`,
  );

/** A host call whose binding, namespace, operation and payload have these lengths; 0 stands for what would be granted. */
const hostCall = (...lengths: readonly number[]) => {
  const usual = [[0, 10], [16, 10], [32, 5], [64, 2]];
  const ranges = usual.map(([at, length], index) =>
    `(i32.const ${lengths[index] ? MEGA : at}) (i32.const ${lengths[index] || length})`
  );
  return ranges.join(" ");
};

const wasi = (body: string, imports = "") =>
  inMode(
    "wasi",
    `(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (import "host" "call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
      ${imports}
      (memory (export "memory") ${PAGES})
      (data (i32.const 0) "kubewarden") (data (i32.const 16) "kubernetes") (data (i32.const 32) "can_i")
      (data (i32.const 64) "{\\"accepted\\":true,\\"valid\\":true}")
      (data (i32.const 128) "\\40\\42\\0f\\00\\00\\00\\10\\00") ;; 1 MiB from address 1,000,000
      (data (i32.const 136) "\\40\\00\\00\\00\\1e\\00\\00\\00") ;; the answer
      ${FILL}
      (func (export "_start") (local $count i32)
        (call $fill)
        ${body}
        (drop (call $write (i32.const 1) (i32.const 136) (i32.const 1) (i32.const 200)))))`,
  );

/** Writes the million letters `times` times. */
const shout = (fd: number, times: number) => `
  (loop $again
    (drop (call $write (i32.const ${fd}) (i32.const 128) (i32.const 1) (i32.const 200)))
    (br_if $again (i32.lt_u (local.tee $count (i32.add (local.get $count) (i32.const 1))) (i32.const ${times}))))`;

/** Blocks are filled a word at a time, which is why these are smaller. */
const extism = (body: string) =>
  inMode(
    "extism",
    `(module
      (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
      (import "extism:host/env" "store_u64" (func $store (param i64 i64)))
      (import "extism:host/env" "store_u8" (func $store_byte (param i64 i32)))
      (import "extism:host/env" "output_set" (func $output (param i64 i64)))
      (import "extism:host/env" "error_set" (func $error (param i64)))
      (import "extism:host/env" "log_error" (func $log (param i64)))
      (import "extism:host/env" "var_set" (func $var_set (param i64 i64)))
      (import "extism:host/user" "host_call" (func $host_call (param i64) (result i64)))
      (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
      (memory (export "memory") ${PAGES})
      (data (i32.const 64) "{\\"accepted\\":true,\\"valid\\":true}")
      (data (i32.const 128) "{\\"namespace\\":\\"")
      ${FILL}
      (func $copy (param $block i64) (param $from i32) (param $count i32) (local $index i32)
        (loop $next
          (call $store_byte (i64.add (local.get $block) (i64.extend_i32_u (local.get $index)))
            (i32.load8_u (i32.add (local.get $from) (local.get $index))))
          (br_if $next (i32.lt_u (local.tee $index (i32.add (local.get $index) (i32.const 1))) (local.get $count)))))
      (func (export "validate_settings") (result i32) (i32.const 1))
      (func (export "validate") (result i32) (local $block i64) (local $count i32)
        (local.set $block (call $alloc (i64.const 30)))
        (call $copy (local.get $block) (i32.const 64) (i32.const 30))
        (call $output (local.get $block) (i64.const 30))
        ${body}
        (i32.const 0)))`,
  );
/** A block of 100 MB. */
const BIG = "(call $alloc (i64.const 100000000))";

/** A Rego module by hand: values are texts. `eval` runs `body`. */
const rego = (
  mode: "opa" | "gatekeeper",
  body: string,
  { builtins = 16, entrypoints = 48, dumped = 64 } = {},
) =>
  inMode(
    mode,
    `(module
      (import "env" "memory" (memory ${PAGES}))
      (import "env" "opa_abort" (func $abort (param i32)))
      (import "env" "opa_println" (func $print (param i32)))
      (import "env" "opa_builtin1" (func $builtin (param i32 i32 i32) (result i32)))
      (data (i32.const 16) "{\\"urlquery.encode\\":7}\\00")
      (data (i32.const 48) "{\\"a\\":0}\\00")
      (data (i32.const 64) "${
      mode === "opa"
        ? '[{\\"result\\":{\\"response\\":{\\"uid\\":\\"\\",\\"allowed\\":true}}}]'
        : '[{\\"result\\":[]}]'
    }\\00")
      ${FILL}
      (global $value (mut i32) (i32.const ${dumped}))
      (func (export "builtins") (result i32) (call $fill) (i32.const ${builtins}))
      (func (export "entrypoints") (result i32) (i32.const ${entrypoints}))
      (func (export "opa_malloc") (param i32) (result i32) (i32.const 1024))
      (func (export "opa_json_parse") (param i32 i32) (result i32) (local.get 0))
      (func (export "opa_json_dump") (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0)) (then (global.get $value)) (else (local.get 0))))
      (func (export "opa_eval_ctx_new") (result i32) (i32.const 8))
      (func (export "opa_eval_ctx_set_input") (param i32 i32))
      (func (export "opa_eval_ctx_set_data") (param i32 i32))
      (func (export "opa_eval_ctx_set_entrypoint") (param i32 i32))
      (func (export "opa_eval_ctx_get_result") (param i32) (result i32) (i32.const 0))
      (func (export "eval") (param i32) (result i32) (call $fill) ${body} (i32.const 0)))`,
  );

/** Attacks, and what their answer must say. */
const ATTACKS: Readonly<Record<string, readonly [module: () => Uint8Array, answer: RegExp]>> = {
  "an error of 240 MB": [
    () => wapc("(call $error (i32.const 1000000) (i32.const 240000000)) (return (i32.const 0))"),
    /Guest call failure: A{65536}… \(239934464 more bytes were dropped\)$/,
  ],
  "an error that is no text": [
    () =>
      wapc(
        "(i32.store8 (i32.const 1000000) (i32.const 255))" +
          "(call $error (i32.const 1000000) (i32.const 100000000)) (return (i32.const 0))",
      ),
    /error while executing/,
  ],
  "a response of 240 MB": [
    () => wapc("(call $respond (i32.const 1000000) (i32.const 240000000)) (return (i32.const 1))"),
    /the response has 240000000 bytes, the limit is 4194304/,
  ],
  "names of 100 MB in a host call": [
    () => wapc(`(drop (call $host_call ${hostCall(0, 100 * MEGA, 100 * MEGA, 0)}))`),
    /the namespace of a host call has 100000000 bytes, the limit is 256/,
  ],
  "a binding of 100 MB": [
    () => wapc(`(drop (call $host_call ${hostCall(100 * MEGA, 0, 0, 0)}))`),
    /the binding of a host call has 100000000 bytes/,
  ],
  "an operation of 100 MB": [
    () => wapc(`(drop (call $host_call ${hostCall(0, 0, 100 * MEGA, 0)}))`),
    /the operation of a host call has 100000000 bytes/,
  ],
  "a payload of 200 MB": [
    () => wapc(`(drop (call $host_call ${hostCall(0, 0, 0, 200 * MEGA)}))`),
    /the payload of a host call has 200000000 bytes/,
  ],
  "240 MB for the console": [
    () => wapc("(call $log (i32.const 1000000) (i32.const 240000000))"),
    /^allowed$/,
  ],
  "WASI: 200 MB of errors": [
    () => wasi(`${shout(2, 200)} (call $exit (i32.const 1))`),
    /^A{65536}… \(\d+ more bytes were dropped\)$/,
  ],
  "WASI: 200 MB of answer": [() => wasi(shout(1, 200)), /over 4194304 bytes to standard output/],
  "WASI: names of 100 MB in a host call": [
    () => wasi(`(drop (call $host_call ${hostCall(0, 100 * MEGA, 100 * MEGA, 0)}))`),
    /^$/,
  ],
  "WASI: a payload of 200 MB": [
    () => wasi(`(drop (call $host_call ${hostCall(0, 0, 0, 200 * MEGA)}))`),
    /^$/,
  ],
  "Extism: an error of 100 MB": [
    () => extism(`(call $error ${BIG})`),
    /Extism plug-in failure: \0{65536}… \(99934464 more bytes were dropped\)$/,
  ],
  "Extism: log entries of 100 MB": [() => extism(`(call $log ${BIG}) (call $log ${BIG})`), /^allowed$/],
  "Extism: a variable's name of 100 MB": [
    () => extism(`(call $var_set ${BIG} (local.get $block))`),
    /^allowed$/,
  ],
  "Extism: a host call of 100 MB": [
    () => extism(`(drop (call $host_call ${BIG}))`),
    /has 100000000 bytes, the limit is 4198400/,
  ],
  "Extism: AssemblyScript's abort with 200 MB": [
    () =>
      extism(`(call $fill) (i32.store (i32.const 999996) (i32.const 200000000))
      (call $abort (i32.const 1000000) (i32.const 1000000) (i32.const 1) (i32.const 1))`),
    /abort: 䅁{32768} at 䅁{32768}:1:1$/,
  ],
  "OPA: an abort of 240 MB": [
    () => rego("opa", "(call $abort (i32.const 1000000))"),
    /text to print has over/,
  ],
  "OPA: 240 MB to print": [() => rego("opa", "(call $print (i32.const 1000000))"), /text to print has over/],
  "OPA: 15 MB to print": [
    () => rego("opa", "(i32.store8 (i32.const 16000000) (i32.const 0)) (call $print (i32.const 1000000))"),
    /^allowed$/,
  ],
  "OPA: an operand of 240 MB": [
    () => rego("opa", "(drop (call $builtin (i32.const 7) (i32.const 0) (i32.const 1000000)))"),
    /the operand of a builtin has over 16777216 bytes/,
  ],
  "OPA: a result of 240 MB": [
    () => rego("opa", "", { dumped: MEGA }),
    /the response has over 4194304 bytes/,
  ],
  "OPA: a list of builtins of 240 MB": [
    () => rego("opa", "", { builtins: MEGA }),
    /cannot allocate Rego evaluator: .*the list has over 1048576 bytes/,
  ],
  "Gatekeeper: a list of entry points of 240 MB": [
    () => rego("gatekeeper", "", { entrypoints: MEGA }),
    /cannot allocate Rego evaluator: .*the list has over 1048576 bytes/,
  ],
  "Gatekeeper: a result of 240 MB": [
    () => rego("gatekeeper", "", { dumped: MEGA }),
    /the response has over 4194304 bytes/,
  ],
};

async function answerOf(policy: LoadedPolicy): Promise<string> {
  const outcome = await policy.outcome(`{"uid":"u","object":{}}`);
  if (outcome.kind === "error") return outcome.message;
  if (outcome.kind !== "verdict") return outcome.kind;
  const { allowed, status } = outcome.verdict;
  return allowed ? "allowed" : status?.message ?? "refused";
}

test("whatever guests hand over, answers and log stay small, and the thread lives", () =>
  evaluation(async ({ load, threadErrors, logged }) => {
    const good = await load("good", { wasm: wasm(policyText("")) });
    for (const [name, [module, expected]] of Object.entries(ATTACKS)) {
      logged.length = 0;
      const policy = await load(name, {
        wasm: module(),
        memoryMib: 256,
        limitMs: 60_000,
        raw: !name.startsWith("Gatekeeper"),
        capabilities: ["*"],
      });
      const answer = await answerOf(policy);
      assert.ok(answer.length < MAX_ANSWER, `${name}: an answer of ${answer.length} characters`);
      assert.match(answer, expected, name);
      const characters = logged.reduce(
        (sum, { entry }) => sum + entry.message.length + (entry.data?.length ?? 0),
        0,
      );
      assert.ok(characters < MAX_LOGGED, `${name}: ${characters} characters in the log`);
      assert.equal(threadErrors, [], name);
      assert.ok((await good.judge("{}")).allowed, name);
    }
  }));

test("settings are refused with a bounded reason", () =>
  evaluation(async ({ load }) => {
    const module = wapc("(call $error (i32.const 1000000) (i32.const 240000000)) (return (i32.const 0))");
    const policy = await load("settings", { wasm: module, memoryMib: 256, limitMs: 60_000 });
    const result = await policy.settings();
    assert.not.ok(result.valid);
    assert.ok(JSON.stringify(result).length < MAX_ANSWER);
  }));

test("a pointer is compared with the guest's own page count, not with the memory's size", async () => {
  const plain = wasm(
    '(module (memory (export "memory") 1) (func (export "grow") (drop (memory.grow (i32.const 1)))))',
  );
  const module = await WebAssembly.compile(instrument(plain, { maxPages: 16 }).bytes as BufferSource);
  const instance = await WebAssembly.instantiate(module);
  const raw = instance.exports["memory"] as WebAssembly.Memory;
  raw.grow(3);
  const memory = GuestMemory.exported(instance)!;
  const PAGE = 65536;
  const outside: readonly (readonly [at: number, length: number])[] = [
    ...[[PAGE, 1], [PAGE - 1, 2], [0, PAGE + 1], [2 * PAGE, 1], [-1, 1], [0, -1], [-1, -1]] as const,
    ...[[-PAGE, PAGE], [PAGE + 1, 0], [0x7fffffff, 0x7fffffff], [2 ** 32, 1]] as const,
    // What exports of other types than the ABI's return.
    ...[[NaN, 1], [0.5, 1], [Infinity, 1], [0, NaN], [1n, 1], [[1], 1], [
      undefined,
      1,
    ]] as unknown as readonly (readonly [number, number])[],
  ];
  const { given } = GUEST_LIMIT;
  for (const [at, length] of outside) {
    const ways: readonly (() => unknown)[] = [
      () => memory.copy(at, length, given),
      () => memory.cut(at, length, { what: "x", max: 1 }),
      () => memory.text(at, length, given),
      () => memory.lend(at, length, given, () => 0),
      () => memory.clear(at, length, given),
    ];
    for (const way of ways) {
      try {
        way();
        assert.unreachable(`${length} bytes at ${at}`);
      } catch (error) {
        assert.instance(error, GuestMemoryError, `${String(length)} bytes at ${String(at)}: ${error}`);
      }
    }
  }
  for (
    const way of [
      () => memory.uint(PAGE - 3, 32, given),
      () => memory.uint64(PAGE - 7, given),
      () => memory.setUint32(PAGE, 1, given),
      () => memory.setUint64(PAGE - 1, 1n, given),
      () => memory.write(PAGE - 1, [Uint8Array.of(1, 2)], given),
      () => memory.terminated(PAGE, given),
    ]
  ) assert.throws(way, /out of bounds memory access/);
  memory.lend(0, PAGE, given, (bytes) => bytes.fill(1));
  assert.throws(() => memory.terminated(0, given), /does not end/);
  assert.throws(() => memory.terminated(0, { what: "text", max: 10 }), /over 10 bytes/);
  (instance.exports["grow"] as () => void)();
  assert.is(memory.copy(PAGE, PAGE, given).length, PAGE);
  assert.is(memory.terminated(PAGE - 5, given).length, 5);
});

test("pieces of a byte take no more room than the whole, and are read in linear time", () => {
  const output = new Output(1000);
  for (let index = 0; index < 1500; index++) output.write(Uint8Array.of(index));
  assert.equal(output.bytes(), Uint8Array.from({ length: 1000 }, (_, index) => index));
  assert.is(output.dropped, 500);
  output.clear();
  assert.is(output.bytes().length, 0);
  const input = new Input();
  for (let index = 0; index < 300_000; index++) input.append(Uint8Array.of(index));
  const target = new Uint8Array(300_000);
  let read = 0;
  for (let given = -1; given !== 0; read += given) given = input.read(target.subarray(read, read + 1000));
  assert.is(read, 300_000);
  assert.ok(target.every((byte, index) => byte === (index & 255)));
});

test("a guest's lines are counted, and its bytes need not come in lines", () => {
  const entries: string[] = [];
  const output = new GuestOutput(({ message }) => entries.push(message));
  for (let index = 0; index < 60_000; index++) output.write("stdout", encoder.encode("a"));
  output.write("stdout", encoder.encode("\nb"));
  output.end();
  assert.equal(entries.map((entry) => entry.length), [60_000, 1]);
  entries.length = 0;
  output.write("stderr", encoder.encode("\n".repeat(60_000)));
  output.end();
  assert.ok(entries.length < 3000, `${entries.length}`);
  assert.match(entries.at(-1)!, "dropped");
  entries.length = 0;
  output.write("stdout", encoder.encode("next call"));
  output.end();
  assert.equal(entries, ["next call"]);
});

test("log levels are looked up among the levels, not among what objects inherit", () => {
  for (const level of ["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf"]) {
    const { level: given, message } = policyLogEntry(encoder.encode(JSON.stringify({ level, message: "m" })));
    assert.equal([given, message], ["error", "Cannot log event"], level);
  }
  assert.is(
    policyLogEntry(encoder.encode('{"level":"WARNING","message":"m","__proto__":{"a":1}}')).level,
    "warn",
  );
});

test("what is refused anyhow does not carry its payload to the thread that refuses it", () =>
  evaluation(async ({ pool }) => {
    const call = `(drop (call $host_call ${hostCall(0, 0, 0, MEGA)}))`;
    const lists = [[["kubernetes/can_i"], MEGA], [["*"], MEGA], [["oci/*"], 0], [[], 0], [
      undefined,
      MEGA,
    ]] as const;
    for (const [mode, module] of Object.entries({ waPC: wapc(call), WASI: wasi(call) })) {
      const prepared = pool.addModule(await prepareModule(module, { memoryMib: 512 }));
      for (const [list, expected] of lists) {
        const allowed = list && parseCapabilities(list) as CapabilityAllowList;
        const received: number[] = [];
        const policy = pool.addPolicy(
          {
            id: "p",
            module: prepared,
            settings: encoder.encode("{}"),
            limitMs: 10_000,
            ...(allowed && { hostCapabilities: allowed }),
          },
          ({ payload }) => {
            received.push(payload.length);
            return { ok: true, payload };
          },
        );
        await pool.validate(policy, wholeRequest({ json: encoder.encode("{}"), object: undefined }));
        assert.equal(received, [expected], `${mode}, ${list ?? "no list"}`);
      }
    }
  }));

test("errors repeat no more than a part of a guest's words", async () => {
  const long = "x".repeat(10 * MEGA);
  const handler = hostCallHandler({ policy: "p", contextAwareResources: [] }, {
    kind: "listed",
    prefixes: [],
    exact: [],
  }, {});
  const granted = hostCallHandler({ policy: "p", contextAwareResources: [] }, { kind: "all" }, {});
  const payload = new Uint8Array(0);
  for (
    const call of [
      { namespace: long, operation: long, payload },
      { namespace: "tracing", operation: long, payload },
      { namespace: "kubernetes", operation: long, payload },
    ]
  ) {
    for (const answer of [await handler(call), await granted(call)]) {
      assert.ok(JSON.stringify(answer).length < 2000);
    }
  }
  const request = { json: encoder.encode("{}"), object: undefined };
  const answer = encoder.encode(`{"accepted":true,"audit_annotations":{"${long}":1}}`);
  try {
    verdictOf(answer, request);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, AnswerError);
    assert.ok((error as Error).message.length < 1000);
  }
  for (
    const json of [long, `[{"result":${long}}]`, `[{"result":{"response":{"uid":"","allowed":"${long}"}}}]`]
  ) {
    assert.ok(opaVerdict(encoder.encode(json)).status!.message!.length < 2000);
  }
});

test("an Extism plug-in's host call has few members and short names", () => {
  const rest = '"namespace":"n","operation":"o","payload":[1.0]}';
  assert.is(readHostCall(encoder.encode(`{"__proto__":{"binding":"x"},${rest}`)).binding, "kubewarden");
  assert.throws(
    () => readHostCall(encoder.encode(`{${'"x":1,'.repeat(64)}${rest}`)),
    /over 64 members at line 1/,
  );
  for (const name of ["binding", "namespace", "operation"]) {
    const call = `{"${name}":"${"x".repeat(2000)}"}`;
    assert.throws(() => readHostCall(encoder.encode(call)), `${name}: over 1024 bytes at line 1`);
  }
});

test("a verdict's members are looked up by their own names", () => {
  const request = { json: encoder.encode(`{"a":1}`), object: [0, 7] as const };
  const answer = `{"__proto__":{"accepted":true},"constructor":1,"accepted":false,
    "audit_annotations":{"__proto__":"p","constructor":"c"},"mutated_object":{"a":1,"__proto__":{"b":2}}}`;
  const verdict = verdictOf(encoder.encode(answer), request);
  assert.is(verdict.allowed, false);
  assert.equal(Object.entries(verdict.auditAnnotations!), [["__proto__", "p"], ["constructor", "c"]]);
  assert.is(verdict.patch, `[{"op":"add","path":"/__proto__","value":{"b":2}}]`);
  assert.is(({} as Record<string, unknown>)["b"], undefined);
});

test("a text that is cut says how much is missing, and is cut between characters", () => {
  assert.is(boundedText("abcdef", 6), "abcdef");
  assert.is(boundedText("abcdef", 3), "abc… (3 more characters)");
  assert.is(boundedText("ab😀", 3), "ab… (2 more characters)");
});

test("log lines are bounded, whatever their values are", () => {
  const long = "\u001b".repeat(50 * MEGA);
  const event = {
    timestamp: "2026-01-01T00:00:00.000000Z",
    level: "warn",
    target: "t",
    message: long,
    fields: { [long]: long, n: 1 },
    span: { name: long, fields: { f: long } },
  } as const;
  for (const line of [escapeControls(long), textLine(event), jsonLine(event)]) {
    assert.ok(line.length < 4 * MEGA, `${line.length} characters`);
  }
});

const ROOT = fileURLToPath(new URL("../../evaluator", import.meta.url));

test("no other file of the evaluator makes a view of a guest's memory", () => {
  const files = readdirSync(ROOT, { recursive: true }).map(String).filter((file) => file.endsWith(".ts"));
  assert.ok(files.length > 60);
  /** Buffers of the host's own, and why they are asked for. */
  const others: Readonly<Record<string, string>> = {
    "apply/extism_memory.ts": "blocks of Extism's memory, which the host allocates",
    "apply/pool_worker.ts": "requests handed over to a thread",
    "apply/seal.ts": "pages of what wholeMemory gave",
    "apply/snapshot.ts": "words of what wholeMemory gave",
    "render/extism_call.ts": "whether an answer is shared",
  };
  const memories: Readonly<Record<string, string>> = {
    "apply/link.ts": "whether an import is a memory",
    "apply/rego_module.ts": "makes the memory that Rego modules import",
    "apply/engine.ts": "hands on the memory of what was linked",
    "apply/kept_guests.ts": "counts what is kept",
    "apply/abandoned_memory.ts": "counts what was abandoned",
    "apply/snapshot.ts": "takes and puts back states",
  };
  for (const file of files) {
    if (file === join("apply", "guest_memory.ts")) continue;
    const code = readFileSync(join(ROOT, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    if (/\.buffer\b|[{,]\s*buffer\b/.test(code)) assert.ok(file in others, `${file} asks for a buffer`);
    if (/WebAssembly\.Memory\b/.test(code)) assert.ok(file in memories, `${file} has to do with memories`);
    if (/\bwholeMemory\b/.test(code)) {
      assert.ok(
        ["snapshot", "abandoned_memory", "kept_guests", "rego_module"].some((name) =>
          file === `apply/${name}.ts`
        ),
        `${file} sees whole memories`,
      );
    }
  }
});

test.run();
