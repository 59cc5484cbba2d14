// The guards that are put into modules, against guests that try to get round them. One pool judges all of them: a thread that
// had to be replaced would show, because no guard may need that.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ModuleError, prepareModule } from "../../evaluator/apply/prepare.ts";
import { GUARD, instrument } from "../../evaluator/render/instrument.ts";
import { TEXT } from "../../evaluator/types/evaluation.ts";
import { evaluation, testPolicy, told } from "./evaluation.ts";
import { policyText, wasm } from "./wasm_text.ts";

/** `bytes` of code that has no loop, no call and no way to be left out by an optimiser. */
const straight = (bytes: number) =>
  "(global.set $sink (i64.div_u (global.get $sink) (local.get 0)))".repeat(Math.floor(bytes / 7));
const SINK = "(global $sink (mut i64) (i64.const -1))";
const PAGES = 256; // 16 MiB
const NAMES =
  `(data (i32.const 300) "kubewarden") (data (i32.const 320) "tracing") (data (i32.const 340) "log")`;
/** A host call with 16,000,000 bytes of payload. */
const hostCall = (namespace: string) =>
  `(drop (call $host_call (i32.const 300) (i32.const 10) (i32.const 320) (i32.const 7) (i32.const 340) (i32.const 3)
    (i32.const 1024) (i32.const ${namespace})))`;

/** What never ends, as body of a policy, what that needs, and pages of memory. */
const ENDLESS: Readonly<Record<string, readonly [body: string, declarations?: string, pages?: number]>> = {
  "a loop that calls nothing": ["(loop $l (br $l))"],
  "an inner loop in a catch_all": [
    "(loop $l (block $c (try_table (catch_all $c) (loop $i (br $i)))) (br $l))",
  ],
  "a host function's exception, caught": [
    "(loop $l (block $c (try_table (catch_all $c) (call $log (i32.const -256) (i32.const 255)))) (br $l))",
  ],
  "recursion that answers by recursion": [
    "(call $a)",
    "(global $depth (mut i32) (i32.const 0))" +
    "(func $a (global.set $depth (i32.add (global.get $depth) (i32.const 1)))" +
    " (if (i32.lt_u (global.get $depth) (i32.const 1000)) (then (call $a) (call $a)))" +
    " (global.set $depth (i32.sub (global.get $depth) (i32.const 1))))",
  ],
  "tail calls": ["(return_call $there)", "(func $there (result i32) (return_call $there))"],
  "tail calls through a table": [
    "(return_call_indirect (type $step) (i32.const 0))",
    "(type $step (func (result i32))) (table funcref (elem $there))" +
    "(func $there (type $step) (return_call_indirect (type $step) (i32.const 0)))",
  ],
  "memory.fill of 16 MiB": [
    "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 16777216)) (br $l))",
    "",
    PAGES,
  ],
  "memory.copy of 16 MiB": [
    "(loop $l (memory.copy (i32.const 8) (i32.const 0) (i32.const 16777000)) (br $l))",
    "",
    PAGES,
  ],
  "table.fill": [
    "(loop $l (table.fill $t (i32.const 0) (ref.null func) (i32.const 100000)) (br $l))",
    "(table $t 100000 funcref)",
  ],
  "a long function without a call": [
    "(loop $l (call $leaf (i64.const 3)) (br $l))",
    `${SINK} (func $leaf (param i64) ${straight(1 << 17)})`,
  ],
  "many short functions without a call": [
    `(loop $l ${"(call $leaf (i64.const 3))".repeat(250)} (br $l))`,
    `${SINK} (func $leaf (param i64) ${straight(900)})`,
  ],
  "functions with many local variables": [
    `(loop $l ${"(call $leaf)".repeat(400)} (br $l))`,
    `${SINK} (func $leaf ${`(local ${"i64 ".repeat(4_900)})`} (global.set $sink (local.get 7)))`,
  ],
  "responses": ["(loop $l (call $respond (i32.const 0) (i32.const 4000000)) (br $l))", "", PAGES],
  "randomness": ["(loop $l (drop (call $random (i32.const 0) (i32.const 1000000))) (br $l))", "", PAGES],
  "texts for the console": ["(loop $l (call $log (i32.const 1024) (i32.const 60000)) (br $l))", "", PAGES],
  "output": [
    "(i32.store (i32.const 128) (i32.const 1024)) (i32.store (i32.const 132) (i32.const 1000000))" +
    "(loop $l (drop (call $write (i32.const 1) (i32.const 128) (i32.const 1) (i32.const 200))) (br $l))",
    "",
    PAGES,
  ],
  "log entries": [`(loop $l ${hostCall("60000")} (br $l))`, NAMES, PAGES],
  "host calls that are refused": [
    `(loop $l ${hostCall("4000000")} (br $l))`,
    NAMES.replace("tracing", "nothing"),
    PAGES,
  ],
};

