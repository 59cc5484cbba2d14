/**
 * Valid modules: with the guards that the product puts in they must compute what they compute without them, end in time, and
 * be put back to their snapshot byte for byte. (wasmtime does the same with two engines: `differential_v8`.)
 *
 * The input is what the generator makes a module of, so that a failing one can be made smaller: a byte of choices, a byte that
 * the arguments of calls follow from, and randomness. Input that begins with `\0asm` is a module itself.
 */
import { Deadline } from "../../../evaluator/apply/deadline.ts";
import { Snapshot } from "../../../evaluator/apply/snapshot.ts";
import { trapText } from "../../../evaluator/apply/trap_text.ts";
import { GUARD, instrument } from "../../../evaluator/render/instrument.ts";
import { WasmFormatError } from "../../../evaluator/render/wasm_binary.ts";
import { generateModule, loadGenerator } from "../module_generator.ts";
import { type Import, type ModuleTypes, moduleTypes, VALUE } from "../module_types.ts";
import { randomOf } from "../random.ts";
import { lateMs, stopwatch } from "../stopwatch.ts";
import { Finding, holds, same, type Target } from "../target.ts";

/** As in `generator/src/lib.rs`. */
const MAX_PAGES = 8;
const FUEL = 400;
const MAX_CALLS = 12;
/** The time of one call of a guest that may never end, and how late it may be stopped (the promise), in milliseconds. */
const LIMIT_MS = 10;
const MAX_LATE_MS = 100;

const deadline = new Deadline();

/** A call that did not end, or whose end depends on how much stack an engine gives: nothing can be compared from there on. */
class Incomparable extends Error {}

type Value = unknown;

function argument(type: number, seed: number): Value {
  const random = randomOf(seed, 0);
  switch (type) {
    case VALUE.i32:
      return random.oneIn(2) ? random.below(70_000) : random.below(2 ** 32) | 0;
    case VALUE.i64:
      return BigInt.asIntN(64, BigInt(random.below(2 ** 32)) * BigInt(random.below(2 ** 32)));
    case VALUE.f32:
    case VALUE.f64:
      return random.pick([0, -0, 1.5, -1e30, Infinity, NaN, 2 ** 31, -(2 ** 63)]);
    case VALUE.extern:
      return random.oneIn(2) ? null : "external";
    default:
      return null;
  }
}

const callable = (type: number) =>
  type === VALUE.i32 || type === VALUE.i64 || type === VALUE.f32 || type === VALUE.f64 ||
  type === VALUE.func || type === VALUE.extern;

const TABLE_KIND: Readonly<Record<number, WebAssembly.TableKind>> = {
  [VALUE.func]: "anyfunc",
  [VALUE.extern]: "externref",
};
const GLOBAL_TYPE: Readonly<Record<number, WebAssembly.ValueType>> = {
  [VALUE.i32]: "i32",
  [VALUE.i64]: "i64",
  [VALUE.f32]: "f32",
  [VALUE.f64]: "f64",
  [VALUE.v128]: "v128",
  [VALUE.func]: "anyfunc",
  [VALUE.extern]: "externref",
};

/** Something to import, the same whenever it is made. Undefined for what JavaScript can't make. */
function imported(found: Import): unknown {
  switch (found.kind) {
    case "function": {
      const { results } = found.type;
      if (!results.every(callable)) return undefined;
      const values = results.map((type, index) => argument(type, index));
      return () => values.length > 1 ? values : values[0];
    }
    case "memory":
      return new WebAssembly.Memory({ initial: found.limits.min, maximum: found.limits.max ?? MAX_PAGES });
    case "table": {
      const element = TABLE_KIND[found.type];
      if (element === undefined) return undefined;
      return new WebAssembly.Table({ element, initial: found.limits.min, maximum: found.limits.max! });
    }
    case "global": {
      const value = GLOBAL_TYPE[found.type];
      if (value === undefined || found.type === VALUE.v128) return undefined;
      return new WebAssembly.Global({ value, mutable: found.mutable }, argument(found.type, 1));
    }
    case "tag": {
      const { Tag } = WebAssembly as unknown as { Tag?: new (type: { parameters: string[] }) => unknown };
      if (!Tag || !found.type.parameters.every((type) => type in GLOBAL_TYPE)) return undefined;
      return new Tag({ parameters: found.type.parameters.map((type) => GLOBAL_TYPE[type]!) });
    }
  }
}

function importsOf({ imports }: ModuleTypes): WebAssembly.Imports {
  const made: Record<string, Record<string, WebAssembly.ImportValue>> = Object.create(null);
  const once = new Map<string, unknown>();
  for (const found of imports) {
    const key = JSON.stringify([found.module, found.name]);
    // One name imported twice with two types can't be served.
    if (once.has(key)) throw new Incomparable();
    const value = imported(found);
    if (value === undefined) throw new Incomparable();
    once.set(key, value);
    (made[found.module] ??= Object.create(null))[found.name] = value as WebAssembly.ImportValue;
  }
  return made;
}

