/**
 * A YAML or JSON document as a tree that loses nothing: numbers keep their digits and their integer or float form,
 * every value knows where it stands, so that errors can name line and column. `read_document.ts` reads it,
 * {@link jsonText} writes it as compact JSON.
 */
import { boundedText } from "../../program/types/bounded_text.ts";

/** One value. `at` is its offset in the text; `weight` about the length of its JSON text with all aliases expanded. */
export type DocumentValue =
  & { readonly at: number; readonly weight: number }
  & (
    | { readonly kind: "null" }
    | { readonly kind: "boolean"; readonly value: boolean }
    /** `json` is the number as JSON text. */
    | { readonly kind: "number"; readonly json: string; readonly integer: boolean }
    | { readonly kind: "string"; readonly value: string }
    | { readonly kind: "list"; readonly items: readonly DocumentValue[] }
    | {
      readonly kind: "map";
      /** Of repeated keys the last, in the place of the first. */
      readonly entries: readonly DocumentEntry[];
      readonly repeated: readonly RepeatedKey[];
    }
  );

/** A key that a map has twice: whoever wrote it meant something else than what counts. */
export type RepeatedKey = { readonly key: string; readonly firstAt: number; readonly againAt: number };

/** One key with its value. Keys of other kinds than string are kept as their text (`1: x` has the key text `1`). */
export type DocumentEntry = {
  readonly key: string;
  readonly keyKind: DocumentValue["kind"];
  readonly keyAt: number;
  readonly value: DocumentValue;
};

/** Deeper values than this are refused, as the original's readers do. */
export const MAX_DEPTH = 128;
/** Longest text read, in UTF-16 units. A ConfigMap, where the file comes from, holds at most 1 MiB. */
export const MAX_TEXT_LENGTH = 4 * 1024 * 1024;
/** Repeated keys told of one document. */
const MAX_REPEATED = 20;
/** Characters of a path in an error. */
const MAX_PATH = 300;
/** What aliases may expand to in all, in characters of JSON. */
export const MAX_EXPANDED_LENGTH = 32 * 1024 * 1024;

/** The text is no single, bounded YAML document; `at` is the offset of the fault. */
export class DocumentError extends Error {
  override readonly name = "DocumentError";
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** The map of `entries` with the last of repeated keys in the place of the first. */
export function mapOf(entries: Iterable<DocumentEntry>, at: number): DocumentValue {
  const byKey = new Map<string, DocumentEntry>();
  const repeated: RepeatedKey[] = [];
  let weight = 2;
  for (const entry of entries) {
    // Keys are texts in the end: `1` and `"1"` are the same.
    const first = byKey.get(entry.key);
    if (first !== undefined && repeated.length < MAX_REPEATED) {
      repeated.push({ key: entry.key, firstAt: first.keyAt, againAt: entry.keyAt });
    }
    byKey.set(entry.key, entry);
    weight += entry.key.length + 4 + entry.value.weight;
  }
  return bounded({ kind: "map", at, weight, entries: [...byKey.values()], repeated });
}

/** Every key of a document that stands twice in its map, with the path to it; at most as many as are worth telling. */
export function repeatedKeys(document: DocumentValue): readonly (RepeatedKey & { readonly path: string })[] {
  const found: (RepeatedKey & { readonly path: string })[] = [];
  // Aliases name the same value many times.
  const seen = new Set<DocumentValue>();
  const visit = (value: DocumentValue, path: string): void => {
    if (seen.has(value) || found.length >= MAX_REPEATED) return;
    seen.add(value);
    if (value.kind === "list") value.items.forEach((item, index) => visit(item, `${path}[${index}]`));
    if (value.kind !== "map") return;
    const below = (key: string) => path === "" ? key : `${path}.${key}`;
    for (const repeated of value.repeated) found.push({ ...repeated, path: below(repeated.key) });
    for (const entry of value.entries) visit(entry.value, below(entry.key));
  };
  visit(document, "");
  return found.slice(0, MAX_REPEATED);
}

/**
 * Refuses a document in which a map has a key twice.
 *
 * @throws {DocumentError} at the second place; the message names the first
 */
export function requireUniqueKeys<T extends DocumentValue | null>(document: T, text: string): T {
  const [first] = document === null ? [] : repeatedKeys(document);
  if (first === undefined) return document;
  const { line, column } = positionOf(text, first.firstAt);
  throw new DocumentError(
    `${boundedText(first.path, MAX_PATH)} is given twice, first at line ${line} column ${column} and again`,
    first.againAt,
  );
}

/** A map's member; undefined where there is none, and for what is no map. */
export function memberOf(value: DocumentValue | undefined, name: string): DocumentValue | undefined {
  return value?.kind === "map" ? value.entries.find(({ key }) => key === name)?.value : undefined;
}

/** The text of a string; undefined for everything else. */
export function textOf(value: DocumentValue | undefined): string | undefined {
  return value?.kind === "string" ? value.value : undefined;
}

/** The list of `items`. */
export function listOf(items: readonly DocumentValue[], at: number): DocumentValue {
  return bounded({
    kind: "list",
    at,
    weight: items.reduce((sum, item) => sum + item.weight + 1, 2),
    items,
  });
}

function bounded(value: DocumentValue): DocumentValue {
  if (value.weight <= MAX_EXPANDED_LENGTH) return value;
  throw new DocumentError(`aliases expand to more than ${MAX_EXPANDED_LENGTH} characters`, value.at);
}

/** The value as compact JSON, keys in the order of the document, numbers as they were written. */
export function jsonText(value: DocumentValue): string {
  switch (value.kind) {
    case "null":
      return "null";
    case "boolean":
      return String(value.value);
    case "number":
      return value.json;
    case "string":
      return JSON.stringify(value.value);
    case "list":
      return `[${value.items.map(jsonText).join(",")}]`;
    case "map":
      return `{${value.entries.map((e) => `${JSON.stringify(e.key)}:${jsonText(e.value)}`).join(",")}}`;
  }
}

/** Line and column of an offset, both from 1, the column in characters. */
export function positionOf(text: string, at: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, at);
  const lineStart = before.lastIndexOf("\n") + 1;
  return { line: before.split("\n").length, column: [...before.slice(lineStart)].length + 1 };
}
