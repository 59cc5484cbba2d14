// Bulk operations on memory work in pieces in an instrumented module. To the guest they are one operation each: the same bytes end up
// at the same places, whatever overlaps, and what traps has written nothing.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GUARD, instrument } from "../../evaluator/render/instrument.ts";
import { wasm } from "./wasm_text.ts";

const PAGES = 8, SIZE = PAGES * 65_536;
const PIECE = 65_536;
const SEGMENT = 200_000;

const TEXT = `(module
  (memory (export "memory") ${PAGES} 700)
  (data $long "${"abcdefghij".repeat(SEGMENT / 10)}")
  (data $short "0123456789")
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32) (memory.init $long (local.get 0) (local.get 1) (local.get 2)))
  (func (export "initShort") (param i32 i32 i32) (memory.init $short (local.get 0) (local.get 1) (local.get 2)))
  (func (export "drop") (data.drop $long) (data.drop $short))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size)))`;

type Operation = "fill" | "copy" | "init" | "initShort" | "grow";
type Call = readonly [operation: Operation, ...parameters: number[]];
interface Subject {
  readonly exports: Record<string, (...parameters: number[]) => number | undefined>;
  readonly memory: () => Uint8Array;
}

const PLAIN = wasm(TEXT);
const ASKED = wasm(`(module (global $asked (export "asked") (mut i32) (i32.const 0))
  (func (export "tick") (result i32) (global.set $asked (i32.add (global.get $asked) (i32.const 1))) (i32.const 0)))`);

function start(module: Uint8Array): Subject & { readonly asked: () => number } {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module as BufferSource));
  const clock = new WebAssembly.Instance(new WebAssembly.Module(ASKED as BufferSource));
  (instance.exports[GUARD.tick] as WebAssembly.Table | undefined)?.set(0, clock.exports["tick"]);
  const memory = () => new Uint8Array((instance.exports["memory"] as WebAssembly.Memory).buffer);
  memory().forEach((_, at, bytes) => void (bytes[at] = (at * 31 + (at >> 8)) & 0xff));
  return {
    exports: instance.exports as unknown as Subject["exports"],
    memory,
    asked: () => (clock.exports["asked"] as WebAssembly.Global).value,
  };
}

function run({ exports, memory }: Subject, [operation, ...parameters]: Call) {
  try {
    return { result: exports[operation]!(...parameters), trap: false, length: memory().length };
  } catch (error) {
    assert.instance(error, WebAssembly.RuntimeError);
    return { result: undefined, trap: true, length: memory().length };
  }
}

function compare(calls: readonly Call[], before: (subject: Subject) => void = () => {}): void {
  const plain = start(PLAIN);
  const guarded = start(instrument(PLAIN, { maxPages: 1_000, recordsWrites: true }).bytes);
  before(plain);
  before(guarded);
  for (const call of calls) {
    assert.equal(run(guarded, call), run(plain, call), call.join(" "));
    assert.ok(Buffer.compare(guarded.memory(), plain.memory()) === 0, `memory after ${call.join(" ")}`);
  }
}

const LENGTHS = [
  0,
  1,
  255,
  PIECE - 1,
  PIECE,
  PIECE + 1,
  2 * PIECE,
  3 * PIECE + 7,
  SIZE,
  SIZE + 1,
  0x7fff_ffff,
  -1,
];

test("memory.fill of any length, in bounds and out of bounds", () =>
  compare(LENGTHS.flatMap((length): Call[] => [
    ["fill", 0, 1, length],
    ["fill", 13, 300, length],
    ["fill", SIZE - length, 7, length],
    ["fill", SIZE - length + 1, 9, length],
    ["fill", SIZE, 1, length],
    ["fill", -1, 1, length],
  ])));

test("memory.copy of any length, with the target before, behind and far from the source", () =>
  compare(LENGTHS.flatMap((length): Call[] => [
    ...[1, 100, PIECE, PIECE + 1].flatMap((distance): Call[] => [
      ["copy", 0, distance, length],
      ["copy", distance, 0, length],
      ["copy", SIZE - length - distance, SIZE - length, length],
      ["copy", SIZE - length, SIZE - length - distance, length],
      ["copy", SIZE - length + 1, SIZE - length - distance, length],
    ]),
    ["copy", 5, 5, length],
    ["copy", -1, 0, length],
    ["copy", 0, -1, length],
  ])));

test("memory.init of any length, of long and short segments, in and out of their bounds", () =>
  compare(
    [...LENGTHS, SEGMENT, SEGMENT - 1].flatMap((length): Call[] => [
      ["init", 3, 0, length],
      ["init", 3, 1, length],
      ["init", 3, SEGMENT - length, length],
      ["init", 3, SEGMENT - length + 1, length],
      ["init", SIZE - length, 0, length],
      ["init", SIZE - length + 1, 0, length],
      ["initShort", 0, 0, length],
    ]).concat([["initShort", 0, 3, 7], ["initShort", 0, 3, 8]]),
  ));

test("a segment that was dropped traps before anything is written", () =>
  compare([
    ["init", 3, 0, 3 * PIECE],
    ["init", 3, 0, 1],
    ["init", 3, 0, 0],
    ["initShort", 0, 0, 1],
  ], ({ exports }) => exports["drop"]!()));

test("memory.grow keeps what is there and gives zeros, far beyond what need not be touched", () =>
  compare([
    ["grow", 0],
    ["grow", 1],
    ["grow", 480],
    ["grow", 100],
    ["grow", 200],
    ["grow", -1],
    ["grow", 111],
    ["grow", 1],
  ]));

test("random operations end as they would have", () => {
  let state = 4711;
  const random = (below: number) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % below;
  compare(Array.from({ length: 300 }, (): Call => {
    const operation = (["fill", "copy", "init"] as const)[random(3)]!;
    return [operation, random(SIZE + 10), random(operation === "init" ? SEGMENT : SIZE), random(4 * PIECE)];
  }));
});

test("a large operation asks on its way, and so does each growth", () => {
  const { exports, asked } = start(instrument(PLAIN, { maxPages: 1_000, recordsWrites: true }).bytes);
  exports["grow"]!(600);
  const grown = asked();
  assert.ok(grown >= 2, `${grown}`);
  for (const [operation, from] of [["fill", 1], ["copy", 3]] as const) {
    const before = asked();
    exports[operation]!(0, from, 600 * PIECE);
    assert.ok(asked() >= before + 2, operation);
  }
});

test.run();