test("what never ends is stopped, and its thread lives on", () =>
  evaluation(async ({ load, threadErrors, logged }) => {
    const good = await load("good", { wasm: wasm(policyText("")) });
    for (const [name, [body, declarations, pages]] of Object.entries(ENDLESS)) {
      const policy = await load(name, { wasm: wasm(policyText(body, declarations, pages)), limitMs: 100 });
      const { allowed, status } = await policy.judge(`{}`);
      assert.equal(
        { allowed, status },
        { allowed: false, status: { message: TEXT.interrupted, code: 500 } },
        name,
      );
      assert.equal(threadErrors, [], name);
      assert.ok((await good.judge("{}")).allowed, name);
    }
    const characters = logged.reduce((sum, { entry }) => sum + entry.message.length, 0);
    assert.ok(characters < 10_000_000, `${characters} characters were logged`);
    const dropped = logged.filter(({ entry }) => entry.message.startsWith("log entries were dropped"));
    assert.equal(dropped.map(({ policy }) => policy), ["texts for the console"]);
  }));

test("each way to hang of the test policy is stopped, start functions included", () =>
  evaluation(async ({ load, threadErrors }) => {
    const interrupted = { allowed: false, status: { message: TEXT.interrupted, code: 500 } };
    const loops = await load("loop", { wasm: testPolicy("loop/policy.wasm"), limitMs: 200 });
    for (const way of ["tight", "busy", "fill", "host-calls", "console", "print"]) {
      const { allowed, status } = await loops.judge(told({ do: way }));
      assert.equal({ allowed, status }, interrupted, way);
    }
    assert.ok((await loops.judge(told({}))).allowed);
    for (const file of ["catch", "tail_call", "init", "start", "start_section"]) {
      const policy = await load(file, { wasm: testPolicy(`loop/${file}.wasm`), limitMs: 200 });
      const { allowed, status } = await policy.judge("{}");
      assert.equal({ allowed, status }, interrupted, file);
    }
    assert.equal(threadErrors, []);
  }));

test("the stack's end is a trap that can't be caught, and later calls have the whole stack", () =>
  evaluation(async ({ load, threadErrors }) => {
    const caught = "(func $deep (block $c (try_table (catch_all $c) (call $deep)))" +
      " (loop $l (block $c (try_table (catch_all $c) (call $deep))) (br $l)))";
    const policy = await load("deep", { wasm: wasm(policyText("(call $deep)", caught)), limitMs: 2_000 });
    for (let round = 0; round < 3; round++) {
      const { allowed, status } = await policy.judge("{}");
      assert.not.ok(allowed);
      assert.match(status!.message!, /call stack exhausted$|^Policy execution interrupted/);
    }
    const loops = await load("loop", { wasm: testPolicy("loop/policy.wasm") });
    assert.match((await loops.judge(told({ do: "recurse" }))).status!.message!, /wasm trap: /);
    assert.equal(threadErrors, []);
  }));

