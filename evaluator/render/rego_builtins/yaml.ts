/** Builtins on YAML: `yaml.marshal`, `yaml.unmarshal`, `yaml.is_valid`. */
import { isAlias, isMap, isScalar, isSeq, parseAllDocuments } from "../../../deps.ts";
import {
  BuiltinError,
  type RegoBuiltins,
  type RegoContext,
  RegoNumber,
  type RegoValue,
} from "../../types/rego.ts";
import { fail, halt, stringAt } from "../rego_operands.ts";
import { jsonTree } from "../rego_text.ts";
import { objectOf } from "../rego_value.ts";
import { resolveScalar } from "../yaml_scalar.ts";
import { writeYaml, YamlTextError } from "../yaml_writer.ts";

/** Aliases let a short text stand for an endless document. */
const MAX_NODES = 1_000_000;
const MAX_TEXT = 4 * 1024 * 1024;

type Document = ReturnType<typeof parseAllDocuments>[number];
interface ScalarNode {
  readonly value: unknown;
  readonly source?: string | undefined;
  readonly type?: string | undefined;
  readonly tag?: string | undefined;
}
type Entry = readonly [key: RegoValue, value: RegoValue];

function binary(text: string): string {
  try {
    return new TextDecoder().decode(
      Uint8Array.from(atob(text.replace(/\s/g, "")), (unit) => unit.charCodeAt(0)),
    );
  } catch {
    return fail("!!binary value contains invalid base64 data");
  }
}

class Reader {
  readonly #document: Document;
  readonly #context: RegoContext;
  readonly #open = new Set<unknown>();
  #nodes = 0;

  constructor(document: Document, context: RegoContext) {
    this.#document = document;
    this.#context = context;
  }

  value(node: unknown): RegoValue {
    if ((++this.#nodes & 0xfff) === 0) this.#context.check();
    if (this.#nodes > MAX_NODES) halt(`yaml.unmarshal: more than ${MAX_NODES} values`);
    if (node === null || node === undefined) return null;
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      if (target === undefined) return fail(`unknown anchor '${node.source}' referenced`);
      return this.value(target);
    }
    if (isScalar(node)) return this.#scalar(node);
    if (this.#open.has(node)) return fail("an anchor's value contains itself");
    this.#open.add(node);
    try {
      if (isSeq(node)) return node.items.map((item) => this.value(item));
      return isMap(node) ? objectOf(this.#entries(node.items)) : fail("an unknown kind of node");
    } finally {
      this.#open.delete(node);
    }
  }

  #scalar(node: ScalarNode): RegoValue {
    const text = typeof node.value === "string" ? node.value : node.source ?? "";
    const tag = node.tag?.replace(/^tag:yaml\.org,2002:/, "!!");
    const plain = node.type === "PLAIN" || node.type === undefined;
    if (tag === "!!str" || tag === "!" || (!plain && tag === undefined)) return text;
    const resolved = resolveScalar(text);
    if (tag === "!!binary") return binary(text);
    switch (resolved.kind) {
      case "null":
        return null;
      case "boolean":
        return resolved.value;
      case "number":
        return tag === "!!float" ? new RegoNumber(resolved.value.text) : resolved.value;
      case "nan":
      case "infinity":
        return fail("json: unsupported value");
      default:
        return text;
    }
  }

  #entries(items: readonly { readonly key: unknown; readonly value: unknown }[]): Entry[] {
    const merged: Entry[] = [];
    const own: Entry[] = [];
    for (const { key, value } of items) {
      if (isScalar(key) && key.type === "PLAIN" && key.tag === undefined && key.value === "<<") {
        // What is merged first wins over what is merged later, and all own keys win over it.
        merged.unshift(...this.#merge(value));
      } else own.push([this.#key(this.value(key)), this.value(value)]);
    }
    return [...merged, ...own];
  }

  #merge(node: unknown): Entry[] {
    const target = isAlias(node) ? node.resolve(this.#document) : node;
    if (isMap(target)) {
      if (this.#open.has(target)) return fail("an anchor's value contains itself");
      this.#open.add(target);
      try {
        return this.#entries(target.items);
      } finally {
        this.#open.delete(target);
      }
    }
    if (!isSeq(target)) return fail("map merge requires map or sequence of maps as the value");
    return target.items.toReversed().flatMap((item) => this.#merge(item));
  }

  #key(key: RegoValue): string {
    if (typeof key === "string") return key;
    if (typeof key === "boolean") return String(key);
    return key instanceof RegoNumber ? key.text : fail("unsupported map key");
  }
}

function unmarshal(text: string, context: RegoContext): RegoValue {
  if (text.length > MAX_TEXT) halt(`yaml.unmarshal: a text of more than ${MAX_TEXT} characters`);
  const documents = parseAllDocuments(text, {
    schema: "failsafe",
    version: "1.2",
    uniqueKeys: false,
    logLevel: "silent",
    prettyErrors: false,
  });
  const list: readonly Document[] = Array.isArray(documents) ? documents : [];
  for (const { errors, directives } of list) {
    if (errors.length > 0) fail(`yaml: ${errors[0]!.message}`);
    const { explicit, version } = directives?.yaml ?? {};
    if (explicit && version !== "1.1") fail("yaml: found incompatible YAML document");
  }
  const first = list[0];
  return first === undefined ? null : new Reader(first, context).value(first.contents);
}

export const YAML_BUILTINS: RegoBuiltins = {
  "yaml.marshal": ([value = null]) => {
    try {
      return writeYaml(jsonTree(value));
    } catch (error) {
      if (error instanceof YamlTextError) fail(error.message);
      throw error;
    }
  },
  "yaml.unmarshal": (operands, context) => unmarshal(stringAt(operands, 0), context),
  "yaml.is_valid": ([text = null], context) => {
    if (typeof text !== "string") return false;
    try {
      unmarshal(text, context);
      return true;
    } catch (error) {
      if (error instanceof BuiltinError) return false;
      throw error;
    }
  },
};
