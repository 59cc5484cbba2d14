/** Valid modules from randomness, made by `generator/` (wasm-smith) in this process. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const file = join(
  process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"),
  "portreeve/fuzz/module_generator.wasm",
);
/** What the generator keeps of each module adds up where it gives up half-way; it is made anew beyond this. */
const MAX_GENERATOR_BYTES = 64 << 20;

interface Generator {
  readonly memory: WebAssembly.Memory;
  input(length: number): number;
  output(): number;
  generate(length: number, fuel: number, imports: number, disallowTraps: number): number;
}

let compiled: WebAssembly.Module | undefined;
let generator: Generator | undefined;

/** Loads the generator. Returns the reason why it can't. */
export function loadGenerator(): string | undefined {
  if (!existsSync(file)) {
    return "the generator of modules is not built; build it with: sh tests/fuzz/generator/build.sh";
  }
  compiled = new WebAssembly.Module(readFileSync(file));
  return undefined;
}

/**
 * A module made of `randomness`; undefined where these bytes make none. With `fuel` above 0 the module counts its steps and
 * traps when they are used up; with `imports` it imports things of any name and type; with `disallowTraps` its
 * operands are kept where instructions don't trap.
 */
export function generateModule(
  randomness: Uint8Array,
  fuel: number,
  imports: boolean,
  disallowTraps: boolean,
): Uint8Array | undefined {
  if (generator === undefined || generator.memory.buffer.byteLength > MAX_GENERATOR_BYTES) {
    generator = new WebAssembly.Instance(compiled!).exports as unknown as Generator;
  }
  try {
    const at = generator.input(randomness.length);
    new Uint8Array(generator.memory.buffer).set(randomness, at);
    const length = generator.generate(randomness.length, fuel, imports ? 1 : 0, disallowTraps ? 1 : 0);
    if (length === 0) return undefined;
    return new Uint8Array(generator.memory.buffer, generator.output(), length).slice();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    generator = undefined; // it panicked
    return undefined;
  }
}
