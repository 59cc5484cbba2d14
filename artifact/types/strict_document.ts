/**
 * Reads a parsed YAML or JSON document field by field. The messages are worded as the original's decoder words them,
 * because people and tests look for them (`spec/fetch-verify.md §8` rule 3); where that wording is free, the place in
 * the document is added.
 */
import { isObject } from "../../program/types/json_object.ts";
import { own } from "../../program/types/own.ts";
import { holdsPem } from "../../program/types/pem.ts";
import { quoted } from "./quoted.ts";

export type Mapping = Readonly<Record<string, unknown>>;

/** Thrown by the readers below; whoever reads the whole document puts its own prefix before the message. */
export class DocumentError extends Error {}

/** Names in a place are the document's own. */
const at = (where: string) => where && ` at ${quoted(where)}`;

function ticked(names: readonly string[]): string {
  const each = names.map((name) => `\`${name}\``);
  if (each.length === 1) return each[0] ?? "";
  return each.length === 2 ? each.join(" or ") : `one of ${each.join(", ")}`;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return "unit value";
  // Somebody gave the file of a key in the place of the one that names it.
  if (typeof value === "string" && holdsPem(value)) return "string in PEM";
  if (typeof value === "string") return `string ${JSON.stringify(quoted(value))}`;
  if (typeof value === "boolean") return `boolean \`${value}\``;
  if (typeof value === "number") {
    return Number.isInteger(value) ? `integer \`${value}\`` : `floating point \`${value}\``;
  }
  return Array.isArray(value) ? "sequence" : "map";
}

export function invalidType(value: unknown, expected: string, where: string): never {
  throw new DocumentError(`invalid type: ${describe(value)}, expected ${expected}${at(where)}`);
}

export function invalidValue(text: string, reason: string, where: string): never {
  throw new DocumentError(`invalid value: string ${JSON.stringify(quoted(text))}, ${reason}${at(where)}`);
}

export function missingField(name: string, where = ""): never {
  throw new DocumentError(`missing field \`${name}\`${at(where)}`);
}

export function unknownVariant(name: string, known: readonly string[], where: string): never {
  throw new DocumentError(`unknown variant \`${quoted(name)}\`, expected ${ticked(known)}${at(where)}`);
}

export function readMapping(value: unknown, expected: string, where: string): Mapping {
  return isObject(value) ? value : invalidType(value, expected, where);
}

/** Refuses keys that are not in `known`. */
export function refuseUnknown(mapping: Mapping, known: readonly string[], where: string): void {
  for (const key of Object.keys(mapping)) {
    if (!known.includes(key)) {
      throw new DocumentError(
        `unknown field \`${quoted(key)}\`, expected ${ticked(known)}${at(where)}`,
      );
    }
  }
}

export function readString(mapping: Mapping, name: string, where: string): string {
  const value = own(mapping, name);
  if (value === undefined) missingField(name, where);
  if (typeof value !== "string") invalidType(value, "a string", where && `${where}.${name}`);
  return value;
}

/** Absent and `null` are the same. */
export function readOptionalString(mapping: Mapping, name: string, where: string): string | undefined {
  return (own(mapping, name) ?? null) === null ? undefined : readString(mapping, name, where);
}

export function readList(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) invalidType(value, "a sequence", where);
  return value;
}

/** A map of strings to strings, `undefined` where it is absent or `null`. */
export function readStringMap(
  mapping: Mapping,
  name: string,
  where: string,
): ReadonlyMap<string, string> | undefined {
  const value = own(mapping, name);
  if (value === undefined || value === null) return undefined;
  const place = where && `${where}.${name}`;
  const entries = Object.entries(readMapping(value, "a map", place)).map(([key, item]): [string, string] => {
    if (typeof item !== "string") invalidType(item, "a string", place && `${place}.${key}`);
    return [key, item];
  });
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
