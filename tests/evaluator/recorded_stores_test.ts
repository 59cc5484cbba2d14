// A guest that is put back is as it was, byte for byte, whatever instruction it wrote with, wherever, and by whatever way it got there:
// only what was recorded is put back (`evaluator/render/written_map.ts`).
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Deadline } from "../../evaluator/apply/deadline.ts";
import { GuestMemory, wholeMemory } from "../../evaluator/apply/guest_memory.ts";
import { Snapshot } from "../../evaluator/apply/snapshot.ts";
import { GUARD, instrument } from "../../evaluator/render/instrument.ts";
import { REACH, visitWritten } from "../../evaluator/render/written_map.ts";
import { type AddressForm, memoryInstructions, moduleOf, PLAIN_FORM } from "./memory_instructions.ts";
import { wasm } from "./wasm_text.ts";

const CHUNK = 32_768, PAGE = 65_536, PAGES = 5, ROOM = 16;
const I32 = 0x7f;
const LIMIT = { what: "range", max: Infinity };
type Fill = (bytes: Uint8Array) => void;
const NOISE = Uint8Array.from({ length: 1 << 21 }, (_, at) => (at * 31 + (at >> 8)) | 1);
const noise: Fill = (bytes) => bytes.set(NOISE.subarray(0, bytes.length));

interface Kept {
  readonly instance: WebAssembly.Instance;
  readonly memory: () => Uint8Array;
  /** Calls an export, however that ends. Returns whether memory changed, after it was put back. */
  readonly changes: (name: string, ...parameters: number[]) => boolean;
  /** Does something to the guest. Returns whether memory changed, after it was put back. */
  readonly changesBy: (what: string, act: () => void) => boolean;
}

/** An instance that is kept, with memory that was filled before its snapshot was taken. */
function keep(plain: Uint8Array, fill: Fill = noise, room = 0): Kept {
  const { bytes, restorable } = instrument(plain, { maxPages: 1024, recordsWrites: true });
  assert.ok(restorable);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource));
  const deadline = new Deadline();
  deadline.attach(instance);
  const memory = () => wholeMemory(instance.exports[GUARD.memory] as WebAssembly.Memory);
  fill(memory());
  const snapshot = new Snapshot(instance, "opa", room);
  const before = memory().slice();
  const changesBy = (what: string, act: () => void) => {
    deadline.arm(10_000);
    act();
    const changed = Buffer.compare(memory(), before) !== 0;
    assert.ok(snapshot.restore(), what);
    assert.ok(Buffer.compare(memory(), before) === 0, `${what}: the memory differs`);
    return changed;
  };
  const changes = (name: string, ...parameters: number[]) =>
    changesBy(`${name}(${parameters.join(", ")})`, () => {
      try {
        (instance.exports[name] as CallableFunction)(...parameters);
      } catch (error) {
        const { Exception } = WebAssembly as unknown as { Exception: new () => object };
        if (!(error instanceof Exception)) assert.instance(error, WebAssembly.RuntimeError);
      }
    });
  return { instance, memory, changes, changesBy };
}

/** Addresses at all kinds of borders: of chunks, of pages, of the guest's memory, of the instance's, of the address space. */
const BORDERS = [0, CHUNK, PAGE, 3 * CHUNK, PAGES * PAGE, ROOM * PAGE].flatMap((border) =>
  [-REACH, -16, -8, -7, -4, -1, 0, 1, 8, REACH].map((distance) => border + distance)
).concat([-REACH - 1, -CHUNK]);

const FORMS: readonly AddressForm[] = [
  PLAIN_FORM,
  { name: "an operand", push: [0x20, 0, 0x41, 0, 0x6a], offset: 0 },
  { name: "a block's result", push: [0x02, I32, 0x20, 0, 0x0b], offset: 8 },
  ...[REACH - 16, REACH - 15, REACH, 40_000, 0xffff_f000].flatMap((offset): AddressForm[] => [
    { name: `a local variable at ${offset}`, push: [0x20, 0], offset },
    { name: `an operand at ${offset}`, push: [0x20, 0, 0x41, 0, 0x6a], offset },
  ]),
];

