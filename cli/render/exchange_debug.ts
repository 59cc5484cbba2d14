/** Exchanges as the original's log shows them, which policies' own tests search for texts: `Exchange`'s `Debug` of Rust. */
import { boundedText } from "../../program/types/bounded_text.ts";
import type { Exchange, ExchangeResponse } from "../types/exchange.ts";
import { requestYaml } from "./exchange.ts";

/** Characters of all exchanges together. A session may hold whole lists of a cluster. */
const MAX_TEXT = 64 << 10;

const NAMED: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\0", "\\0"],
]);

/** A text as Rust's `{:?}` writes it: what can't be printed is escaped. */
function debugText(text: string): string {
  const escaped = text.replace(
    /["\\]|[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu,
    (found) => NAMED.get(found) ?? `\\u{${found.codePointAt(0)!.toString(16)}}`,
  );
  return `"${escaped}"`;
}

function responseText(response: ExchangeResponse): string {
  return response.type === "Success"
    ? `Success { payload: ${debugText(response.payload)} }`
    : `Error { message: ${debugText(response.message)} }`;
}

/** A list of exchanges, cut where it is too long. */
export function exchangesDebug(exchanges: readonly Exchange[]): string {
  let text = "[";
  for (const { request, source = requestYaml(request), response } of exchanges) {
    if (text.length > 1) text += ", ";
    text += `Exchange { request: ${debugText(source)}, response: ${responseText(response)} }`;
    if (text.length > MAX_TEXT) break;
  }
  return boundedText(`${text}]`, MAX_TEXT);
}