test("memory ends at the limit, whatever maximum the module names", () =>
  evaluation(async ({ load }) => {
    // Grows page by page and answers how often: each page is one more digit of a string that is counted below.
    const body = `(local $count i32)
      (block $full (loop $l
        (br_if $full (i32.eq (memory.grow (i32.const 1)) (i32.const -1)))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br $l)))
      (if (i32.ne (local.get $count) (i32.const 127)) (then unreachable))
      (if (i32.ne (memory.size) (i32.const 128)) (then unreachable))
      (if (i32.ne (memory.grow (i32.const -1)) (i32.const -1)) (then unreachable))
      (if (i32.ne (memory.grow (i32.const 0)) (i32.const 128)) (then unreachable))
      (i32.store8 (i32.const 8388607) (i32.const 1))`;
    const text = policyText("(call $grow)").replace("(func (export", `(func $grow ${body}) (func (export`);
    for (const max of ["", " 65536", " 100000".slice(0, 0)]) {
      const policy = await load(`max${max}`, {
        wasm: wasm(
          text.replace(`(memory $memory (export "memory") 1)`, `(memory $memory (export "memory") 1${max})`),
        ),
        memoryMib: 8,
      });
      // Twice: the second call finds an instance that was put back, and must see one page again.
      assert.ok((await policy.judge("{}")).allowed);
      assert.ok((await policy.judge("{}")).allowed);
    }
    const exhaust = await load("exhaust", { wasm: testPolicy("exhaust-memory/policy.wasm"), memoryMib: 32 });
    for (let round = 0; round < 3; round++) {
      const answer = await exhaust.judge(told({ do: "answer" }));
      assert.match(answer.status!.message!, /^grew by \d+ pages$/);
      assert.not.ok((await exhaust.judge(told({ do: "allocate" }))).allowed);
      assert.not.ok((await exhaust.judge(told({ do: "trap" }))).allowed);
    }
    const sizes = [];
    for (const way of ["size", "grow", "size"]) {
      sizes.push((await exhaust.judge(told({ do: way, megabytes: "2" }))).status!.message);
    }
    assert.is(sizes[0], sizes[2]);
  }));

test("a module that wants more memory or a bigger table than the limit is refused by name of the limit", async () => {
  const refused = async (module: Uint8Array, expected: RegExp) => {
    try {
      await prepareModule(module, { memoryMib: 8 });
    } catch (error) {
      assert.instance(error, ModuleError);
      assert.match((error as Error).message, expected);
      return;
    }
    assert.unreachable(`not refused: ${expected}`);
  };
  await refused(wasm("(module (memory 129))"), /asks for 8.0625 MiB of memory, the limit is 8 MiB/);
  await refused(
    wasm("(module (table 100001 funcref))"),
    /the module has 100001 elements in all tables together, the limit is 100000/,
  );
  await refused(testPolicy("exhaust-memory/initial.wasm"), /of memory, the limit is 8 MiB/);
});

test("a table grows to the limit and no further", () =>
  evaluation(async ({ load }) => {
    const body = `
      (if (i32.ne (table.grow $t (ref.null func) (i32.const 99999)) (i32.const 1)) (then unreachable))
      (if (i32.ne (table.grow $t (ref.null func) (i32.const 1)) (i32.const -1)) (then unreachable))`;
    const policy = await load("table", { wasm: wasm(policyText(body, "(table $t 1 funcref)")) });
    for (let round = 0; round < 3; round++) assert.ok((await policy.judge("{}")).allowed);
    const committed = await load("committed", { wasm: testPolicy("exhaust-memory/table.wasm") });
    assert.is((await committed.outcome("{}")).kind, "verdict");
  }));

test("the start section runs once the host is ready, within the limit", () =>
  evaluation(async ({ load }) => {
    const started = `(global $ready (mut i32) (i32.const 0))
      (func $begin (call $log (i32.const 64) (i32.const 17)) (global.set $ready (i32.const 1))) (start $begin)`;
    const body = "(if (i32.eqz (global.get $ready)) (then unreachable))";
    const policy = await load("start", { wasm: wasm(policyText(body, started)) });
    assert.ok((await policy.judge("{}")).allowed);
    assert.ok((await policy.judge("{}")).allowed);
  }));

/** Code that is invalid in the guest's own module, and would be valid with what instrumentation adds behind it. */
const REACHING: Readonly<
  Record<string, (own: { globals: number; functions: number; tables: number }) => string>
> = {
  "sets the budget": ({ globals }) => `41ffffffff0724${leb(globals)}`,
  "sets the page count": ({ globals }) => `41ffff0324${leb(globals + 1)}`,
  "calls the helper that asks": ({ functions }) => `10${leb(functions)}`,
  "overwrites the table that asks": ({ tables }) => `4100d07026${leb(tables)}`,
};
const leb = (value: number) => value.toString(16).padStart(2, "0");