test("every instruction that writes, at every border, in every form of address", () => {
  const fills: readonly Fill[] = [(bytes) => void bytes.fill(0), (bytes) => void bytes.fill(255)];
  const writing = memoryInstructions(FORMS).filter((instruction) => {
    const plain = moduleOf(instruction, FORMS);
    let writes = false;
    for (const fill of fills) {
      const { changes } = keep(plain, fill);
      for (let index = 0; index < 2 * FORMS.length; index++) {
        const changed = BORDERS.map((address) => changes(String(index), address));
        writes ||= changed.includes(true);
      }
    }
    return writes;
  });
  // 9 stores, v128.store and 4 of its lanes, 7 atomic stores, 42 and 7 atomic operations that read as well.
  assert.is(writing.length, 70, writing.map(({ name }) => name).join(", "));
});

const store = (base: string, offset = 0) => `(i32.store8 offset=${offset} (local.get ${base}) (i32.const 0))`;
const throwing = "(if (local.get $c) (then (throw $x)))";

/** Bodies of functions of two addresses and a condition, with a local variable `$l`. */
const WAYS: Readonly<Record<string, string>> = {
  "one base again and again": `${store("$p")} ${store("$p", 8)} ${store("$q")} ${store("$p", 100)}`,
  "assigned in between": `${store("$p")} (local.set $p (local.get $q)) ${store("$p")}`,
  "assigned while its address is on the stack": `(i32.store8 (local.get $p) (local.tee $p (local.get $q))) ${
    store("$p")
  }`,
  "an address from before an assignment": `${store("$p")} ${store("$q")}
    (local.get $p) (local.set $p (local.get $q)) (i32.const 0) (i32.store8)`,
  "recorded in one branch": `(if (local.get $c) (then ${store("$p")})) ${store("$p")}`,
  "recorded in the other branch": `(if (local.get $c) (then (nop)) (else ${store("$p")})) ${store("$p")}`,
  "recorded in both": `(if (local.get $c) (then ${store("$p")}) (else ${store("$p")})) ${store("$p")}`,
  "assigned in one branch": `${store("$p")}
    (if (local.get $c) (then (local.set $p (local.get $q)))) ${store("$p")}`,
  "assigned and recorded in one branch": `${store("$p")}
    (if (local.get $c) (then (local.set $p (local.get $q)) ${store("$p")})) ${store("$p")}`,
  "passed over by a branch": `(block $b (br_if $b (local.get $c)) ${store("$p")}) ${store("$p")}`,
  "passed over by a branch table": `(block $a (block $b (br_table $a $b (local.get $c))) ${store("$p")}) ${
    store("$p")
  }`,
  "passed over by a branch out of two blocks": `(block $a (block $b (br_if $a (local.get $c)) ${
    store("$p")
  }) ${store("$q")}) ${store("$p")} ${store("$q")}`,
  "a record that was forgotten, and another in its place": `(block $a
      (block $b (br_if $b (local.get $c)) ${store("$q")} (br_if $a (i32.eqz (local.get $c))))
      ${store("$p")}) ${store("$p")}`,
  "before a loop that assigns": `${store("$p")} (local.set $l (i32.const 2))
    (loop $again ${store("$p")} (local.set $p (local.get $q))
      (br_if $again (local.tee $l (i32.sub (local.get $l) (i32.const 1)))))`,
  "before a loop that assigns behind an inner one": `(local.set $l (i32.const 2))
    (loop $again (loop $inner ${store("$p")}) ${store("$p")} (local.set $p (local.get $q))
      (br_if $again (local.tee $l (i32.sub (local.get $l) (i32.const 1)))))`,
  "in a loop": `(local.set $l (i32.const 2))
    (loop $again (if (local.get $c) (then ${store("$p")})) (local.set $c (i32.const 0)) ${store("$p")}
      (br_if $again (local.tee $l (i32.sub (local.get $l) (i32.const 1))))) ${store("$p")} ${store("$q")}`,
  "passed over by an exception": `(block $b (try_table (catch_all $b) ${throwing} ${store("$p")})) ${
    store("$p")
  }`,
  "assigned before an exception": `${store("$p")}
    (block $b (try_table (catch_all $b) (local.set $p (local.get $q)) ${throwing})) ${store("$p")}`,
  "passed over by an exception, in the older form": `(try (do ${throwing} ${store("$p")}) (catch_all ${
    store("$p")
  })) ${store("$p")}`,
  "an exception that no one catches": `${store("$p")} ${store("$q", REACH)} ${throwing}`,
  "a trap": `${store("$p")} ${store("$q", REACH)} (unreachable)`,
  "a store that is out of bounds for half of it": `(i64.store (local.get $p) (i64.const 0))
    (i64.store (i32.const ${ROOM * PAGE - 4}) (i64.const 0))`,
  "behind the end of a function": `${store("$p")} (br_if 0 (local.get $c)) ${store("$q")} (return) ${
    store("$l")
  }`,
  "a block's parameter": `(local.get $p) (block (param i32) (i32.const 0) (i32.store8))
    (local.get $q) (loop (param i32) (i32.const 0) (i32.store8))`,
  "below what a call takes and gives": `(local.get $p) (call $two (i32.const 1) (local.get $q)) (i32.store8)`,
  "below vectors": `(local.get $p)
    (i8x16.extract_lane_u 0 (i8x16.add (i8x16.splat (local.get $q)) (i8x16.splat (local.get $c)))) (i32.store8)`,
};

