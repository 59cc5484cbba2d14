/** The data document of an OPA policy: its settings and, beside them, what it sees of the cluster. */
import { scanObject, skipSpace, skipValue, stringValue } from "./json_scan.ts";

const encoder = new TextEncoder();
const BEFORE = encoder.encode('{"kubernetes":');
const COMMA = encoder.encode(",");
const END = encoder.encode("}");

/** The pieces of the document, and whether a setting had to make way. The settings are a valid JSON object. */
export function opaData(
  settings: Uint8Array,
  inventory: Uint8Array,
): { readonly pieces: readonly Uint8Array[]; readonly overwritten: boolean } {
  const pieces: Uint8Array[] = [BEFORE, inventory];
  let overwritten = false;
  scanObject(settings, skipSpace(settings, 0), (keyStart, keyEnd, valueStart) => {
    const valueEnd = skipValue(settings, valueStart, Infinity);
    if (stringValue(settings, keyStart, keyEnd) === "kubernetes") overwritten = true;
    else pieces.push(COMMA, settings.subarray(keyStart, valueEnd));
    return valueEnd;
  });
  pieces.push(END);
  return { pieces, overwritten };
}
