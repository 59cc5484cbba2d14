/** What is known of the engine (`apply/engine.wasm`) when it is built, and needed when a policy is. */

/** The custom section of the engine that holds {@link EngineFacts} as JSON. */
export const ENGINE_SECTION = "portreeve.engine";

export interface EngineFacts {
  /** Offset in a context of the pointer to the compiler of JavaScript; 0 there means that there is none. */
  readonly compilerField: number;
  /** Indices of the functions, imported ones included, that a policy never reaches. */
  readonly unused: readonly number[];
  /** From where to where the texts stand that only they name. */
  readonly unusedTexts: readonly (readonly [start: number, end: number])[];
}

/** QuickJS's own stack is in front of its data. */
export const STACK_END = 1 << 20;