test("every way through a function", () => {
  const addresses = [CHUNK - 1, CHUNK, 5 * CHUNK + 100, (PAGES + 1) * PAGE];
  for (const [way, body] of Object.entries(WAYS)) {
    const { changes } = keep(wasm(`(module (memory ${PAGES}) (tag $x)
      (func (export "${way}") (param $p i32) (param $q i32) (param $c i32) (local $l i32) ${body})
      (func $two (param i32 i32) (result i32) (local.get 1)))`));
    const changed = addresses.flatMap((p) =>
      addresses.flatMap((q) => [0, 1].map((condition) => changes(way, p, q, condition)))
    );
    assert.ok(changed.includes(true), way);
  }
});

test("bulk operations of any length", () => {
  const { changes } = keep(wasm(`(module (memory ${PAGES})
    (data $long "${"abcdefghij".repeat(10_000)}") (data $short "0123456789")
    (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 0) (local.get 1)))
    (func (export "copy") (param i32 i32) (memory.copy (local.get 0) (i32.const 77) (local.get 1)))
    (func (export "init") (param i32 i32) (memory.init $long (local.get 0) (i32.const 0) (local.get 1)))
    (func (export "initShort") (param i32 i32) (memory.init $short (local.get 0) (i32.const 0) (local.get 1))))`));
  for (const name of ["fill", "copy", "init", "initShort"]) {
    const changed = [1, 10, CHUNK, CHUNK + 1, 100_000, ROOM * PAGE, -1].flatMap((length) =>
      BORDERS.map((address) => changes(name, address, length))
    );
    assert.ok(changed.includes(true), name);
    assert.not.ok(changes(name, CHUNK, 0), name);
  }
});

test("what the host writes", () => {
  const { instance, memory, changesBy } = keep(
    wasm(`(module (memory (export "memory") ${PAGES})
      (func (export "grow") (param i32) (drop (memory.grow (local.get 0)))))`),
  );
  const guest = GuestMemory.exported(instance)!;
  const writes: Readonly<Record<string, (at: number) => void>> = {
    write: (at) => guest.write(at, [new Uint8Array(3), new Uint8Array(40_000)], LIMIT),
    clear: (at) => guest.clear(at, 20, LIMIT),
    setUint32: (at) => guest.setUint32(at, 0, LIMIT),
    setUint64: (at) => guest.setUint64(at, 0n, LIMIT),
    lend: (at) => guest.lend(at, 50_000, LIMIT, (bytes) => void bytes.fill(0)),
  };
  for (const [name, write] of Object.entries(writes)) {
    for (const at of [0, CHUNK - 1, CHUNK, 3 * PAGE - 2, 4 * PAGE]) {
      assert.ok(changesBy(`${name} at ${at}`, () => write(at)), name);
    }
    changesBy(`${name} behind growth`, () => {
      (instance.exports["grow"] as CallableFunction)(3);
      write((PAGES + 2) * PAGE - 1);
    });
  }
  // All that writes is in the table: what else there is only reads.
  const reading = ["constructor", "copy", "cut", "text", "terminated", "uint", "uint64"];
  assert.equal(
    Object.getOwnPropertyNames(GuestMemory.prototype).filter((name) => !reading.includes(name)).sort(),
    Object.keys(writes).sort(),
  );
  assert.ok(memory().length > PAGES * PAGE);
});

