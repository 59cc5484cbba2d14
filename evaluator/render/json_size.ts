/** How many values a JSON text holds: each becomes an object of tens of bytes, so that a text's length says little. */
import { work } from "./work.ts";

/** Values and keys of one document that is built: about 100 MB and 100 ms. A request of 8 MiB has about as many. */
const MAX_VALUES = 500_000;
/** `JSON.parse` of a runtime takes half a second for 100,000 levels. */
const MAX_LEVELS = 500;

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, COLON = 0x3a;
const OPEN_BRACE = 0x7b, OPEN_BRACKET = 0x5b, CLOSE_BRACE = 0x7d, CLOSE_BRACKET = 0x5d;

/** What makes JSON between two places too large to be built, as in "more than 500 levels of nesting"; undefined for nothing. */
export function jsonExcess(bytes: Uint8Array, start = 0, end = bytes.length): string | undefined {
  let values = 1;
  let level = 0;
  let inString = false;
  for (let at = start; at < end; at++) {
    if ((at & 0xfff) === 0) work(0xfff >> 3);
    const byte = bytes[at];
    if (byte === QUOTE) inString = !inString;
    else if (inString) { if (byte === BACKSLASH) at++; }
    else if (byte === COMMA || byte === COLON) values++;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      values++;
      if (++level > MAX_LEVELS) return `more than ${MAX_LEVELS} levels of nesting`;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) level--;
  }
  return values > MAX_VALUES ? `more than ${MAX_VALUES} values` : undefined;
}
