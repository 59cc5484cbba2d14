/** YAML documents as 1.36 writes them, and values of read documents as JavaScript has them. */
import { stringifyYaml } from "../../deps.ts";
import type { DocumentValue } from "../../policy_server/types/document.ts";

/** A document without a leading `---`. */
export function yamlText(value: unknown): string {
  return stringifyYaml(value, {
    indentSeq: false,
    singleQuote: true,
    lineWidth: 0,
    aliasDuplicateObjects: false,
  });
}

/** The value as plain data; integers that a double can't hold become big ones. */
export function plainValue(value: DocumentValue): unknown {
  switch (value.kind) {
    case "null":
      return null;
    case "boolean":
    case "string":
      return value.value;
    case "number": {
      const number = Number(value.json);
      return value.integer && !Number.isSafeInteger(number) ? BigInt(value.json) : number;
    }
    case "list":
      return value.items.map(plainValue);
    case "map":
      return Object.fromEntries(value.entries.map((entry) => [entry.key, plainValue(entry.value)]));
  }
}

/** JSON with an indentation of two blanks, in which big integers keep their digits. */
export function indentedJson(value: unknown): string {
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
  return JSON.stringify(value, (_, one) => typeof one === "bigint" ? rawJSON(String(one)) : one, 2);
}
