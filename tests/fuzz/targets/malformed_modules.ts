/**
 * Modules that are none, or none that may be served: whatever the bytes are, preparing them in any mode gives a module or one
 * bounded error, in bounded time and memory.
 */
import { globSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Deadline } from "../../../evaluator/apply/deadline.ts";
import { ModuleError, prepareModule, readMetadata } from "../../../evaluator/apply/prepare.ts";
import type { ExecutionMode } from "../../../evaluator/types/metadata.ts";
import { generateModule, loadGenerator } from "../module_generator.ts";
import { extremeModule } from "../extreme_module.ts";
import { mutateBytes } from "../mutate.ts";
import { randomOf } from "../random.ts";
import type { Target } from "../target.ts";

const MODES: readonly ExecutionMode[] = ["kubewarden-wapc", "wasi", "opa", "gatekeeper", "extism"];
const policies = fileURLToPath(new URL("../../policies/", import.meta.url));
const GENERATED = 60;
/** Of each module so many functions are called, for so many milliseconds. */
const MAX_CALLS = 3;
const LIMIT_MS = 20;
const MAX_SEED = 64 << 10;

const deadline = new Deadline();

/** Compilers may leave their work to the first call of a function. What the guest does is no matter here. */
function callSome(module: WebAssembly.Module): void {
  let instance: WebAssembly.Instance;
  try {
    instance = new WebAssembly.Instance(module);
  } catch {
    return; // a segment out of bounds
  }
  deadline.attach(instance);
  const functions = Object.values(instance.exports).filter((value) => typeof value === "function");
  for (const call of functions.slice(0, MAX_CALLS)) {
    deadline.arm(LIMIT_MS);
    try {
      (call as () => void)();
    } catch {
      // a trap, or a parameter that no number can be
    }
  }
}

export const target: Target = {
  name: "malformed-modules",
  setUp: loadGenerator,
  seeds: () => {
    // Real guests small enough to be changed and compiled hundreds of times a second.
    const real = globSync("*/*.wasm", { cwd: policies }).sort().map((path) => policies + path)
      .filter((path) => statSync(path).size <= MAX_SEED)
      .map((path) => new Uint8Array(readFileSync(path)));
    const generated = Array.from({ length: GENERATED }, (_, at) => {
      const random = randomOf(1, at);
      return generateModule(random.bytes(200 + random.below(3000)), 0, random.oneIn(2), false);
    });
    return [
      ...real,
      ...generated.filter((module) => module !== undefined && module.length <= MAX_SEED),
    ] as Uint8Array[];
  },
  generate: (random, seeds) =>
    random.oneIn(16) ? extremeModule(random) : mutateBytes(random, random.pick(seeds), seeds),
  expected: [ModuleError],
  limitMs: 500,
  run: async (module) => {
    let fault: unknown;
    try {
      readMetadata(module);
    } catch (error) {
      if (!(error instanceof ModuleError)) throw error;
      fault = error;
    }
    // What a mode changes comes after the checks that all share: one of the modes for each input, all in the long run.
    const mode = MODES[(module.at(-1) ?? 0) % MODES.length]!;
    const prepared = await prepareModule(module, { memoryMib: 16 }, mode);
    if (WebAssembly.Module.imports(prepared.module).length === 0) callSome(prepared.module);
    if (fault) throw fault;
  },
};
