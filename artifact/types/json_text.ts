/** JSON that somebody else wrote: bounded in size and nesting before it is parsed. */
import { parseNumbers } from "../../program/types/json_numbers.ts";
import { ArtifactError, type ArtifactErrorCode } from "./error.ts";

/** Deeper than any manifest, bundle or token; what walks the value afterwards may recurse this far. */
const MAX_DEPTH = 64;

/** Whether brackets outside of strings nest deeper than `max`. */
function deeperThan(text: string, max: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === 0x5c /* \ */) at++;
      else if (code === 0x22 /* " */) quoted = false;
    } else if (code === 0x22) quoted = true;
    else if (code === 0x5b /* [ */ || code === 0x7b /* { */) {
      if (++depth > max) return true;
    } else if (code === 0x5d /* ] */ || code === 0x7d /* } */) depth--;
  }
  return false;
}

/**
 * Parses JSON whose size the caller has bounded. The error never quotes the text: it may hold secrets, or control characters.
 *
 * @param what names the document in the error: `the manifest`
 * @param number makes a number's value of its text
 * @throws {ArtifactError} `code`, when it is no JSON or nested too deeply
 */
export function parseJson(
  text: string,
  what: string,
  code: ArtifactErrorCode = "protocol",
  number?: (source: string) => unknown,
): unknown {
  if (deeperThan(text, MAX_DEPTH)) {
    throw new ArtifactError(code, `${what} is nested deeper than ${MAX_DEPTH} levels`);
  }
  try {
    return number === undefined ? JSON.parse(text) : parseNumbers(text, number);
  } catch {
    // The engine's error quotes the text, so that it is not even kept as the cause.
    throw new ArtifactError(code, `${what} is no JSON`);
  }
}
