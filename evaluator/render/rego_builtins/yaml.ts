/** Builtins on YAML: `yaml.marshal`, `yaml.unmarshal`, `yaml.is_valid`. */
import { isAlias, isMap, isScalar, isSeq } from "../../../deps.ts";
import { BuiltinError, type RegoBuiltins, RegoNumber, type RegoValue } from "../../types/rego.ts";
import { MAX_VALUES } from "../../types/rego_limits.ts";
import { fail, halt, stringAt } from "../rego_operands.ts";
import { jsonTree } from "../rego_text.ts";
import { objectOf } from "../rego_value.ts";
import { work, workOn } from "../work.ts";
import { readYaml, type YamlDocument, YamlSyntaxError } from "../yaml_reader.ts";
import { resolveScalar } from "../yaml_scalar.ts";
import { writeYaml, YamlTextError } from "../yaml_writer.ts";

interface ScalarNode {
  readonly value: unknown;
  readonly source?: string | undefined;
  readonly type?: string | undefined;
  readonly tag?: string | undefined;
}
type Entry = readonly [key: RegoValue, value: RegoValue];

function binary(text: string): string {
  workOn(4 * text.length);
  let decoded: string;
  try {
    decoded = atob(text.replace(/\s/g, ""));
  } catch {
    return fail("!!binary value contains invalid base64 data");
  }
  const bytes = new Uint8Array(decoded.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = decoded.charCodeAt(at);
  return new TextDecoder().decode(bytes);
}

/** What each alias stands for: the node that bears its name and stands last before it. */
function targetsOf(document: YamlDocument): ReadonlyMap<unknown, unknown> {
  const anchors = new Map<string, unknown>();
  const targets = new Map<unknown, unknown>();
  const pending: unknown[] = [document.contents];
  while (pending.length > 0) {
    work();
    const node = pending.pop();
    if (isAlias(node)) {
      if (anchors.has(node.source)) targets.set(node, anchors.get(node.source));
      continue;
    }
    if (!isScalar(node) && !isSeq(node) && !isMap(node)) continue;
    if (node.anchor !== undefined) anchors.set(node.anchor, node);
    // The last one pushed is the next one looked at.
    if (isSeq(node)) { for (let at = node.items.length - 1; at >= 0; at--) pending.push(node.items[at]); }
    else if (isMap(node)) {
      for (let at = node.items.length - 1; at >= 0; at--) {
        const { key, value } = node.items[at]!;
        pending.push(value, key);
      }
    }
  }
  return targets;
}

class Reader {
  readonly #targets: ReadonlyMap<unknown, unknown>;
  readonly #open = new Set<unknown>();
  #nodes = 0;

  constructor(document: YamlDocument) {
    this.#targets = targetsOf(document);
  }

  /** Aliases let a short text stand for an endless document. */
  #count(): void {
    work(2);
    if (++this.#nodes > MAX_VALUES) halt(`yaml.unmarshal: more than ${MAX_VALUES} values`);
  }

  value(node: unknown): RegoValue {
    this.#count();
    if (node === null || node === undefined) return null;
    if (isAlias(node)) {
      const target = this.#targets.get(node);
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
    const merged: Entry[][] = [];
    const own: Entry[] = [];
    for (const { key, value } of items) {
      if (isScalar(key) && key.type === "PLAIN" && key.tag === undefined && key.value === "<<") {
        // What is merged first wins over what is merged later, and all own keys win over it.
        merged.push(this.#merge(value));
      } else own.push([this.#key(this.value(key)), this.value(value)]);
    }
    return [...merged.reverse(), own].flat();
  }

  #merge(node: unknown): Entry[] {
    this.#count();
    const target = isAlias(node) ? this.#targets.get(node) : node;
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

function documentsOf(text: string): readonly YamlDocument[] {
  try {
    return readYaml(text);
  } catch (error) {
    if (error instanceof YamlSyntaxError) return fail(`yaml: ${error.message.slice(0, 500)}`);
    throw error;
  }
}

function unmarshal(text: string): RegoValue {
  const list = documentsOf(text);
  for (const { directives } of list) {
    const { explicit, version } = directives?.yaml ?? {};
    if (explicit && version !== "1.1") fail("yaml: found incompatible YAML document");
  }
  const first = list[0];
  return first === undefined ? null : new Reader(first).value(first.contents);
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
  "yaml.unmarshal": (operands) => unmarshal(stringAt(operands, 0)),
  "yaml.is_valid": ([text = null]) => {
    if (typeof text !== "string") return false;
    try {
      unmarshal(text);
      return true;
    } catch (error) {
      if (error instanceof BuiltinError) return false;
      throw error;
    }
  },
};
