/**
 * What one request leaves behind must be invisible to the next: a guest that was put back to its snapshot computes what a new one
 * computes. That is what the module computes without guards, but for loads beyond its memory: where the snapshot has made room they
 * find zeros instead of a trap, in the first request as in all others. The input is two programs, `a` and `b`, of steps that change and read all the state there is, a line each.
 */
import { Deadline } from "../../../evaluator/apply/deadline.ts";
import { Snapshot } from "../../../evaluator/apply/snapshot.ts";
import { trapText } from "../../../evaluator/apply/trap_text.ts";
import { instrument } from "../../../evaluator/render/instrument.ts";
import { wasm } from "../../evaluator/wasm_text.ts";
import type { Random } from "../random.ts";
import { same, type Target } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const MAX_PAGES = 64;
const MAX_STEPS = 12;
const MAX_VALUE = 1 << 23;

type Step = (x: number, y: number) => string;
/** Mixes an i32 into the result. */
const mix = (value: string) => `(global.set $h (i32.add (i32.mul (global.get $h) (i32.const 31)) ${value}))`;

/** Steps that leave tables and segments alone, so that instances with them are kept. */
const KEPT: Readonly<Record<string, Step>> = {
  store: (at, value) => `(i32.store8 (i32.const ${at}) (i32.const ${value & 255}))`,
  "store word": (at, value) => `(i64.store (i32.const ${at}) (i64.const ${value}))`,
  load: (at) => mix(`(i32.load8_u (i32.const ${at}))`),
  "load word": (at) => mix(`(i32.wrap_i64 (i64.load (i32.const ${at})))`),
  fill: (at, size) => `(memory.fill (i32.const ${at}) (i32.const 7) (i32.const ${size & 0xffff}))`,
  copy: (at, from) => `(memory.copy (i32.const ${at}) (i32.const ${from}) (i32.const 5000))`,
  init: (at) => `(memory.init $d (i32.const ${at}) (i32.const 0) (i32.const 4))`,
  grow: (pages) => mix(`(memory.grow (i32.const ${pages % 80}))`),
  size: () => mix("(memory.size)"),
  set: (value) => `(global.set $g (i32.const ${value}))`,
  get: () => mix("(global.get $g)"),
  "set wide": (value) => `(global.set $w (i64.const ${value}))`,
  "get wide": () => mix("(i32.wrap_i64 (global.get $w))"),
  "set float": (value) => `(global.set $f (f64.const ${value}.5))`,
  "get float": () => mix("(i32.trunc_sat_f64_s (global.get $f))"),
  "last byte": () => mix("(i32.load8_u (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)))"),
  "store last byte": (value) =>
    `(i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (i32.const ${
      value & 255
    }))`,
  "table size": () => mix("(table.size $t)"),
  "table get": (at) => mix(`(ref.is_null (table.get $t (i32.const ${at % 12})))`),
  throw: () => "(throw $x)",
  catch: (at) =>
    `(block $c (try_table (catch_all $c) (i32.store8 (i32.const ${at}) (i32.const 9)) (throw $x)))`,
  trap: () => "(unreachable)",
};
/** Steps after which an instance is not kept. */
const CHANGING: Readonly<Record<string, Step>> = {
  "table set": (at) => `(table.set $t (i32.const ${at % 12}) (ref.func $nothing))`,
  "table fill": (at) => `(table.fill $t (i32.const ${at % 12}) (ref.null func) (i32.const 2))`,
  "table grow": (by) => mix(`(table.grow $t (ref.null func) (i32.const ${by % 20}))`),
  "table copy": (at) => `(table.copy $t $t (i32.const ${at % 12}) (i32.const 0) (i32.const 3))`,
  "table init": (at) => `(table.init $t $e (i32.const ${at % 12}) (i32.const 0) (i32.const 1))`,
  "drop data": () => "(data.drop $d)",
  "drop elements": () => "(elem.drop $e)",
};
const KEPT_NAMES = Object.keys(KEPT), CHANGING_NAMES = Object.keys(CHANGING);
const EVERY_STEP = new Map(Object.entries({ ...KEPT, ...CHANGING }));