/** How a call ended, in words that are the same for the same end. */
function valueText(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(valueText).join()}]`;
  if (typeof value === "function") return `function ${value.name}`;
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return "-0";
  return String(value);
}

/** What a guest that did not return ended with. */
interface Stopped {
  readonly stopped: string;
}

function stopped(error: unknown): Stopped {
  const text = trapText(error);
  if (deadline.expired || text.includes("stack")) throw new Incomparable();
  if (error instanceof WebAssembly.RuntimeError) return { stopped: text };
  const { Exception } = WebAssembly as unknown as { Exception?: new () => object };
  if (Exception && error instanceof Exception) return { stopped: "an exception" };
  // A value that can't cross to JavaScript, or an import that gives what its type does not allow.
  if (error instanceof TypeError) return { stopped: "TypeError" };
  throw error;
}

function end(call: () => Value): string | Stopped {
  deadline.arm(LIMIT_MS);
  const started = stopwatch();
  let ended: string | Stopped | undefined;
  let fault: unknown;
  try {
    ended = valueText(call());
  } catch (error) {
    fault = error;
  }
  const late = lateMs(started, LIMIT_MS);
  if (late > MAX_LATE_MS) throw new Finding("late", `a call ended ${Math.round(late)} ms after its deadline`);
  return ended ?? stopped(fault);
}

const endText = (ended: string | Stopped): string => typeof ended === "string" ? ended : ended.stopped;

/** What of an instance can be seen from outside: memory, globals, tables, by the names of `names`. */
function stateOf(
  exports: WebAssembly.Exports,
  names: readonly string[],
): readonly (readonly [string, unknown])[] {
  const found: (readonly [string, unknown])[] = [];
  for (const name of names) {
    const value = exports[name];
    if (value instanceof WebAssembly.Memory) found.push([`memory ${name}`, new Uint8Array(value.buffer)]);
    else if (value instanceof WebAssembly.Global) {
      let text: string;
      try {
        text = valueText(value.value);
      } catch {
        text = "not readable";
      }
      found.push([`global ${name}`, text]);
    } else if (value instanceof WebAssembly.Table) {
      const items: string[] = [];
      for (let index = 0; index < value.length; index++) {
        try {
          items.push(value.get(index) === null ? "-" : "x");
        } catch {
          items.push("?");
        }
      }
      found.push([`table ${name}`, items.join("")]);
    }
  }
  return found;
}

function sameState(
  when: string,
  expected: readonly (readonly [string, unknown])[],
  actual: readonly (readonly [string, unknown])[],
): void {
  same(`${when}: what is exported`, expected.length, actual.length);
  expected.forEach(([name, value], index) => {
    const other = actual[index]![1];
    if (!(value instanceof Uint8Array)) same(`${when}: ${name}`, value, other);
    else holds(Buffer.compare(value, other as Uint8Array) === 0, `${when}: a memory differs`);
  });
}

/** An instance after its start function, or how making it ended. */
function instantiate(
  module: WebAssembly.Module,
  types: ModuleTypes,
  guarded: boolean,
): WebAssembly.Instance | Stopped {
  const imports = importsOf(types);
  let instance: WebAssembly.Instance;
  try {
    instance = new WebAssembly.Instance(module, imports);
  } catch (error) {
    if (error instanceof RangeError) throw new Incomparable();
    return stopped(error);
  }
  if (!guarded) return instance;
  deadline.attach(instance);
  // As the runtimes do for a memory that the host gives.
  const memory = types.imports.find(({ kind }) => kind === "memory");
  if (memory?.kind === "memory") {
    (instance.exports[GUARD.pages] as WebAssembly.Global).value = memory.limits.min;
  }
  const start = instance.exports[GUARD.start];
  const ended = typeof start === "function" ? end(() => (start as () => void)()) : "";
  return typeof ended === "string" ? instance : ended;
}

/** Calls what the module exports, one after the other, and tells how each call ended. */
function callAll(instance: WebAssembly.Instance, types: ModuleTypes, seed: number): readonly string[] {
  const answers: string[] = [];
  for (const [name, { parameters, results }] of types.functions) {
    if (answers.length >= MAX_CALLS) break;
    if (!parameters.every(callable) || !results.every(callable)) continue;
    const call = instance.exports[name] as (...values: Value[]) => Value;
    const values = parameters.map((type, index) => argument(type, seed + index));
    answers.push(endText(end(() => call(...values))));
  }
  return answers;
}

function compare(what: string, expected: readonly string[], actual: readonly string[]): void {
  expected.forEach((answer, index) => same(`${what}, call ${index}`, answer, actual[index]));
}

function differential(bytes: Uint8Array, seed: number): void {
  if (!WebAssembly.validate(bytes as BufferSource)) return; // this runtime has not all features
  const types = moduleTypes(bytes);
  const { bytes: guardedBytes, restorable } = instrument(bytes, { maxPages: MAX_PAGES, recordsWrites: true });
  let guardedModule: WebAssembly.Module;
  try {
    guardedModule = new WebAssembly.Module(guardedBytes as BufferSource);
  } catch (error) {
    throw new Finding("difference", `a valid module is invalid with guards: ${(error as Error).message}`);
  }
  const names = WebAssembly.Module.exports(guardedModule)
    .map(({ name }) => name).filter((name) => !name.startsWith(GUARD.prefix));
  const guarded = instantiate(guardedModule, types, true);
  const answers = "stopped" in guarded ? [] : callAll(guarded, types, seed);
  // The guarded module has ended, so the plain one will.
  const plain = instantiate(new WebAssembly.Module(bytes as BufferSource), types, false);
  if ("stopped" in guarded || "stopped" in plain) {
    const text = (made: WebAssembly.Instance | Stopped) => "stopped" in made ? made.stopped : "an instance";
    return same("instantiation", text(plain), text(guarded));
  }
  const plainAnswers = callAll(plain, types, seed);
  compare("with guards", plainAnswers, answers);
  sameState("with guards", stateOf(plain.exports, names), stateOf(guarded.exports, names));
  if (restorable) restores(guardedModule, types, names, seed, plainAnswers);
}

const OUT_OF_BOUNDS = "out of bounds memory access";

/** An instance that is kept for further calls: its memory has room from the first one on, and it is put back after each. */
function restores(
  module: WebAssembly.Module,
  types: ModuleTypes,
  names: readonly string[],
  seed: number,
  plainAnswers: readonly string[],
): void {
  const kept = instantiate(module, types, true);
  if ("stopped" in kept) throw new Finding("difference", `a second instance ended with ${kept.stopped}`);
  const copied = () =>
    stateOf(kept.exports, names).map(([name, value]) =>
      [name, value instanceof Uint8Array ? value.slice() : value] as const
    );
  const fresh = copied();
  const snapshot = new Snapshot(kept, "wasi");
  const before = copied();
  sameBefore("with room", fresh, before);
  const answers = callAll(kept, types, seed);
  // Loads beyond the guest's own pages find zeros where the memory has room; up to there the answers are those without room.
  const comparable = plainAnswers.findIndex((answer) => answer.includes(OUT_OF_BOUNDS));
  compare("with room", comparable < 0 ? plainAnswers : plainAnswers.slice(0, comparable), answers);
  if (!snapshot.restore()) return;
  const after = stateOf(kept.exports, names);
  sameBefore("after restore", before, after);
  compare("after restore", answers, callAll(kept, types, seed));
}

/** The state is what it was; memory may have grown by zeros. */
function sameBefore(
  when: string,
  before: readonly (readonly [string, unknown])[],
  after: readonly (readonly [string, unknown])[],
): void {
  same(`${when}: what is exported`, before.length, after.length);
  before.forEach(([name, value], index) => {
    const now = after[index]![1];
    if (!(value instanceof Uint8Array)) return same(`${when}: ${name}`, value, now);
    const bytes = now as Uint8Array;
    // Names come from the input: they don't belong into what tells faults apart.
    holds(Buffer.compare(value, bytes.subarray(0, value.length)) === 0, `${when}: a memory differs`);
    holds(bytes.subarray(value.length).every((byte) => byte === 0), `${when}: a memory keeps bytes`);
  });
}

/** Choices in the first byte of the input. */
const ENDLESS = 0x0f, IMPORTS = 0x30, TRAPS = 0x40;

export const target: Target = {
  name: "modules",
  setUp: loadGenerator,
  seeds: () => [],
  generate: (random) => random.bytes(64 + random.below(random.oneIn(8) ? 16_384 : 3000)),
  expected: [WasmFormatError],
  limitMs: 2000,
  run: (input) => {
    const [choices = 0, seed = 0] = input;
    try {
      if (choices === 0 && seed === 0x61 && input[2] === 0x73) return differential(input, 7);
      const terminates = (choices & ENDLESS) !== 0;
      const module = generateModule(
        input.subarray(2),
        terminates ? FUEL : 0,
        (choices & IMPORTS) === 0,
        (choices & TRAPS) === 0,
      );
      if (module) differential(module, seed);
    } catch (error) {
      if (!(error instanceof Incomparable)) throw error;
    }
  },
};
