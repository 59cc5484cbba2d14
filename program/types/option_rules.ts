/** What the options of the library's functions may be: a name that is misspelt, or a value of another kind, is refused. */
import { boundedText } from "./bounded_text.ts";
import { isObject } from "./json_object.ts";
import { nearestName } from "./nearest.ts";
import { own } from "./own.ts";

/** What an option must be, in words, and whether a value is that. */
export interface OptionRule {
  /** As it reads behind "it is". */
  readonly must: string;
  /** Whether a value may be used. */
  readonly holds: (value: unknown) => boolean;
}

/** A rule for each option of a type: the compiler misses the ones that are left out. */
export type OptionRules<Options> = Readonly<Record<keyof Options & string, OptionRule>>;

/** A rule of these two. */
export const ruled = (must: string, holds: OptionRule["holds"]): OptionRule => ({ must, holds });
export const ANY = ruled("anything", () => true);
export const TEXT = ruled("a string", (value) => typeof value === "string");
export const BOOLEAN = ruled("true or false", (value) => typeof value === "boolean");
export const FUNCTION = ruled("a function", (value) => typeof value === "function");
export const OBJECT = ruled("an object", isObject);
export const TEXTS = ruled(
  "a list of strings",
  (value) => Array.isArray(value) && value.every((one) => typeof one === "string"),
);
export const oneOf = (...names: readonly string[]): OptionRule =>
  ruled(names.map((name) => JSON.stringify(name)).join(" or "), (value) => names.includes(value as string));
export const whole = (min: number, max: number): OptionRule =>
  ruled(
    `a whole number from ${min} to ${max}`,
    (value) => Number.isInteger(value) && value as number >= min && value as number <= max,
  );

const quoted = (text: string) => JSON.stringify(boundedText(text, 100));

function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  return isObject(value) ? "an object" : Array.isArray(value) ? "a list" : boundedText(String(value), 100);
}

/** Throws {@link TypeError} for options that can't be used. */
export function requireOptions<Options>(options: unknown, rules: OptionRules<Options>): void {
  const fault = optionFault(options, rules);
  if (fault !== undefined) throw new TypeError(fault);
}

/** What is wrong with the first of the options that can't be used, in one line; undefined where all can. */
export function optionFault<Options>(options: unknown, rules: OptionRules<Options>): string | undefined {
  if (!isObject(options)) return `the options are an object; they are ${shown(options)}`;
  const known: Readonly<Record<string, OptionRule>> = rules;
  for (const [name, value] of Object.entries(options)) {
    const rule = own(known, name);
    if (rule === undefined) {
      const names = Object.keys(known);
      const near = nearestName(name, names);
      return `there is no option ${quoted(name)}: ${
        near === undefined ? `the options are ${names.join(", ")}` : `did you mean ${quoted(near)}?`
      }`;
    }
    if (value !== undefined && !rule.holds(value)) return `${name} is ${rule.must}; it is ${shown(value)}`;
  }
  return undefined;
}
