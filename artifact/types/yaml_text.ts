/** YAML as people write it, bounded: JSON is read too. */
import { parseDocument } from "../../deps.ts";
import { DocumentError } from "./strict_document.ts";

const MAX_CHARACTERS = 4 * 1024 * 1024;

/**
 * @throws {DocumentError} with the parser's message, place included
 */
export function parseYaml(text: string): unknown {
  if (text.length > MAX_CHARACTERS) {
    throw new DocumentError(`document is larger than ${MAX_CHARACTERS} characters`);
  }
  try {
    const document = parseDocument(text, { logLevel: "silent" });
    const problem = document.errors[0];
    if (problem !== undefined) throw new DocumentError(problem.message.trim());
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    if (cause instanceof DocumentError) throw cause;
    // The parser recurses: brackets without end exhaust the stack.
    if (cause instanceof RangeError && !/alias/i.test(cause.message)) {
      throw new DocumentError("document is nested too deeply");
    }
    throw new DocumentError(cause instanceof Error ? cause.message : String(cause));
  }
}
