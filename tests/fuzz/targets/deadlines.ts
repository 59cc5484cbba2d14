/**
 * Guests that never end, made of what costs much or little: each must be stopped at its deadline, give or take 100 ms, whatever
 * its loop is made of. The input names the loop's parts, a line each, with a size and how many stand in a row.
 */
import { Deadline } from "../../../evaluator/apply/deadline.ts";
import { instrument } from "../../../evaluator/render/instrument.ts";
import { MODULE_LIMITS } from "../../../evaluator/render/module_limits.ts";
import { WasmFormatError } from "../../../evaluator/render/wasm_binary.ts";
import { wasm } from "../../evaluator/wasm_text.ts";
import { lateMs, stopwatch } from "../stopwatch.ts";
import type { Random } from "../random.ts";
import { Finding, type Target } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const LIMIT_MS = 10;
const MAX_LATE_MS = 100;
const PAGES = 256;
/** As many as a module may have, with the one of the other table. */
const ELEMENTS = MODULE_LIMITS.tableElements.most - 1;
const MAX_PARTS = 6;
/** Characters of a part's code, repetitions included. */
const MAX_CODE = 60_000;

type Part = (size: number, id: number) => { readonly code: string; readonly declared?: string };

const repeated = (text: string, times: number) => text.repeat(Math.max(1, times));
const drops = (count: number) => repeated("(drop)", count);

/** Parts of a loop; what `size` means is each one's own, from 1 to 2^24, which it bounds. */
const PARTS: Readonly<Record<string, Part>> = {
  "table.fill": (size) => ({
    code: `(table.fill $t (i32.const 0) (ref.null func) (i32.const ${Math.min(size, ELEMENTS)}))`,
  }),
  "table.copy": (size) => ({
    code: `(table.copy $t $t (i32.const 0) (i32.const 1) (i32.const ${Math.min(size, ELEMENTS - 1)}))`,
  }),
  "table.init": (size) => ({
    code: `(table.init $t $e (i32.const 0) (i32.const 0) (i32.const ${Math.min(size, 255)}))`,
  }),
  "table.grow": (size) => ({
    code: `(drop (table.grow $t (ref.null func) (i32.const ${Math.min(size, ELEMENTS)})))`,
  }),
  "table.get": () => ({ code: "(table.set $t (i32.const 1) (table.get $t (i32.const 2)))" }),
  "memory.fill": (size) => ({ code: `(memory.fill (i32.const 0) (i32.const 1) (i32.const ${size - 1}))` }),
  "memory.copy": (size) => ({ code: `(memory.copy (i32.const 1) (i32.const 0) (i32.const ${size - 1}))` }),
  "memory.copy far": (size) => ({
    code: `(memory.copy (i32.const 8388608) (i32.const 0) (i32.const ${Math.min(size, 8_000_000)}))`,
  }),
  "memory.init": (size) => ({
    code: `(memory.init $d (i32.const 0) (i32.const 0) (i32.const ${Math.min(size, 1_000)}))`,
  }),
  "memory.grow": (size) => ({ code: `(drop (memory.grow (i32.const ${Math.min(size, 65_536)})))` }),
  "throw": () => ({ code: "(block $c (try_table (catch_all $c) (throw $x (i32.const 1))))" }),
  "throw far": (size, id) => ({
    code: `(block $c (try_table (catch_all $c) (call $thrower${id} (i32.const ${Math.min(size, 200)}))))`,
    declared: `(func $thrower${id} (param i32) (if (local.get 0)
      (then (call $thrower${id} (i32.sub (local.get 0) (i32.const 1)))) (else (throw $x (i32.const 1)))))`,
  }),
  "throw through": (size) => ({
    code: repeated("(block $c (try_table (catch_all $c) (throw $x (i32.const 1))))", Math.min(size, 200)),
  }),
  "many results": (size, id) => {
    const count = Math.min(Math.max(size, 1), 900);
    const results = repeated("i32 ", count);
    return {
      code: `(call $many${id}) ${drops(count)}`,
      declared: `(func $many${id} (result ${results}) ${repeated("(i32.const 1)", count)})`,
    };
  },
  "many parameters": (size, id) => {
    const count = Math.min(Math.max(size, 1), 900);
    return {
      code: `(call $takes${id} ${repeated("(i32.const 1)", count)})`,
      declared: `(func $takes${id} (param ${repeated("i32 ", count)}))`,
    };
  },
  "recursion": (size, id) => ({
    code: `(call $deep${id} (i32.const ${Math.min(size, 2_000)}))`,
    declared: `(func $deep${id} (param i32) (if (local.get 0)
      (then (call $deep${id} (i32.sub (local.get 0) (i32.const 1))) (call $deep${id} (i32.const 0)))))`,
  }),
  "locals": (size, id) => ({
    code: `(call $locals${id})`,
    declared: `(func $locals${id} (local ${
      repeated("i64 ", Math.min(size, 5_000))
    }) (global.set $s (local.get 0)))`,
  }),
  "indirect calls": (size) => ({
    code: repeated("(call_indirect $f (type $v) (i32.const 0))", Math.min(size, 300)),
  }),
  "calls": (size) => ({ code: repeated("(call $empty)", Math.min(size, 2_000)) }),
  "divisions": (size) => ({
    code: repeated("(global.set $s (i64.div_u (global.get $s) (i64.const 3)))", Math.min(size, 3_000)),
  }),
  "square roots": (size) => ({
    code: repeated("(global.set $q (f64.sqrt (global.get $q)))", Math.min(size, 3_000)),
  }),
  "floats": (size) => ({
    code: repeated(
      "(global.set $q (f64.nearest (f64.div (global.get $q) (f64.const 3))))",
      Math.min(size, 2_000),
    ),
  }),
  "vectors": (size) => ({
    code: repeated(
      "(v128.store (i32.const 0) (f64x2.sqrt (f64x2.div (v128.load (i32.const 0)) (v128.load (i32.const 16)))))",
      Math.min(size, 1_000),
    ),
  }),
  "loads": (size) => ({
    code: repeated("(global.set $s (i64.load offset=65533 (i32.const 4091)))", Math.min(size, 3_000)),
  }),
  "pages touched": (size) => ({
    code: `(local.set $i (i32.const 0)) (loop $p (i32.store (local.get $i) (i32.const 1))
      (br_if $p (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4096))) (i32.const ${
      size & ~4095
    }))))`,
  }),
  "branches": (size) => {
    const targets = Math.min(Math.max(size, 2), 3_000);
    return { code: `(block $b (br_table ${repeated("$b ", targets)} (i32.wrap_i64 (global.get $s))))` };
  },
  "nothing": () => ({ code: "(nop)" }),
  "tail calls": (_size, id) => ({
    code: `(call $tail${id} (i32.const 1000))`,
    declared: `(func $tail${id} (param i32) (if (local.get 0)
      (then (return_call $tail${id} (i32.sub (local.get 0) (i32.const 1))))))`,
  }),
  "inner loop": (size) => ({
    code: `(local.set $i (i32.const ${size})) (loop $n
      (br_if $n (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))`,
  }),
};
const NAMES = Object.keys(PARTS);

