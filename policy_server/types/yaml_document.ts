/**
 * Reads YAML into the tree of {@link DocumentValue}. The YAML package gives the nodes; what a plain scalar means is
 * decided here from its text (YAML 1.2 core rules), because that keeps the digits and does not depend on a `%YAML`
 * directive. Merge keys are plain keys. Manifests are read as `kubectl` reads them (`kubectl_yaml.ts`).
 */
import { own } from "../../program/types/own.ts";
import { yamlFaultText } from "../../program/types/yaml_fault.ts";
import { isAlias, isMap, isScalar, isSeq, parseAllDocuments, parseDocument } from "../../deps.ts";
import {
  type DocumentEntry,
  DocumentError,
  type DocumentValue,
  jsonText,
  listOf,
  mapOf,
  MAX_DEPTH,
  MAX_TEXT_LENGTH,
} from "./document.ts";
import { readJson } from "./json_document.ts";
import { kubectlKey, kubectlScalar, kubectlTagged, mergedEntries, notMaps } from "./kubectl_yaml.ts";
import { kubectlDocuments, kubectlObjection, type ScalarNode, type StreamPart } from "./kubectl_stream.ts";

const CORE = "tag:yaml.org,2002:";
const TAGS: Readonly<Record<string, readonly DocumentValue["kind"][]>> = {
  [`${CORE}map`]: ["map"],
  [`${CORE}seq`]: ["list"],
  [`${CORE}str`]: ["string"],
  [`${CORE}null`]: ["null"],
  [`${CORE}bool`]: ["boolean"],
  [`${CORE}int`]: ["number"],
  [`${CORE}float`]: ["number"],
};

const FLOAT = /^([-+]?)([0-9]*)(?:\.([0-9]*))?([eE][-+]?[0-9]+)?$/;
/** Longest `0x…` or `0o…` read; far beyond 64 bits, short enough to be converted at no cost. */
const MAX_RADIX_DIGITS = 64;

/** Keys that the merges of one document may add in all. */
const MAX_MERGED = 1_000_000;

const OPTIONS = {
  schema: "failsafe",
  resolveKnownTags: false,
  merge: false,
  uniqueKeys: false,
  keepSourceTokens: false,
  prettyErrors: false,
  logLevel: "error",
} as const;

type Parsed = Pick<ReturnType<typeof parseDocument>, "errors" | "contents">;

function guarded<T>(parse: () => T, at = 0): T {
  try {
    return parse();
  } catch (error) {
    // The package's own recursion has no limit but the stack.
    if (error instanceof RangeError) throw new DocumentError(`nested more than ${MAX_DEPTH} levels deep`, at);
    throw error;
  }
}

/** What plain scalars and `<<` mean: by YAML 1.2's core schema, or as `kubectl` reads them. */
export type YamlReading = "core" | "kubectl";

/** Reads the only document of `text`; `null` where there is none. Throws {@link DocumentError}. */
export function readYaml(text: string, reading: YamlReading = "core"): DocumentValue | null {
  return readParsed(guarded(() => parseDocument(text, OPTIONS)), reading);
}

