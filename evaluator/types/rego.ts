/** Values of the Rego language, as builtins take and give them. */

/** A number, kept as the text that spells it: OPA's numbers have no limit of size or precision. */
export class RegoNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A set: its members in order, each once. Made with `setOf` of `render/rego_value.ts`. */
export class RegoSet {
  readonly members: readonly RegoValue[];

  constructor(members: readonly RegoValue[]) {
    this.members = members;
  }
}

/** An object, whose keys may be any values: its entries in the order of the keys. Made with `objectOf`. */
export class RegoObject {
  readonly entries: readonly (readonly [key: RegoValue, value: RegoValue])[];

  constructor(entries: readonly (readonly [RegoValue, RegoValue])[]) {
    this.entries = entries;
  }
}

/** Any value of Rego. */
export type RegoValue = null | boolean | string | RegoNumber | readonly RegoValue[] | RegoSet | RegoObject;

/** What a builtin may ask of the host; the render floor has neither clock nor randomness. */
export interface RegoContext {
  /** Nanoseconds since 1970: the same at every call of one evaluation. */
  now(): bigint;
  /** Random bytes. */
  random(length: number): Uint8Array;
  /**
   * The answer that was made for this key before in the same evaluation, else the one that `make` gives, which is kept
   * (`rand.intn`, `uuid.rfc4122`). Throws {@link BuiltinHalt} when too many are kept.
   */
  remember(key: string, make: () => RegoValue): RegoValue;
  /** Throws {@link BuiltinHalt} when the evaluation's time is up. Loops count their work instead (`render/work.ts`). */
  check(): void;
  /**
   * The addresses of a host name, found through the host capability `net/v1/dns_lookup_host`; the evaluation waits. Throws
   * {@link BuiltinError} where the name has none, {@link BuiltinHalt} where that is not known.
   */
  resolve(name: string): readonly string[];
  /** Passes a note of the policy on to its log. */
  note(message: string): void;
}

/** A builtin. Undefined or a thrown {@link BuiltinError} makes the expression that calls it undefined. */
export type RegoBuiltin = (operands: readonly RegoValue[], context: RegoContext) => RegoValue | undefined;

/** Builtins by name. */
export type RegoBuiltins = Readonly<Record<string, RegoBuiltin>>;

/** Raised for operands that a builtin can't work with; the message says which and why. */
export class BuiltinError extends Error {
  override readonly name = "BuiltinError";
}

/** Raised when a builtin would take too much time or memory: the whole evaluation fails, so that no verdict rests on it. */
export class BuiltinHalt extends Error {
  override readonly name = "BuiltinHalt";
}
