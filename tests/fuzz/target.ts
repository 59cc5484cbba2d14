/** What the fuzzer can be pointed at. Each file of `targets/` exports one {@link Target}. */
import type { Random } from "./random.ts";

/** A part of the product that takes untrusted input. */
export interface Target {
  readonly name: string;
  /** Loads what the target needs; a text is the reason why it can't run here. */
  readonly setUp?: () => Promise<string | void> | string | void;
  /** Inputs to begin from. Each is run before anything is generated. */
  readonly seeds: () => readonly Uint8Array[];
  /** An input, made anew or out of a seed. */
  readonly generate: (random: Random, seeds: readonly Uint8Array[]) => Uint8Array;
  /** The errors that the part says it throws for bad input. Anything else that it throws is a finding. */
  // deno-lint-ignore no-explicit-any
  readonly expected: readonly (abstract new (...given: any[]) => Error)[];
  /** Runs one input. Throws one of `expected` where it is refused, {@link Finding} where the answer is wrong. */
  readonly run: (input: Uint8Array) => void | Promise<void>;
  /** Milliseconds that one input may take; 100 unless given. */
  readonly limitMs?: number;
  /** MiB by which one input may raise the process's memory; 128 unless given. */
  readonly limitMib?: number;
}

/** What a finding is. */
export type FindingKind = "difference" | "crash" | "hang" | "late" | "memory" | "pollution" | "long error";
export const FINDING_KINDS: readonly FindingKind[] = [
  "difference",
  "crash",
  "hang",
  "late",
  "memory",
  "pollution",
  "long error",
];

/** A fault of the product. */
export class Finding extends Error {
  override readonly name = "Finding";
  readonly kind: FindingKind;

  constructor(kind: FindingKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Throws a {@link Finding} unless two answers are the same. */
export function same(what: string, expected: unknown, actual: unknown): void {
  if (!Object.is(expected, actual)) {
    throw new Finding("difference", `${what}: expected ${short(expected)}, got ${short(actual)}`);
  }
}

/** Throws a {@link Finding} unless `holds`. */
export function holds(condition: boolean, what: string): void {
  if (!condition) throw new Finding("difference", what);
}

const short = (value: unknown): string => {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
};
