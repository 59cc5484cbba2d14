/**
 * From what an author holds in the hand to admission requests: a review or request as it is, or manifests, YAML or JSON, several
 * documents, `kind: List` (`docs/reeve.md`).
 */
import {
  type DocumentEntry,
  DocumentError,
  type DocumentValue,
  jsonText,
  memberOf,
  requireUniqueKeys,
  textOf,
} from "../../policy_server/types/document.ts";
import { own } from "../../program/types/own.ts";
import { boundedText } from "../../program/types/bounded_text.ts";
import { decodedText } from "../../program/types/decoded_text.ts";
import { readYamlStream } from "../../policy_server/types/yaml_document.ts";
import type { Admission } from "../types/admission.ts";
import { CliError } from "../types/command.ts";
import { admissionRequest, type AdmittedObject, groupVersion } from "./admission_request.ts";
import { jsonStream } from "./json_stream.ts";
import { located } from "./located.ts";
import { jsonBytes } from "./review_body.ts";
import { usualResource } from "./usual_resource.ts";
import { plainValue } from "./yaml.ts";

/** One request of a file. */
export interface GivenRequest {
  /** What it is about, for people; undefined for a request that was there as it is. */
  readonly about: string | undefined;
  /** JSON text of an AdmissionReview, an AdmissionRequest, or of raw input. */
  readonly json: Uint8Array;
}

/** More objects than this in one file are no test input. */
const MAX_OBJECTS = 10_000;

const encoder = new TextEncoder();

const textField = (value: DocumentValue | undefined, name: string) => textOf(memberOf(value, name));

/** An object of Kubernetes: a request's `kind` is a map, and a review is a request. */
function isManifest(value: DocumentValue): boolean {
  const kind = textField(value, "kind");
  return textField(value, "apiVersion") !== undefined && kind !== undefined && kind !== "AdmissionReview";
}

/**
 * The kind of a list's items: a list of the API has items and no name. Such a list names apiVersion and kind once, and its items need
 * not (`kubectl get --raw`); a `List` of v1 holds any kinds. Undefined for what is no list.
 */
function itemKind(value: DocumentValue): string | undefined {
  const kind = textField(value, "kind");
  if (textField(value, "apiVersion") === undefined || kind === undefined) return undefined;
  const items = memberOf(value, "items");
  if (!kind.endsWith("List") || (items?.kind !== "list" && items?.kind !== "null")) return undefined;
  const named = textField(memberOf(value, "metadata"), "name") !== undefined;
  return named ? undefined : kind.slice(0, -"List".length);
}

/** An item with the apiVersion and kind that its list says for it. */
function namedItem(item: DocumentValue, list: DocumentValue, kind: string): DocumentValue {
  if (kind === "" || item.kind !== "map") return item;
  const entry = (key: string, value: DocumentValue): DocumentEntry => ({
    key,
    keyKind: "string",
    keyAt: item.at,
    value,
  });
  const added = [
    entry("apiVersion", memberOf(list, "apiVersion")!),
    entry("kind", { kind: "string", value: kind, at: item.at, weight: kind.length + 2 }),
  ].filter(({ key }) => memberOf(item, key) === undefined);
  return added.length === 0 ? item : { ...item, entries: [...added, ...item.entries] };
}

function flattened(value: DocumentValue): readonly DocumentValue[] {
  const kind = itemKind(value);
  if (kind === undefined) return [value];
  const items = memberOf(value, "items");
  return items?.kind === "list" ? items.items.flatMap((item) => flattened(namedItem(item, value, kind))) : [];
}

const tooMany = (from: string) => new CliError(`${from} holds more than ${MAX_OBJECTS} objects`);

const NO_OBJECT = "holds no object: one with apiVersion and kind is wanted";

/** Refuses what stands among objects and is none, with its place. */
function requireObjects(values: readonly DocumentValue[], text: string, from: string): void {
  const other = values.find((value) => !isManifest(value));
  if (other !== undefined) {
    throw new CliError(`${from} ${located(text, new DocumentError(NO_OBJECT, other.at))}`);
  }
}

