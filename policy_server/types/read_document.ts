/** Reads YAML or JSON, whichever a text is. */
import { DocumentError, type DocumentValue, MAX_TEXT_LENGTH } from "./document.ts";
import { readJson } from "./json_document.ts";
import { readYaml, type YamlReading } from "./yaml_document.ts";

/**
 * Reads one document; `null` stands for a text that holds none (empty, or only comments). The last of repeated keys
 * wins (spec/policy-server.md §2.1). JSON, which is what the controller writes, takes a reader of its own that is about
 * seven times faster than YAML's; what that one does not take is read as YAML.
 *
 * Throws {@link DocumentError}.
 */
export function readDocument(text: string, reading: YamlReading = "core"): DocumentValue | null {
  if (text.length > MAX_TEXT_LENGTH) {
    throw new DocumentError(`longer than ${MAX_TEXT_LENGTH} characters`, MAX_TEXT_LENGTH);
  }
  return /^\s*[{]/.test(text) ? readJson(text, reading) ?? readYaml(text, reading) : readYaml(text, reading);
}
