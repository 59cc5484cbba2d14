/** What a log line says of an error. */

/** Errors of the language itself: nobody throws these on purpose here, so each is a defect of ours. */
const UNEXPECTED: readonly (new (...parameters: never[]) => Error)[] = [
  TypeError,
  RangeError,
  ReferenceError,
  SyntaxError,
  EvalError,
];

/** The text of an error and, where nobody foresaw it, its stack: without that a report of it says too little to mend it. */
export function errorFields(error: unknown): { readonly error: string; readonly stack?: string } {
  const text = String(error);
  // Node's fetch and sockets wrap their failures in a TypeError with a cause; those are foreseen.
  const foreseen = !(error instanceof Error) || error.cause !== undefined || "code" in error;
  if (foreseen || !UNEXPECTED.some((kind) => error instanceof kind)) return { error: text };
  return { error: text, ...(error.stack === undefined ? {} : { stack: error.stack }) };
}

/** The same of an error that ends the process: it is told by its message alone. */
export function fatalFields(error: unknown): ReturnType<typeof errorFields> {
  return { ...errorFields(error), error: error instanceof Error ? error.message : String(error) };
}
