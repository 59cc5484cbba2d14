/** JSON as it came from the API server: what is read and written again must not change on the way. */

const raw = JSON as unknown as { rawJSON(text: string): unknown };

/** Text that may hold a number which JavaScript would change: many digits, a fraction, an exponent, or -0. */
const PERHAPS_LOSSY = /[:[,]\s*(?:-?(?:\d{16}|\d+[.eE])|-0[\s,}\]])/;

function keepSource(_key: string, value: unknown, context: { readonly source?: string }): unknown {
  return typeof value === "number" && context.source !== undefined && String(value) !== context.source
    ? raw.rawJSON(context.source)
    : value;
}

/** Parses JSON without loss: a number that JavaScript would change (beyond 2^53, `1.0`) is kept as its text. */
export function parseExactly(text: string): unknown {
  // Nearly all objects have only small whole numbers, and a reviver makes parsing many times slower.
  if (!PERHAPS_LOSSY.test(text)) return JSON.parse(text);
  return JSON.parse(text, keepSource as (key: string, value: unknown) => unknown);
}