function documentsIn(text: string, from: string): readonly DocumentValue[] {
  try {
    const documents = readYamlStream(text, "kubectl");
    for (const document of documents) requireUniqueKeys(document, text);
    const objects = documents.flatMap(flattened);
    if (documents.some((document) => itemKind(document) !== undefined)) {
      if (objects.length === 0) {
        throw new CliError(`Error parsing request ${from}: its list holds no objects`);
      }
      requireObjects(objects, text, from);
    }
    return objects;
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    throw new CliError(`Error parsing request ${from}: ${located(text, error)}`);
  }
}

/** A group is a name, a version another: more slashes are none of the API's. */
const API_VERSION = /^[^\s/]+(?:\/[^\s/]+)?$/;

function objectOf(value: DocumentValue, from: string): AdmittedObject {
  if (!isManifest(value)) throw new CliError(`${from} ${NO_OBJECT}`);
  const apiVersion = textField(value, "apiVersion")!;
  if (!API_VERSION.test(apiVersion)) {
    throw new CliError(
      `${from}: apiVersion ${
        JSON.stringify(boundedText(apiVersion, 100))
      } is neither VERSION nor GROUP/VERSION`,
    );
  }
  const metadata = memberOf(value, "metadata");
  for (
    const [path, field, kind] of [
      ["metadata", metadata, "map"],
      ["metadata.name", memberOf(metadata, "name"), "string"],
      ["metadata.namespace", memberOf(metadata, "namespace"), "string"],
    ] as const
  ) {
    if (field === undefined || field.kind === "null" || field.kind === kind) continue;
    throw new CliError(`Error parsing request ${from}: ${path} must be a ${kind}, it is a ${field.kind}`);
  }
  return plainValue(value) as AdmittedObject;
}

/** The request that an API server would make of an object. */
function requestFor(
  document: DocumentValue,
  admission: Admission,
  from: string,
  index: number,
): GivenRequest {
  const object = objectOf(document, from);
  const operation = admission.operation ?? "CREATE";
  const given = admission.oldObject;
  const [old] = given === undefined ? [] : documentsIn(given.text, given.from);
  const oldObject = given === undefined ? object : objectOf(old ?? document, given.from);
  const objects = {
    CREATE: { object },
    UPDATE: { object, oldObject },
    DELETE: { oldObject },
    CONNECT: { object },
  }[operation];
  const { group } = groupVersion(object.apiVersion);
  const { user, groups, namespace } = admission;
  const resource = usualResource(group, object.kind);
  const request = admissionRequest(objects, { operation, resource, user, groups, namespace, index });
  const { namespace: of, name } = object.metadata ?? {};
  return {
    about: `${object.kind} ${
      [of ?? (resource.namespaced ? namespace ?? "default" : undefined), name ?? "without a name"].filter(
        Boolean,
      ).join("/")
    }`,
    json: encoder.encode(JSON.stringify(request)),
  };
}

/** Whether a document is a review, or the request in one. */
const isReview = (value: DocumentValue): boolean =>
  textField(value, "kind") === "AdmissionReview" || memberOf(value, "uid") !== undefined;

/** Refuses what is meant as a manifest, and names its apiVersion or its kind otherwise or not at all. */
function requireRequest(value: Readonly<Record<string, unknown>>, from: string): void {
  const has = (name: string) => own(value, name) !== undefined;
  if (has("uid") || own(value, "kind") === "AdmissionReview" || !(has("metadata") || has("spec"))) return;
  const missing = ["apiVersion", "kind"].filter((name) => typeof own(value, name) !== "string");
  if (missing.length === 0) return;
  throw new CliError(
    `Error parsing request ${from}: it looks like a manifest, and has no ${missing.join(" and no ")}` +
      " (a text, spelled so)",
  );
}

/** The requests of several JSON values: all of them are manifests, because nobody writes reviews so. */
function streamed(values: readonly string[], from: string, admission: Admission): readonly GivenRequest[] {
  if (values.length > MAX_OBJECTS) throw tooMany(from);
  const documents = values.flatMap((json, index) => {
    const place = `${from}, value ${index + 1}`;
    jsonBytes(encoder.encode(json), place);
    return documentsIn(json, place);
  });
  if (documents.length > MAX_OBJECTS) throw tooMany(from);
  return documents.map((document, index) => requestFor(document, admission, from, index));
}

/** Whether a flag says something that only counts for manifests. */
const says = (admission: Admission): boolean => Object.values(admission).some((value) => value !== undefined);

/**
 * The requests in a file, in its order.
 *
 * @param from names the file in errors: a path, or "from stdin"
 * @param raw any JSON is the input, as it is
 * @throws {CliError}
 */