/** Reads all documents of `text`, those that hold something. Throws {@link DocumentError}. */
export function readYamlStream(text: string, reading: YamlReading = "core"): readonly DocumentValue[] {
  if (text.length > MAX_TEXT_LENGTH) {
    throw new DocumentError(`longer than ${MAX_TEXT_LENGTH} characters`, MAX_TEXT_LENGTH);
  }
  const json = reading === "kubectl" && /^\s*[{]/.test(text) ? readJson(text, reading) : undefined;
  if (json !== undefined) return [json];
  const documents = reading === "core"
    ? [...guarded(() => parseAllDocuments(text, OPTIONS))].map((document) =>
      readParsed(document as Parsed, reading)
    )
    : kubectlDocuments(text).map((part) =>
      readParsed(guarded(() => parseDocument(part.text, OPTIONS), part.at), reading, part)
    );
  return documents.filter((value) => value !== null && value.kind !== "null") as DocumentValue[];
}

function faultText(fault: Parsed["errors"][0], inStream: boolean): string {
  if (fault.code === "MULTIPLE_DOCS") {
    return inStream
      ? "kubectl passes over what stands behind `...`, begin a document by a line of `---`"
      : "more than one document, expected one";
  }
  const text = yamlFaultText(fault);
  return inStream && text.startsWith("Missing closing")
    ? `${text}, or its lines are not indented more than the key`
    : text;
}

/** @param part the document's text, where it is one of a stream that kubectl would read */
function readParsed(document: Parsed, reading: YamlReading, part?: StreamPart): DocumentValue | null {
  const fault = document.errors[0];
  const base = part?.at ?? 0;
  if (fault !== undefined) throw new DocumentError(faultText(fault, part !== undefined), fault.pos[0] + base);
  return document.contents === null ? null : new NodeReader(reading, part).value(document.contents, base, 0);
}

/** Reads the nodes of one document. */
class NodeReader {
  readonly #reading: YamlReading;
  /** Where it is given, what kubectl would read otherwise than it is read here is refused. */
  readonly #part: StreamPart | undefined;
  readonly #anchors = new Map<string, DocumentValue | "open">();
  #inFlow = false;
  /** Keys that merges may still add. */
  #unspent = MAX_MERGED;

  constructor(reading: YamlReading, part: StreamPart | undefined) {
    this.#reading = reading;
    this.#part = part;
  }

  value(node: unknown, at: number, depth: number): DocumentValue {
    if (isAlias(node)) return this.#aliased(node.source, this.#start(node, at));
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) return { kind: "null", at, weight: 4 };
    const start = this.#start(node, at);
    if (depth > MAX_DEPTH) throw new DocumentError(`nested more than ${MAX_DEPTH} levels deep`, start);
    if (node.anchor !== undefined) {
      if (this.#part !== undefined && !/^[\w-]+$/.test(node.anchor)) {
        throw new DocumentError("an anchor is named by letters, digits, `-` and `_` for kubectl", start);
      }
      this.#anchors.set(node.anchor, "open");
    }
    const inFlow = this.#inFlow;
    if (!isScalar(node) && node.flow) this.#inFlow = true;
    const result = isScalar(node)
      ? this.#scalar(node, start)
      : isSeq(node)
      ? listOf(node.items.map((item) => this.value(item, start, depth + 1)), start)
      : mapOf(this.#entries(node.items, start, depth), start);
    this.#inFlow = inFlow;
    if (this.#reading === "core") checkTag(node.tag, result);
    // Of two anchors of one name the later begun counts, which may be in the node of the first.
    if (node.anchor !== undefined && this.#anchors.get(node.anchor) === "open") {
      this.#anchors.set(node.anchor, result);
    }
    return result;
  }

  #start(node: Pick<ScalarNode, "range">, at: number): number {
    return node.range ? node.range[0] + (this.#part?.at ?? 0) : at;
  }

  #scalar(node: ScalarNode, at: number): DocumentValue {
    const { source = "", tag, type } = node;
    if (this.#reading === "core") return scalar(source, type === "PLAIN", tag, at);
    const objection = this.#part && kubectlObjection(node, this.#part.text, this.#inFlow);
    if (objection !== undefined) throw new DocumentError(objection, at);
    const resolved = tag === undefined
      ? type === "PLAIN" ? kubectlScalar(source, at) : undefined
      : kubectlTagged(source, tag, at);
    return resolved ?? textOf(source, at);
  }

  #entries(
    pairs: readonly { readonly key: unknown; readonly value: unknown }[],
    at: number,
    depth: number,
  ): readonly DocumentEntry[] {
    const entries = pairs.map((pair) => this.#entry(pair.key, pair.value, at, depth));
    if (this.#reading === "core") return entries;
    if (!pairs.some(isMerge)) return entries;
    return mergedEntries(
      entries,
      (index) => isMerge(pairs[index]!),
      (count, place) => this.#spend(count, place),
    );
  }

  #spend(count: number, at: number): void {
    this.#unspent -= count;
    if (this.#unspent < 0) throw new DocumentError(`\`<<\` merges more than ${MAX_MERGED} keys`, at);
  }

  #entry(keyNode: unknown, valueNode: unknown, at: number, depth: number): DocumentEntry {
    const key = this.value(keyNode, at, depth + 1);
    const text = this.#reading === "kubectl"
      ? this.#kubectlKey(key)
      : key.kind === "string"
      ? key.value
      : isScalar(keyNode)
      ? keyNode.source ?? ""
      : "";
    const value = this.value(valueNode, key.at, depth + 1);
    const ofKubectl = this.#reading === "kubectl";
    if (ofKubectl && isAlias(valueNode) && value.kind === "list" && isMerge({ key: keyNode })) {
      throw notMaps(value.at);
    }
    return { key: text, keyKind: key.kind, keyAt: key.at, value };
  }

  #kubectlKey(key: DocumentValue): string {
    const text = kubectlKey(key);
    if (text !== undefined || this.#part === undefined) return text ?? jsonText(key);
    const what = key.kind === "number" ? "number that kubectl writes otherwise" : key.kind;
    throw new DocumentError(`a ${what} as a key, write a text in quotes`, key.at);
  }

  #aliased(name: string, at: number): DocumentValue {
    const target = this.#anchors.get(name);
    if (target === undefined) throw new DocumentError("an alias has no anchor before it", at);
    if (target === "open") throw new DocumentError("an alias stands inside what it names", at);
    return target;
  }
}

/** Whether a pair merges maps. */
function isMerge({ key }: { readonly key: unknown }): boolean {
  if (!isScalar(key) || key.source !== "<<") return false;
  return key.tag === undefined ? key.type === "PLAIN" : key.tag === "!" || key.tag === `${CORE}merge`;
}

function checkTag(tag: string | undefined, value: DocumentValue): void {
  if (tag === undefined || tag === "!") return;
  const kinds = own(TAGS, tag);
  if (kinds === undefined) throw new DocumentError(`tag ${tag} is not supported`, value.at);
  if (!kinds.includes(value.kind)) throw new DocumentError(`tag ${tag} does not fit the value`, value.at);
}

const textOf = (value: string, at: number): DocumentValue => ({
  kind: "string",
  at,
  weight: value.length + 2,
  value,
});

/** `source` is the scalar's text without quotes and escapes. */
function scalar(source: string, plain: boolean, tag: string | undefined, at: number): DocumentValue {
  const resolves = tag === undefined ? plain : tag !== "!" && tag !== `${CORE}str`;
  return (resolves ? coreScalar(source, at) : undefined) ?? textOf(source, at);
}

function coreScalar(source: string, at: number): DocumentValue | undefined {
  if (/^(?:~|null|Null|NULL|)$/.test(source)) return { kind: "null", at, weight: 4 };
  if (/^(?:true|True|TRUE)$/.test(source)) return { kind: "boolean", at, weight: 4, value: true };
  if (/^(?:false|False|FALSE)$/.test(source)) return { kind: "boolean", at, weight: 5, value: false };
  const number = (json: string, integer: boolean): DocumentValue => {
    return { kind: "number", at, weight: json.length, json, integer };
  };
  if (/^0o[0-7]+$|^0x[0-9a-fA-F]+$/.test(source)) {
    if (source.length > MAX_RADIX_DIGITS) throw new DocumentError("number with too many digits", at);
    return number(BigInt(source).toString(), true);
  }
  if (/^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$/.test(source)) {
    throw new DocumentError(`${source} can't be written as JSON, expected a finite number`, at);
  }
  // Digits behind a leading zero (`0644`) are text, as for the reader of the original: no reading of them as a number
  // is the one that everybody expects.
  if (/^[-+]?0[0-9]+$/.test(source)) return undefined;
  if (/^[-+]?[0-9]+$/.test(source)) {
    return number(/^[-+]?0$/.test(source) ? "0" : source.replace("+", ""), true);
  }
  const float = FLOAT.exec(source);
  if (float === null || !/^[-+]?\.?[0-9]/.test(source)) return undefined;
  if (!Number.isFinite(Number(source))) throw new DocumentError(`number ${source} is out of range`, at);
  const [, sign, whole = "", fraction, exponent = ""] = float;
  const digits = whole.replace(/^0+(?=.)/, "") || "0";
  const tail = fraction === undefined ? "" : `.${fraction || "0"}`;
  return number(`${sign === "-" ? "-" : ""}${digits}${tail}${exponent}`, false);
}
