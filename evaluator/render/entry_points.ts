/** The entry points of a Rego module, which `opa build -e` names; the first of them is evaluated. */
import { isObject } from "../../program/types/json_object.ts";
import { boundedText } from "./bounded_text.ts";
import { jsonExcess } from "./json_size.ts";

/** Entry points that an error names, and characters of a name. */
const MAX_NAMED = 10;
const MAX_NAME = 100;

/** What to do about a module that has none, or the wrong ones. */
const REMEDY = "build it with `opa build -t wasm -e PACKAGE/RULE`, the entry point for the policy first";

/** Names of entry points by their numbers, in order; undefined where the module's list can't be read. */
export function readEntryPoints(json: string): readonly string[] | undefined {
  if (jsonExcess(new TextEncoder().encode(json)) !== undefined) return undefined;
  let numbers: unknown;
  try {
    numbers = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!isObject(numbers)) return undefined;
  const entries = Object.entries(numbers);
  if (!entries.every(([, number]) => Number.isInteger(number))) return undefined;
  return entries.sort(([, a], [, b]) => (a as number) - (b as number)).map(([name]) => name);
}

/** Which entry points there are, and what to do where the one that is wanted is not the first of them. */
export function entryPointsText(names: readonly string[] | undefined): string {
  if (names === undefined) return `the module's list of entry points can't be read; ${REMEDY}`;
  if (names.length === 0) return `the module has no entry points; ${REMEDY}`;
  const shown = names.slice(0, MAX_NAMED).map((name) => boundedText(name, MAX_NAME));
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : "";
  return `entry points of the module: ${shown.join(", ")}${more} (the first is evaluated); ${REMEDY}`;
}
