/** Guests of every execution mode that call themselves, with as many values to keep as one likes. */
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import { BEFORE_JUDGING, metadataOf, statefulText } from "./stateful_guests.ts";
import { policyText, wasm, withMetadata } from "./wasm_text.ts";

/** `$deep` calls itself as often as it is told and does `bottom` in the last call. Each call needs `locals` values of its own afterwards. */
function deepFunction(locals: number, bottom: string): string {
  const each = (text: (index: number) => string) =>
    Array.from({ length: locals }, (_, index) => text(index)).join("\n");
  // What comes from memory can't be computed a second time, so each call has to keep it.
  const read = (at: number) => `(i64.add (i64.load (i32.const ${at})) (i64.extend_i32_u (local.get $left)))`;
  return `(func $deep (param $left i32)
    ${each((index) => `(local $value${index} i64)`)}
    ${each((index) => `(local.set $value${index} ${read(2000 + 8 * index)})`)}
    (if (local.get $left)
      (then (call $deep (i32.sub (local.get $left) (i32.const 1))))
      (else ${bottom}))
    ${each((index) => `(i64.store (i32.const ${2000 + 8 * index}) (local.get $value${index}))`)}
    (i32.store (i32.const 1000) (local.get $left)))`;
}

/** A guest that first calls itself `depth` times, and then accepts. */
export function deepGuest(mode: ExecutionMode, locals: number, depth: number): Uint8Array {
  const text = statefulText(mode)
    .replace(BEFORE_JUDGING, `(call $deep (i32.const ${depth}))`)
    .replace("(global $calls", `${deepFunction(locals, "(nop)")}\n  (global $calls`);
  return withMetadata(wasm(text), metadataOf(mode));
}

/** A waPC guest that logs, does `first`, calls itself `depth` times, does `bottom` in the last call, and accepts. */
export function deepPolicy(
  locals: number,
  depth: number,
  { first = "", bottom = "(nop)", declarations = "" }: DeepOptions = {},
): Uint8Array {
  return withMetadata(wasm(policyText(
    `(call $log (i32.const 64) (i32.const 17)) ${first} (call $deep (i32.const ${depth}))`,
    `${declarations} ${deepFunction(locals, bottom)}`,
  )));
}

/** What a guest does besides, as Wasm text. */
export type DeepOptions = {
  readonly first?: string;
  readonly bottom?: string;
  readonly declarations?: string;
};