test("memory that has more chunks than the map has bits", () => {
  const { changes, memory } = keep(
    wasm(`(module (memory 1) (func (export "store") (param i32) ${store("0")}
      ${store("0", REACH - 17)}))`),
    noise,
    300,
  );
  const step = 3 * CHUNK - 1;
  let changed = 0;
  for (let at = 0; at < memory().length; at += step) if (changes("store", at)) changed++;
  // What lies beyond the page of noise is zero, so that a zero shows nothing there.
  assert.ok(memory().length > 100 * CHUNK && changed > 0);
});

test("what a map says of memories of any size", () => {
  const shift = 15;
  const ranges = (map: bigint, size: number) => {
    const found: [number, number][] = [];
    visitWritten(map, shift, size, (start, end) => void found.push([start, end]));
    return found;
  };
  const MIB = 1 << 20;
  assert.equal(ranges(0n, MIB), []);
  assert.equal(ranges(1n, MIB), [[0, CHUNK + REACH]]);
  assert.equal(ranges(0b1100n, MIB), [[2 * CHUNK, 4 * CHUNK + REACH]]);
  assert.equal(ranges(1n << 31n, MIB), [[31 * CHUNK, MIB]]);
  assert.equal(ranges(1n << 32n, MIB), []);
  assert.equal(ranges(-(1n << 63n), 4 * MIB), [[63 * CHUNK, 64 * CHUNK + REACH], [127 * CHUNK, 4 * MIB]]);
  assert.equal(ranges(-1n, 5 * MIB), [[0, 5 * MIB]]);
});

test("a function of too many stores is not recorded: all of the memory is put back", () => {
  const text = (stores: number) =>
    `(module (memory 1) (func (export "f") ${"(i32.store (i32.const 5) (i32.const 0))".repeat(stores)}))`;
  const records = (plain: Uint8Array) => {
    const { bytes } = instrument(plain, { maxPages: 16, recordsWrites: true });
    return WebAssembly.Module.exports(new WebAssembly.Module(bytes as BufferSource))
      .some(({ name }) => name === GUARD.write);
  };
  const many = wasm(text(60_000));
  assert.ok(records(wasm(text(1_000))));
  assert.not.ok(records(many));
  assert.ok(keep(many).changes("f"));
});

test("what is written while the instance is made belongs to its snapshot", () => {
  const plain = wasm(`(module (memory (export "memory") 1) (data (i32.const 9) "data")
    (func $start ${`(i32.store8 (i32.const 40000) (i32.const 7))`}) (start $start)
    (func (export "clear") (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))))`);
  const { bytes } = instrument(plain, { maxPages: 16, recordsWrites: true });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource));
  const deadline = new Deadline();
  deadline.attach(instance);
  (instance.exports[GUARD.start] as CallableFunction)();
  const snapshot = new Snapshot(instance, "kubewarden-wapc");
  (instance.exports["clear"] as CallableFunction)();
  assert.ok(snapshot.restore());
  const memory = wholeMemory(instance.exports["memory"] as WebAssembly.Memory);
  assert.equal([...memory.subarray(9, 13), memory[40_000]], [...new TextEncoder().encode("data"), 7]);
});

test("an instance with two snapshots is put back to either, in every order", () => {
  const plain = wasm(`(module (memory (export "memory") ${PAGES})
    (func (export "put") (param $p i32) (i32.store8 (local.get $p) (i32.const 7))))`);
  const { bytes } = instrument(plain, { maxPages: 1024, recordsWrites: true });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource));
  const deadline = new Deadline();
  deadline.attach(instance);
  deadline.arm(10_000);
  const memory = () => wholeMemory(instance.exports[GUARD.memory] as WebAssembly.Memory).slice();
  const put = (at: number) => (instance.exports["put"] as CallableFunction)(at);
  const first = new Snapshot(instance, "opa");
  const states = new Map([[first, memory()]]);
  put(3 * CHUNK);
  put(PAGE + 1);
  const second = new Snapshot(instance, "opa");
  states.set(second, memory());
  let at = 0;
  for (const [index, to] of [second, first, first, second, second, first, second, first].entries()) {
    for (let writes = 0; writes < index; writes++) put(at = (at + 7_919 * CHUNK + 12_345) % (PAGES * PAGE));
    assert.ok(to.restore());
    assert.ok(Buffer.compare(memory(), states.get(to)!) === 0, `step ${index}: the memory differs`);
  }
});

test.run();