export function requestsIn(
  file: Uint8Array,
  from: string,
  raw: boolean,
  admission: Admission = {},
): readonly GivenRequest[] {
  const text = requestText(file, from);
  if (raw) return [asItIs(jsonBytes(encoder.encode(text), from), from, admission)];
  try {
    return requestsInText(text, from, admission);
  } catch (error) {
    if (!(error instanceof CliError) || !isTemplate(text)) throw error;
    throw new CliError(
      `${error.message} (it looks like a template: render it first, as \`helm template\` does)`,
    );
  }
}

/** The text of a file of requests. Throws {@link CliError}. */
export function requestText(file: Uint8Array, from: string): string {
  try {
    return decodedText(file);
  } catch (error) {
    throw new CliError(`Error parsing request ${from}: ${(error as Error).message}`);
  }
}

/** A request that is in the file as it is, JSON: nothing is made of it. */
function asItIs(json: Uint8Array, from: string, admission: Admission): GivenRequest {
  if (says(admission)) {
    throw new CliError(
      `${from} holds an admission request, which says itself whose it is and what it does: ` +
        "--operation, --old-object, --user, --group and --namespace are for manifests",
    );
  }
  return { about: undefined, json };
}

/** Whether a text has what Go's templates have and neither JSON nor YAML does: `{{ .Values.x }}`, `{{- if … }}`. */
const isTemplate = (text: string): boolean =>
  /\{\{-?\s*(?:\.|\$|\/\*|(?:if|else|end|range|with|define|include|template|block|tpl|toYaml)\b)/.test(text);

/** The requests of JSON; undefined for one manifest, which is read as YAML is. */
function jsonRequests(
  text: string,
  from: string,
  admission: Admission,
): readonly GivenRequest[] | undefined {
  const stream = jsonStream(text);
  if (stream.length > 1) return streamed(stream.map(({ json }) => json), from, admission);
  const json = jsonBytes(encoder.encode(text), from);
  const value: unknown = JSON.parse(new TextDecoder().decode(json));
  const fields = (value ?? {}) as Readonly<Record<string, unknown>>;
  const { apiVersion, kind } = fields;
  if (!Array.isArray(value)) requireRequest(fields, from);
  const isManifest = typeof apiVersion === "string" && typeof kind === "string" && kind !== "AdmissionReview";
  return isManifest ? undefined : [asItIs(json, from, admission)];
}

/** The documents of YAML, if all of them are manifests. */
function manifestsIn(text: string, from: string): readonly DocumentValue[] | undefined {
  try {
    const documents = documentsIn(text, from);
    return documents.length > 0 && documents.every(isManifest) ? documents : undefined;
  } catch {
    return undefined;
  }
}

function requestsInText(
  text: string,
  from: string,
  admission: Admission,
): readonly GivenRequest[] {
  // What begins so is meant as JSON, and its errors are told as such, unless it is YAML in braces, which kubectl takes as well.
  let documents: readonly DocumentValue[] | undefined;
  if (/^\s*[{[]/.test(text)) {
    try {
      const given = jsonRequests(text, from, admission);
      if (given !== undefined) return given;
    } catch (error) {
      documents = manifestsIn(text, from);
      if (documents === undefined) throw error;
    }
  }
  documents ??= documentsIn(text, from);
  if (documents.length === 0) throw new CliError(`Error parsing request ${from}: it is empty`);
  if (documents.length > MAX_OBJECTS) throw tooMany(from);
  const [first] = documents;
  if (documents.length === 1 && !isManifest(first!)) {
    if (first!.kind === "list") {
      throw new CliError(
        `Error parsing request ${from}: it is a list, give its objects as several documents or as the items of a List`,
      );
    }
    if (first!.kind !== "map") return [asItIs(jsonBytes(encoder.encode(text), from), from, admission)];
    requireRequest(plainValue(first!) as Readonly<Record<string, unknown>>, from);
    return [asItIs(encoder.encode(jsonText(first!)), from, admission)];
  }
  if (documents.every(isReview)) {
    throw new CliError(
      `${from} holds no object: it holds ${documents.length} reviews, give one file for each`,
    );
  }
  requireObjects(documents, text, from);
  return documents.map((document, index) => requestFor(document, admission, from, index));
}
