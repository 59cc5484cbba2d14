/** JSON as it came from the API server: what is read and written again must not change on the way. */
import { parseNumbers } from "../../program/types/json_numbers.ts";

const raw = JSON as unknown as { rawJSON(text: string): unknown };

/** Text that may hold a number which JavaScript would change: many digits, a fraction, an exponent, or -0. */
const PERHAPS_LOSSY = /[:[,]\s*(?:-?(?:\d{16}|\d+[.eE])|-0[\s,}\]])/;

const kept = (source: string): unknown =>
  String(Number(source)) === source ? Number(source) : raw.rawJSON(source);

/** Parses JSON without loss: a number that JavaScript would change (beyond 2^53, `1.0`) is kept as its text. */
export function parseExactly(text: string): unknown {
  // Nearly all objects have only small whole numbers, and the engine's own parser is many times quicker.
  if (!PERHAPS_LOSSY.test(text)) return JSON.parse(text);
  return parseNumbers(text, kept);
}
