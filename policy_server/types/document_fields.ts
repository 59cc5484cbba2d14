/** The members of a document's maps by their names, as the types that they should have. */
import { holdsPem } from "../../program/types/pem.ts";
import { DocumentError, type DocumentValue, jsonText } from "./document.ts";
import { nearestName } from "../../program/types/nearest.ts";

/** Members by their names. */
export type Fields = ReadonlyMap<string, DocumentValue>;

/** Those of a map whose names are texts. */
export function fieldsOf(value: DocumentValue): Fields {
  const entries = value.kind === "map" ? value.entries : [];
  return new Map(entries.filter((e) => e.keyKind === "string").map((entry) => [entry.key, entry.value]));
}

/** The field's value; an error that names the key which was probably meant where it is missing. */
export function required(
  path: string,
  owner: DocumentValue,
  fields: Fields,
  field: string,
  known: readonly string[],
): DocumentValue {
  const value = fields.get(field);
  if (value !== undefined) return value;
  const typo = owner.kind === "map"
    ? owner.entries.find((e) => !known.includes(e.key) && nearestName(e.key, [field]) !== undefined)
    : undefined;
  if (typo === undefined) throw new DocumentError(`${path}: missing field "${field}"`, owner.at);
  throw new DocumentError(
    `${path}: missing field "${field}", found "${typo.key}": did you mean "${field}"?`,
    typo.keyAt,
  );
}

/** The field's value; null where it is absent or null. */
export function optional<T>(
  path: string,
  fields: Fields,
  field: string,
  read: (path: string, value: DocumentValue, orNull: string) => T,
): T | null {
  const value = fields.get(field);
  return value === undefined || value.kind === "null" ? null : read(`${path}.${field}`, value, " or null");
}

/** The field's items; none where it is absent. */
export function list(
  path: string,
  fields: Fields,
  field: string,
  expected: string,
): readonly DocumentValue[] {
  const value = fields.get(field);
  if (value === undefined) return [];
  if (value.kind !== "list") throw mismatch(`${path}.${field}`, value, expected);
  return value.items;
}

export function string(path: string, value: DocumentValue, orNull = ""): string {
  if (value.kind === "string") return value.value;
  throw mismatch(path, value, `a string${orNull}`);
}

export function boolean(path: string, value: DocumentValue, orNull: string): boolean {
  if (value.kind === "boolean") return value.value;
  throw mismatch(path, value, `true or false${orNull}`);
}

export function unsigned(path: string, value: DocumentValue, orNull: string): number {
  if (value.kind === "number" && value.integer && !value.json.startsWith("-")) {
    if (BigInt(value.json) < 2n ** 64n) return Number(value.json);
  }
  throw mismatch(path, value, `a whole number of seconds, 0 or more${orNull}`);
}

/** What is said of a value that is none of those that are expected. */
export function mismatch(path: string, value: DocumentValue, expected: string): DocumentError {
  const where = path === "" ? "" : `${path}: `;
  return new DocumentError(`${where}expected ${expected}, found ${shown(value)}`, value.at);
}

/** What was found, as the user wrote it, cut where it is long. */
function shown(value: DocumentValue): string {
  if (value.kind === "map" || value.kind === "list") return article(value.kind);
  const text = jsonText(value);
  if (holdsPem(text)) return "a string in PEM";
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}

/** A kind of values in words. */
export function article(kind: DocumentValue["kind"]): string {
  return kind === "null" ? "null" : `a ${kind}`;
}