test("an invalid module stays invalid, even where what is added would make it valid", async () => {
  for (const [name, code] of Object.entries(REACHING)) {
    // One type () -> (), one function, one memory, one global, exported as nothing.
    const body = `00${code({ globals: 1, functions: 1, tables: 0 })}0b`;
    const size = body.length / 2;
    const hex = "0061736d01000000" + "0104016000 00".replace(" ", "") + "03020100" + "0503010001" +
      "0606017f0141000b" + `0a${leb(size + 2)}01${leb(size)}${body}`;
    const module = Uint8Array.from(hex.match(/../g)!, (byte) => parseInt(byte, 16));
    const rewritten = instrument(module, { maxPages: 16 });
    assert.ok(
      WebAssembly.validate(rewritten.bytes as BufferSource),
      `${name}: would be valid, so this tests something`,
    );
    try {
      await prepareModule(module, { memoryMib: 1 });
      assert.unreachable(`${name}: was taken`);
    } catch (error) {
      assert.match((error as Error).message, /^error when building wasm module: /, name);
    }
  }
});

test("names that the guards use are refused, and so is what they can't guard", async () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    [`(module (func (export "${GUARD.start}")))`, /reserved name "portreeve:start"/],
    [`(module (global (export "${GUARD.budget}") i32 (i32.const 0)))`, /reserved name "portreeve:budget"/],
  ];
  for (const [text, expected] of refusals) {
    try {
      await prepareModule(wasm(text), { memoryMib: 1 });
      assert.unreachable(text);
    } catch (error) {
      assert.match((error as Error).message, expected);
    }
  }
  // Two memories; a shared one; a 64-bit one.
  for (const memories of ["050502000100 01".replace(" ", ""), "050401030101", "0503010401"]) {
    const module = Uint8Array.from(`0061736d01000000${memories}`.match(/../g)!, (byte) => parseInt(byte, 16));
    try {
      await prepareModule(module, { memoryMib: 1 });
      assert.unreachable(memories);
    } catch (error) {
      assert.instance(error, ModuleError);
    }
  }
});

test("bytes that are no module give an error, never anything else", async () => {
  const module = testPolicy("leaky-state/engine_state.wasm");
  let state = 12345;
  const random = (below: number) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % below;
  const attempt = async (bytes: Uint8Array) => {
    try {
      await prepareModule(bytes, { memoryMib: 8 });
    } catch (error) {
      assert.instance(error, ModuleError);
      assert.not.match((error as Error).message, "Maximum call stack");
    }
  };
  for (let length = 0; length < module.length; length += 1 + random(60)) {
    await attempt(module.slice(0, length));
  }
  for (let round = 0; round < 400; round++) {
    const damaged = module.slice();
    for (let count = 1 + random(3); count > 0; count--) damaged[8 + random(module.length - 8)] = random(256);
    await attempt(damaged);
  }
  await attempt(new TextEncoder().encode("<html>not found</html>"));
});

test("an instrumented module computes what it computed", async () => {
  const text = `(module
    (memory (export "memory") 1)
    (global $g (export "g") (mut i64) (i64.const 5))
    (func (export "fib") (param i32) (result i32)
      (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
        (else (i32.add (call 0 (i32.sub (local.get 0) (i32.const 1))) (call 0 (i32.sub (local.get 0) (i32.const 2)))))))
    (func (export "simd") (result i32)
      (i32x4.extract_lane 2 (i32x4.mul (v128.const i32x4 1 2 3 4) (i32x4.splat (i32.const 7)))))
    (func (export "many") (param i32) (result i32) (local i32 i64 f64)
      (block $out (loop $l
        (br_table $out $l (i32.ge_u (local.get 1) (i32.const 9)) )
        (unreachable)) (unreachable))
      (local.get 1))
    (func (export "sum") (param $n i32) (result i64) (local $s i64)
      (loop $l (local.set $s (i64.add (local.get $s) (i64.extend_i32_u (local.get $n))))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (local.get $s)))`;
  const plain = wasm(text);
  const { bytes, restorable, initialPages } = instrument(plain, { maxPages: 16 });
  assert.ok(restorable);
  assert.is(initialPages, 1);
  const run = async (module: Uint8Array) => {
    const { instance } = await WebAssembly.instantiate(module as BufferSource) as unknown as {
      instance: { exports: Record<string, (...args: number[]) => unknown> };
    };
    const { fib, simd, sum } = instance.exports;
    return [fib!(12), simd!(), sum!(900)];
  };
  // A few hundred payments fit into the first budget: no host is needed to go on.
  assert.equal(await run(bytes), await run(plain));
});

test.run();
