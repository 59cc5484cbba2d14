/**
 * Runs hostile guests on the runtime it is started with, one after the other, and prints a JSON line for each: how much processor
 * time they take between two looks at the clock. A process of its own, started by `instruction_prices.ts`.
 */
import process from "node:process";
import binaryen from "binaryen";
import { Deadline } from "../../evaluator/apply/deadline.ts";
import { instrument } from "../../evaluator/render/instrument.ts";
import { HOSTILE_GUESTS, hostileText } from "../types/hostile_guests.ts";
import type { PriceRow } from "../types/hostile_guests.ts";

const { Features } = binaryen;
const FEATURES = Features.BulkMemory | Features.ExceptionHandling | Features.Multivalue |
  Features.MutableGlobals | Features.ReferenceTypes | Features.SIMD128 | Features.SignExt |
  Features.TailCall | Features.NontrappingFPToInt | Features.GC | Features.Atomics;
const MAX_PAGES = 8_192;
function assemble(text: string): Uint8Array {
  const module = binaryen.parseText(text);
  module.setFeatures(FEATURES);
  const bytes = module.emitBinary();
  module.dispose();
  return bytes;
}

/** Milliseconds that this thread has used a processor. Some kernels count in steps of 4 ms. */
function used(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function measure(name: string, module: Uint8Array, runMs: number): PriceRow {
  const { bytes } = instrument(module, { maxPages: MAX_PAGES, recordsWrites: true });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource));
  let ticks = 0, longest = 0, last = 0, start = 0;
  const deadline = new Deadline(() => {
    const now = used();
    longest = Math.max(longest, now - last);
    last = now;
    ticks++;
    if (now - start >= runMs) deadline.expire();
  });
  deadline.attach(instance);
  deadline.arm(Infinity);
  ticks = longest = 0;
  start = last = used();
  try {
    (instance.exports["run"] as () => void)();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
  }
  const ended = used();
  return {
    name,
    meanMs: (ended - start) / ticks,
    longestMs: Math.max(longest, ended - last),
    lateMs: ended - start - runMs,
  };
}

const [runMs, filter = ""] = process.argv.slice(2);
for (const [name, guest] of Object.entries(HOSTILE_GUESTS)) {
  if (!name.includes(filter)) continue;
  const module = assemble(
    `(module (memory ${guest.pages ?? 1}) ${hostileText(guest)} (export "run" (func $hostile)))`,
  );
  console.log(JSON.stringify(measure(name, module, Number(runMs))));
}
