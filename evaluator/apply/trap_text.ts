/** What ended a guest's code, in words that don't depend on the runtime. */
import { boundedText } from "../render/bounded_text.ts";
import { GuestExit } from "./wasi.ts";

/** What Node ("Maximum call stack size exceeded") and Bun (the same, or "Stack overflow") say when the call stack is used up. */
const EXHAUSTED = /call stack|stack overflow/i;

/** Traps as Node and Bun word them, and as they are told to users. */
const TRAPS: readonly (readonly [RegExp, string])[] = [
  [/unreachable/i, "unreachable instruction executed"],
  [EXHAUSTED, "call stack exhausted"],
  [/out.of.bounds memory|memory access out of bounds/i, "out of bounds memory access"],
  [
    /out.of.bounds table|table index is out of bounds|table access/i,
    "undefined element: out of bounds table access",
  ],
  [/divi(de|sion) by zero|remainder by zero/i, "integer divide by zero"],
  [/divide result unrepresentable|integer overflow/i, "integer overflow"],
  [/unrepresentable in integer range|out of bounds trunc/i, "invalid conversion to integer"],
  [/throw_ref on a null|rethrowing null|dereferencing a null/i, "null reference"],
  [/null function|uninitialized element|call_indirect to a null/i, "uninitialized element"],
  [/signature|null table entry/i, "indirect call type mismatch"],
];

/** Whether an error that left a guest says that the call stack is used up, by the guest or by host code that it called. */
export function isStackExhaustion(error: unknown): boolean {
  return error instanceof Error && EXHAUSTED.test(error.message);
}

/** Characters of an error that is no trap. */
const MAX_MESSAGE = 1000;

/** The text of an error that left a guest. */
export function trapText(error: unknown): string {
  if (error instanceof GuestExit) return `error while executing: ${error.message}`;
  // What the guest threw itself, with a tag of its own; Bun and Node say nothing of it in common.
  if (error instanceof WebAssembly.Exception) {
    return "error while executing: wasm trap: an exception of the guest that nothing caught";
  }
  const message = error instanceof Error ? error.message : String(error);
  const known = TRAPS.find(([pattern]) => pattern.test(message));
  // Bun adds which JavaScript called the guest.
  const text = message.replace(/ \(evaluating '.*'\)$/s, "");
  return `error while executing: wasm trap: ${known ? known[1] : boundedText(text, MAX_MESSAGE)}`;
}