function generate(random: Random): Uint8Array {
  const changing = random.oneIn(4);
  const number = () => random.below(2 ** (1 + random.below(23)));
  const lines = [`pages: ${random.below(20)}: 0`];
  for (const program of ["a", "b"]) {
    for (let left = 1 + random.below(MAX_STEPS); left > 0; left--) {
      const name = changing && random.oneIn(3) ? random.pick(CHANGING_NAMES) : random.pick(KEPT_NAMES);
      lines.push(`${program} ${name}: ${number()}: ${number()}`);
    }
  }
  return encoder.encode(lines.join("\n"));
}

function moduleOf(text: string): Uint8Array {
  const programs = { a: "", b: "" };
  let pages = 1;
  for (const line of text.split("\n")) {
    const [what = "", first = "", second = ""] = line.split(": ");
    const [x, y] = [first, second].map((value) => Math.min(MAX_VALUE, Math.trunc(Number(value)) || 0));
    if (what === "pages") pages = Math.min(x!, 32);
    const program = what.slice(0, 1);
    const step = EVERY_STEP.get(what.slice(2));
    if (step && (program === "a" || program === "b")) programs[program] += `${step(x!, y!)}\n`;
  }
  const run = (name: "a" | "b") =>
    `(func (export "${name}") (result i32) (global.set $h (i32.const 1)) ${programs[name]} (global.get $h))`;
  return wasm(`(module (memory ${pages} ${MAX_PAGES}) (table $t 10 30 funcref) (tag $x)
    (global $h (mut i32) (i32.const 0)) (global $g (mut i32) (i32.const 5))
    (global $w (mut i64) (i64.const -5)) (global $f (mut f64) (f64.const 1.5))
    (elem $e funcref (ref.func $nothing)) (elem (table $t) (i32.const 3) func $nothing)
    (data $d "data") ${pages > 0 ? '(data (i32.const 4090) "across two blocks")' : ""}
    (func $nothing) ${run("a")} ${run("b")})`);
}

const deadline = new Deadline();
const OUT_OF_BOUNDS = "out of bounds memory access";

function answer(instance: WebAssembly.Instance, name: string): string {
  try {
    return String((instance.exports[name] as () => number)());
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return trapText(error);
    const { Exception } = WebAssembly as unknown as { Exception: new () => object };
    if (error instanceof Exception) return "an exception";
    throw error;
  }
}

export const target: Target = {
  name: "snapshots",
  seeds: () =>
    [
      "pages: 1: 0\na store: 100: 1\na grow: 3: 0\na store: 150000: 9\nb load: 100: 0\nb size: 0: 0\nb grow: 3: 0\nb load: 150000: 0",
      "pages: 1: 0\na grow: 2: 0\nb load: 70000: 0",
      "pages: 1: 0\na set: 1: 0\na trap: 0: 0\nb get: 0: 0",
      "pages: 2: 0\na table set: 1: 0\nb table get: 1: 0",
      "pages: 2: 0\na drop data: 0: 0\nb init: 10: 0",
    ].map((text) => encoder.encode(text)),
  generate,
  expected: [],
  limitMs: 300,
  run: (input) => {
    const bytes = moduleOf(decoder.decode(input));
    const plain = new WebAssembly.Module(bytes as BufferSource);
    const guarded = instrument(bytes, { maxPages: MAX_PAGES, recordsWrites: true });
    const module = new WebAssembly.Module(guarded.bytes as BufferSource);
    let instance: WebAssembly.Instance | undefined;
    let snapshot: Snapshot | undefined;
    const make = (room: boolean) => {
      const made = new WebAssembly.Instance(module);
      deadline.attach(made);
      deadline.arm(1_000);
      return [made, room && guarded.restorable ? new Snapshot(made, "wasi") : undefined] as const;
    };
    const expected = new Map(["a", "b"].map((name) => {
      const bare = answer(new WebAssembly.Instance(plain), name);
      same(`${name}, with guards`, bare, answer(make(false)[0], name));
      const roomy = answer(make(true)[0], name);
      if (!bare.includes(OUT_OF_BOUNDS)) same(`${name}, with room`, bare, roomy);
      return [name, roomy] as const;
    }));
    for (const name of ["a", "b", "a", "a", "b"]) {
      if (instance === undefined) [instance, snapshot] = make(true);
      deadline.arm(1_000);
      same(`${name}, as if nothing had been before`, expected.get(name), answer(instance, name));
      // As the runtimes do: what can't be put back is thrown away.
      if (!snapshot?.restore()) instance = snapshot = undefined;
    }
  },
};
