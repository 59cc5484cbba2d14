/** Reads the policies file (spec/policy-server.md §2.1). */
import { readFileSync, statSync } from "node:fs";
import { MAX_TEXT_LENGTH } from "../types/document.ts";
import { parsePolicies, policiesFilePrefix, type PolicyEntry } from "../types/policies.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { decodedText } from "../../program/types/decoded_text.ts";

/**
 * Reads and parses the file. Throws `PoliciesFileError` for what it holds, and an `Error` with the same prefix where it
 * can't be read: `error while loading policies from "policies.yml": No such file or directory (os error 2)`.
 */
export function loadPolicies(
  path: string,
  onWarning?: (warning: string) => void,
): ReadonlyMap<string, PolicyEntry> {
  return parsePolicies(readText(path), path, onWarning);
}

function readText(path: string): string {
  try {
    // A character of UTF-8 has at most four bytes; the parser counts characters.
    if (statSync(path).size > 4 * MAX_TEXT_LENGTH) {
      throw new Error(`longer than ${MAX_TEXT_LENGTH} characters`);
    }
    return decodedText(readFileSync(path));
  } catch (error) {
    throw new Error(`${policiesFilePrefix(path)}${osErrorText(error)}`, { cause: error });
  }
}