function generate(random: Random): Uint8Array {
  const count = random.oneIn(2) ? 1 : 1 + random.below(MAX_PARTS);
  const lines = Array.from(
    { length: count },
    () => {
      const size = 1 + random.below(2 ** (1 + random.below(24)));
      return `${random.pick(NAMES)}: ${size}: ${1 + random.below(2 ** random.below(10))}`;
    },
  );
  return encoder.encode(lines.join("\n"));
}

function moduleOf(text: string): Uint8Array | undefined {
  const codes: string[] = [], declared: string[] = [];
  text.split("\n").slice(0, MAX_PARTS).forEach((line, id) => {
    const [name = "", size = "", times = ""] = line.split(": ");
    if (!Object.hasOwn(PARTS, name) || !/^\d{1,8}$/.test(size) || !/^\d{1,4}$/.test(times)) return;
    const part = PARTS[name]!(Math.min(Math.max(1, Number(size)), 1 << 24), id);
    codes.push(
      part.code.repeat(Math.max(1, Math.min(Number(times), Math.ceil(MAX_CODE / part.code.length)))),
    );
    if (part.declared) declared.push(part.declared);
  });
  if (codes.length === 0) return undefined;
  return wasm(`(module
    (type $v (func)) (memory ${PAGES}) (table $t ${ELEMENTS} funcref) (table $f 1 funcref) (tag $x (param i32))
    (global $s (mut i64) (i64.const -1)) (global $q (mut f64) (f64.const 1e300))
    (elem (table $f) (i32.const 0) func $empty) (elem $e funcref ${"(ref.func $empty) ".repeat(255)})
    (data $d "${"a".repeat(1_000)}")
    (func $empty (type $v)) ${declared.join("\n")}
    (func (export "run") (local $i i32) (loop $l ${codes.join("\n")} (br $l))))`);
}

const deadline = new Deadline();

export const target: Target = {
  name: "deadlines",
  seeds: () =>
    NAMES.flatMap((name) =>
      ["1: 1", "255: 100", "60000: 10", "16777216: 1"].map((sizes) => encoder.encode(`${name}: ${sizes}`))
    ),
  generate,
  // Of many parts that are within the limits of a module by themselves, all together may not be.
  expected: [WasmFormatError],
  // Making the module is not what is measured.
  limitMs: 5_000,
  run: (input) => {
    const bytes = moduleOf(decoder.decode(input));
    if (!bytes) return;
    const { bytes: guarded } = instrument(bytes, { maxPages: PAGES, recordsWrites: true });
    const instance = new WebAssembly.Instance(new WebAssembly.Module(guarded as BufferSource));
    deadline.attach(instance);
    deadline.arm(LIMIT_MS);
    const started = stopwatch();
    try {
      (instance.exports["run"] as () => void)();
      throw new Finding("difference", "an endless loop came to its end");
    } catch (error) {
      if (error instanceof Finding) throw error;
    }
    const late = lateMs(started, LIMIT_MS);
    // A stack that ran over or a trap of the guest's own ends it early; what counts is that it ends.
    if (late > MAX_LATE_MS) {
      throw new Finding("late", `a guest made of ${names(decoder.decode(input))} was stopped too late`);
    }
  },
};

/** What a loop is made of, without sizes: faults of the same parts are one. */
const names = (text: string) =>
  [...new Set(text.split("\n").map((line) => line.split(": ")[0]!))].sort().join(", ");
