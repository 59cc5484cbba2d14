/**
 * After each call a guest's memory, globals and tables are put back byte for byte, whatever it wrote, in whatever way, and however the
 * call ended. Memory is not zero to begin with, so that written zeros show.
 *
 * The input is what a module is made of: a byte that chooses the generator (`../store_programs.ts`, or wasm-smith where it is built), a
 * seed, and randomness. Input that begins with `\0asm` is a module itself.
 */
import { Deadline } from "../../../evaluator/apply/deadline.ts";
import { wholeMemory } from "../../../evaluator/apply/guest_memory.ts";
import { Snapshot } from "../../../evaluator/apply/snapshot.ts";
import { GUARD, instrument } from "../../../evaluator/render/instrument.ts";
import { WasmFormatError } from "../../../evaluator/render/wasm_binary.ts";
import { generateModule, loadGenerator } from "../module_generator.ts";
import { moduleTypes, VALUE } from "../module_types.ts";
import { type Random, randomOf } from "../random.ts";
import { address, storeProgram } from "../store_programs.ts";
import { Finding, holds, same, type Target } from "../target.ts";

const MAX_PAGES = 64;
const FUEL = 400;
const CALLS = 12;
const LIMIT_MS = 20;

const NOISE = Uint8Array.from({ length: MAX_PAGES << 16 }, (_, at) => (at * 31 + (at >> 8)) | 1);

const deadline = new Deadline();
let hasGenerator = false;

type State = readonly (readonly [name: string, value: unknown])[];

/** A value, unless it is of a type that JavaScript can't have. */
function readable(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError || error instanceof WebAssembly.RuntimeError) return undefined;
    throw error;
  }
}

/** An instance; undefined where it can't be made, its segments being out of bounds. */
function instantiate(module: WebAssembly.Module): WebAssembly.Instance | undefined {
  try {
    return new WebAssembly.Instance(module);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Globals and tables; a guest's are all exported, by names of ours. */
function stateOf(instance: WebAssembly.Instance): State {
  return Object.entries(instance.exports).flatMap(([name, value]): State => {
    if (value instanceof WebAssembly.Global) return [[name, readable(() => value.value)]];
    if (!(value instanceof WebAssembly.Table) || name === GUARD.tick) return [];
    return Array.from(
      { length: value.length },
      (_, index) => [`${name} ${index}`, readable(() => value.get(index))] as const,
    );
  });
}

function argument(type: number, random: Random): unknown {
  switch (type) {
    case VALUE.i64:
      return BigInt(address(random));
    case VALUE.func:
    case VALUE.extern:
      return null;
    default:
      return address(random);
  }
}

/** Calls a function. How the call ends doesn't matter, but for what is a fault of ours. */
function call(target: CallableFunction, values: readonly unknown[]): void {
  deadline.arm(LIMIT_MS);
  try {
    target(...values);
  } catch (error) {
    const { Exception } = WebAssembly as unknown as { Exception: new () => object };
    const expected = error instanceof WebAssembly.RuntimeError || error instanceof RangeError ||
      error instanceof TypeError || error instanceof Exception;
    if (!expected) throw error;
  }
}

function restores(bytes: Uint8Array, random: Random): void {
  if (!WebAssembly.validate(bytes as BufferSource)) return; // this runtime has not all features
  const types = moduleTypes(bytes);
  const guarded = instrument(bytes, { maxPages: MAX_PAGES, recordsWrites: true });
  if (!guarded.restorable || types.imports.length > 0) return;
  const module = new WebAssembly.Module(guarded.bytes as BufferSource);
  const instance = instantiate(module);
  if (!instance) return;
  deadline.attach(instance);
  const memory = instance.exports[GUARD.memory] as WebAssembly.Memory | undefined;
  if (!memory) return;
  const start = instance.exports[GUARD.start];
  if (typeof start === "function") call(start, []);
  wholeMemory(memory).set(NOISE.subarray(0, memory.buffer.byteLength));
  const snapshot = new Snapshot(instance, "extism", random.pick([0, 0, 0, 48]));
  const before = wholeMemory(memory).slice();
  const state = stateOf(instance);
  const functions = [...types.functions];
  for (let left = functions.length > 0 ? CALLS : 0; left > 0; left--) {
    const [name, { parameters }] = random.pick(functions);
    call(
      instance.exports[name] as CallableFunction,
      parameters.map((type) => argument(type, random)),
    );
    if (!snapshot.restore()) return;
    holds(Buffer.compare(before, wholeMemory(memory)) === 0, "the memory differs from its snapshot");
    stateOf(instance).forEach(([, value], index) => same(state[index]![0], state[index]![1], value));
    same("what there is", state.length, stateOf(instance).length);
  }
}

export const target: Target = {
  name: "restores",
  setUp: () => void (hasGenerator = loadGenerator() === undefined),
  seeds: () => [],
  generate: (random) => random.bytes(8 + (random.oneIn(3) ? random.below(3000) : 0)),
  expected: [WasmFormatError],
  limitMs: 1000,
  run: (input) => {
    const [choice = 0, a = 0, b = 0, c = 0, d = 0] = input;
    const random = randomOf((a << 24) | (b << 16) | (c << 8) | d, choice);
    if (choice === 0 && a === 0x61 && b === 0x73) return restores(input, random);
    if (input.length > 8 && hasGenerator) {
      const module = generateModule(input.subarray(5), FUEL, false, (choice & 1) === 0);
      return module && restores(module, random);
    }
    const module = storeProgram(random);
    if (!WebAssembly.validate(module as BufferSource)) {
      throw new Finding("crash", "the generator made a module that is not valid");
    }
    restores(module, random);
  },
};
