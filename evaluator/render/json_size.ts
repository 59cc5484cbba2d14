/** How many values a JSON text holds: each becomes an object of tens of bytes, so that a text's length says little. */
import { work } from "./work.ts";

/** Values of one document that is built: about 100 MB and 100 ms. A request of 8 MiB has about as many. */
export const MAX_JSON_VALUES = 500_000;

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, OPEN_BRACE = 0x7b, OPEN_BRACKET = 0x5b, COLON = 0x3a;

/** Whether valid JSON between two places holds more values (and keys) than {@link MAX_JSON_VALUES}. */
export function hasTooManyValues(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
  let values = 1;
  let inString = false;
  for (let at = start; at < end; at++) {
    if ((at & 0xfff) === 0) work(0xfff >> 3);
    const byte = bytes[at];
    if (byte === QUOTE) inString = !inString;
    else if (inString) { if (byte === BACKSLASH) at++; }
    else if (byte === COMMA || byte === COLON || byte === OPEN_BRACE || byte === OPEN_BRACKET) values++;
  }
  return values > MAX_JSON_VALUES;
}
