/** YAML documents as 1.36 writes them, and values of read documents as JavaScript has them. */
import { stringifyYaml } from "../../deps.ts";
import { lines, safeJson, safeYaml } from "../../program/render/terminal_text.ts";
import type { DocumentValue } from "../../policy_server/types/document.ts";

/** A number that keeps the text it was written with: `1.0`, `1e3`, and integers that a double can't hold. */
export class ExactNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  toJSON(): unknown {
    return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(this.text);
  }
}

const EXACT_NUMBER = {
  tag: "tag:yaml.org,2002:float",
  default: true as const,
  identify: (value: unknown) => value instanceof ExactNumber,
  // Only for writing: it matches no text.
  test: /^(?!)/,
  resolve: (text: string) => text,
  stringify: ({ value }: { value: unknown }) => (value as ExactNumber).text,
};

/** What steers terminals, or hides in them, is written as escapes: a string with such characters stands in double quotes. */
const UNSAFE_STRING = {
  tag: "tag:yaml.org,2002:str",
  default: true as const,
  identify: (value: unknown) => typeof value === "string" && lines(value) !== value,
  // Only for writing: it matches no text.
  test: /^(?!)/,
  resolve: (text: string) => text,
  stringify: ({ value }: { value: unknown }) => safeYaml(JSON.stringify(value)),
};

/** A document without a leading `---`. What Kubernetes, which reads YAML 1.1, would not take for text (`yes`) is quoted. */
export function yamlText(value: unknown): string {
  return stringifyYaml(value, {
    indentSeq: false,
    singleQuote: true,
    lineWidth: 0,
    aliasDuplicateObjects: false,
    compat: "yaml-1.1",
    customTags: (tags) => [UNSAFE_STRING, ...tags, EXACT_NUMBER],
  });
}

/** The value as plain data; numbers that JavaScript would write otherwise become {@link ExactNumber}s. */
export function plainValue(value: DocumentValue): unknown {
  switch (value.kind) {
    case "null":
      return null;
    case "boolean":
    case "string":
      return value.value;
    case "number":
      return String(Number(value.json)) === value.json ? Number(value.json) : new ExactNumber(value.json);
    case "list":
      return value.items.map(plainValue);
    case "map":
      return Object.fromEntries(value.entries.map((entry) => [entry.key, plainValue(entry.value)]));
  }
}

/** JSON on one line, for a terminal too. */
export function compactJson(value: unknown): string {
  return safeJson(JSON.stringify(value));
}

/** JSON with an indentation of two blanks, for a terminal too. */
export function indentedJson(value: unknown): string {
  return safeJson(JSON.stringify(value, null, 2));
}
