/** What somebody else wrote, as errors quote it: bounded, and without credentials. */
import { boundedText } from "../../program/types/bounded_text.ts";

/** More of a name, digest or media type says no more about what is wrong. */
const MAX_QUOTED = 300;
/** Addresses are quoted further: what tells two of them apart is at their end. */
const MAX_URI = 1000;

/** A text in an error. */
export const quoted = (text: string): string => boundedText(text, MAX_QUOTED);

/**
 * An address in an error, without the user name and password that it may hold.
 *
 * ```ts
 * quotedUri("https://me:secret@example.org/p.wasm"); // "https://***@example.org/p.wasm"
 * ```
 */
export const quotedUri = (uri: string): string =>
  boundedText(uri.replace(/^([A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}[^/\\?#]*@/, "$1//***@"), MAX_URI);
