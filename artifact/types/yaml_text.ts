/** YAML as people write it, bounded: JSON is read too. */
import { parseDocument } from "../../deps.ts";
import { boundedText } from "../../program/types/bounded_text.ts";
import { deeperThan } from "../../program/types/depth.ts";
import { placeIn, yamlFaultAt, yamlFaultText } from "../../program/types/yaml_fault.ts";
import { DocumentError } from "./strict_document.ts";

/** Characters of what the parser says, which quotes names of the document. */
const MAX_PROBLEM = 1_000;
const MAX_CHARACTERS = 4 * 1024 * 1024;

/** Deeper than any of these files; runtimes differ in how deep their stack lets the parser go. */
const MAX_DEPTH = 64;

/** Of the YAML package's nodes, what is read here. */
interface YamlNode {
  readonly value?: unknown;
  readonly range?: readonly [number, ...unknown[]] | null;
  readonly items?: readonly { readonly key?: unknown; readonly value?: unknown }[];
}

/** Both places of a key that stands twice in one map, the second of them at `again`. The key itself is not told. */
function twiceAt(text: string, contents: unknown, again: number): string {
  const place = (offset: number) => {
    const { line, column } = placeIn(text, offset);
    return `line ${line}, column ${column}`;
  };
  const waiting: unknown[] = [contents];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    const { items = [] } = (node ?? {}) as YamlNode;
    const keys = items.map(({ key }) => (key ?? {}) as YamlNode);
    const second = keys.find(({ range }) => range?.[0] === again);
    const first = second && keys.find((key) => key !== second && key.value === second.value);
    if (first?.range) {
      return `a key is given twice, first at ${place(first.range[0])} and again at ${place(again)}`;
    }
    // A pair of a map has a value; an item of a list is a node itself.
    for (const item of items) if (item !== null) waiting.push("key" in item ? item.value ?? null : item);
  }
  return `a key is given twice, again at ${place(again)}`;
}

/**
 * @throws {DocumentError} with the parser's message and the place, and nothing of the text: it may hold passwords
 */
export function parseYaml(text: string): unknown {
  if (text.length > MAX_CHARACTERS) {
    throw new DocumentError(`document is larger than ${MAX_CHARACTERS} characters`);
  }
  try {
    // With "silent" the package passes over every document but the first: requirements that stand in another would not count.
    const document = parseDocument(text, { logLevel: "error", prettyErrors: false });
    const problem = document.errors[0];
    if (problem !== undefined) {
      throw new DocumentError(
        problem.code === "MULTIPLE_DOCS"
          ? "the file has more than one YAML document, expected one"
          : problem.code === "DUPLICATE_KEY"
          ? twiceAt(text, document.contents, problem.pos[0])
          : boundedText(yamlFaultAt(text, problem), MAX_PROBLEM),
      );
    }
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    if (deeperThan(value, MAX_DEPTH)) throw new DocumentError("document is nested too deeply");
    return value;
  } catch (cause) {
    if (cause instanceof DocumentError) throw cause;
    // The parser recurses: brackets without end exhaust the stack.
    if (cause instanceof RangeError && !/alias/i.test(cause.message)) {
      throw new DocumentError("document is nested too deeply");
    }
    throw new DocumentError(
      boundedText(cause instanceof Error ? yamlFaultText(cause) : "it is not valid YAML", MAX_PROBLEM),
    );
  }
}
