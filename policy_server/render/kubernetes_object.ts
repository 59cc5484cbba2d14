/**
 * Cuts objects out of what the API server sent: trimmed and masked (`spec/evaluator.md §5.8`), as JSON text, without building
 * them as JavaScript values. That keeps numbers as they are, and thousands of objects small.
 */
import {
  decodeText,
  scanArray,
  scanObject,
  skipValue,
  stringValue,
} from "../../evaluator/render/json_scan.ts";
import type { MaskTree } from "./field_masks.ts";

/** How objects are cut. */
export interface ObjectForm {
  /** Filled in, as items of lists have none of their own. */
  readonly apiVersion: string;
  readonly kind: string;
  /** Undefined: whole objects. */
  readonly masks: MaskTree | undefined;
  /** Whether the managed fields and the last-applied annotation go. */
  readonly trimmed: boolean;
}

/** An object of the cluster. */
export interface ClusterObject {
  readonly name: string | undefined;
  /** Undefined for an object that belongs to no namespace. */
  readonly namespace: string | undefined;
  /** The object as JSON text. */
  readonly json: string;
}

/** An object as it was read. */
export interface ReadObject extends ClusterObject {
  readonly resourceVersion: string | undefined;
  /** The index behind it. */
  readonly end: number;
}

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
/** What `metav1.ObjectMeta` knows; the original drops everything else. */
const METADATA = new Set([
  "annotations",
  "creationTimestamp",
  "deletionGracePeriodSeconds",
  "deletionTimestamp",
  "finalizers",
  "generateName",
  "generation",
  "labels",
  "managedFields",
  "name",
  "namespace",
  "ownerReferences",
  "resourceVersion",
  "selfLink",
  "uid",
]);
/** What the scanner can follow; the API server takes more, no guest does. */
const DEPTH = 4095;
const QUOTE = 0x22, OPEN_BRACE = 0x7b, OPEN_BRACKET = 0x5b;
const encoder = new TextEncoder();

/** Grows as needed and serves all objects, one after the other: nothing here waits. */
let output = new Uint8Array(64 * 1024);
let length = 0;

function reserve(more: number): void {
  if (length + more <= output.length) return;
  const larger = new Uint8Array(Math.max(output.length * 2, length + more));
  larger.set(output.subarray(0, length));
  output = larger;
}

function copy(bytes: Uint8Array, start: number, end: number): void {
  reserve(end - start);
  output.set(bytes.subarray(start, end), length);
  length += end - start;
}

function put(text: string): void {
  reserve(text.length * 3);
  length += encoder.encodeInto(text, output.subarray(length)).written;
}

/** Copies an object's members that `member` writes; it returns the index behind the value, or undefined to leave it out. */
function copyMembers(
  bytes: Uint8Array,
  at: number,
  member: (key: string, start: number) => number | undefined,
): number {
  put("{");
  let first = true;
  const end = scanObject(bytes, at, (keyStart, keyEnd, start) => {
    const before = length;
    if (!first) put(",");
    copy(bytes, keyStart, keyEnd);
    put(":");
    const behind = member(stringValue(bytes, keyStart, keyEnd), start);
    if (behind === undefined) length = before;
    else first = false;
    return behind ?? skipValue(bytes, start, DEPTH);
  });
  put("}");
  return end;
}

function copyValue(bytes: Uint8Array, start: number): number {
  const end = skipValue(bytes, start, DEPTH);
  copy(bytes, start, end);
  return end;
}

/** Copies what the mask keeps of a value. Returns the index behind it. */
function copyMasked(bytes: Uint8Array, start: number, { members }: MaskTree): number {
  if (members.size === 0) return copyValue(bytes, start);
  if (bytes[start] === OPEN_BRACE) {
    return copyMembers(bytes, start, (key, at) => {
      const mask = members.get(key);
      return mask && copyMasked(bytes, at, mask);
    });
  }
  if (bytes[start] !== OPEN_BRACKET) return copyValue(bytes, start);
  // Refuses what is nested too deeply before the recursion below meets it.
  skipValue(bytes, start, DEPTH);
  put("[");
  let first = true;
  const end = scanArray(bytes, start, (at) => {
    if (!first) put(",");
    first = false;
    return copyMasked(bytes, at, { members });
  });
  put("]");
  return end;
}

function copyAnnotations(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== OPEN_BRACE) {
    put("{}");
    return skipValue(bytes, start, DEPTH);
  }
  return copyMembers(bytes, start, (key, at) => key === LAST_APPLIED ? undefined : copyValue(bytes, at));
}

/** Reads the object at `at`. Throws JsonSyntaxError where there is none. */
export function readObject(bytes: Uint8Array, at: number, form: ObjectForm): ReadObject {
  const found: { name?: string; namespace?: string; resourceVersion?: string } = {};
  let hasMetadata = false;
  const copyMetadata = (start: number): number => {
    hasMetadata = true;
    let annotated = false;
    const end = copyMembers(bytes, start, (key, valueAt) => {
      if (!METADATA.has(key) || (form.trimmed && key === "managedFields")) return undefined;
      if (key === "name" || key === "namespace" || key === "resourceVersion") {
        const valueEnd = copyValue(bytes, valueAt);
        if (bytes[valueAt] === QUOTE) found[key] = stringValue(bytes, valueAt, valueEnd);
        return valueEnd;
      }
      if (!form.trimmed || key !== "annotations") return copyValue(bytes, valueAt);
      annotated = true;
      return copyAnnotations(bytes, valueAt);
    });
    if (form.trimmed) {
      // Both containers stay (`spec/evaluator.md §5.8` rule 3).
      length--;
      put(output[length - 1] === OPEN_BRACE ? "" : ",");
      put(`"managedFields":[]${annotated ? "" : ',"annotations":{}'}}`);
    }
    return end;
  };
  length = 0;
  const end = copyMembers(bytes, at, (key, start) => {
    if (key === "apiVersion" || key === "kind") return undefined;
    if (key === "metadata" && bytes[start] === OPEN_BRACE) return copyMetadata(start);
    const mask = form.masks?.members.get(key);
    if (form.masks && !mask) return undefined;
    return mask ? copyMasked(bytes, start, mask) : copyValue(bytes, start);
  });
  const metadata = hasMetadata || !form.trimmed ? "" : ',"metadata":{"annotations":{},"managedFields":[]}';
  const type = `"apiVersion":${JSON.stringify(form.apiVersion)},"kind":${JSON.stringify(form.kind)}`;
  const rest = decodeText(output, 1, length - 1);
  return {
    name: found.name,
    namespace: found.namespace || undefined,
    resourceVersion: found.resourceVersion,
    json: `{${type}${metadata}${rest === "" ? "" : ","}${rest}}`,
    end,
  };
}

/** One page of a list. */
export interface ListPage {
  readonly objects: readonly ReadObject[];
  /** The list's own metadata as JSON text. */
  readonly metadata: string;
  readonly resourceVersion: string;
  /** For the next page; undefined on the last one. */
  readonly next: string | undefined;
}

/** Reads a page of a list. Throws JsonSyntaxError for bytes that are no list. */
export function readListPage(bytes: Uint8Array, form: ObjectForm): ListPage {
  const objects: ReadObject[] = [];
  let metadata = "{}";
  scanObject(bytes, 0, (keyStart, keyEnd, start) => {
    const key = stringValue(bytes, keyStart, keyEnd);
    if (key === "items" && bytes[start] === OPEN_BRACKET) {
      return scanArray(bytes, start, (at) => {
        const object = readObject(bytes, at, form);
        objects.push(object);
        return object.end;
      });
    }
    const end = skipValue(bytes, start, DEPTH);
    if (key === "metadata") metadata = decodeText(bytes, start, end);
    return end;
  });
  const read = JSON.parse(metadata) as { readonly resourceVersion?: string; readonly continue?: string };
  return { objects, metadata, resourceVersion: read.resourceVersion ?? "", next: read.continue || undefined };
}

/** What one line of a watch tells. */
export type WatchEvent =
  | { readonly kind: "changed" | "deleted"; readonly object: ReadObject }
  | { readonly kind: "bookmark"; readonly resourceVersion: string | undefined }
  | { readonly kind: "error"; readonly code: number; readonly message: string };

/** Reads a line of a watch. Throws JsonSyntaxError for one that is none. */
export function readWatchEvent(line: Uint8Array, form: ObjectForm): WatchEvent {
  let type = "";
  let objectAt = -1;
  scanObject(line, 0, (keyStart, keyEnd, start) => {
    const end = skipValue(line, start, DEPTH);
    const key = stringValue(line, keyStart, keyEnd);
    if (key === "type" && line[start] === QUOTE) type = stringValue(line, start, end);
    if (key === "object") objectAt = start;
    return end;
  });
  if (objectAt < 0) return { kind: "error", code: 0, message: "the watch sent an event without an object" };
  switch (type) {
    case "ADDED":
    case "MODIFIED":
      return { kind: "changed", object: readObject(line, objectAt, form) };
    case "DELETED":
      return { kind: "deleted", object: readObject(line, objectAt, form) };
    case "BOOKMARK":
      return { kind: "bookmark", resourceVersion: readObject(line, objectAt, form).resourceVersion };
    default: {
      const end = skipValue(line, objectAt, DEPTH);
      const status = JSON.parse(decodeText(line, objectAt, end)) as {
        readonly code?: number;
        readonly message?: string;
      };
      return {
        kind: "error",
        code: status.code ?? 0,
        message: status.message ?? `the watch sent an event of type ${JSON.stringify(type)}`,
      };
    }
  }
}

/** The answer to a list call. `metadata` is that of a list that was not cached; the original gives none else. */
export function listText(
  apiVersion: string,
  kind: string,
  objects: Iterable<ClusterObject>,
  metadata = "{}",
): string {
  const items: string[] = [];
  for (const { json } of objects) items.push(json);
  return `{"apiVersion":${JSON.stringify(apiVersion)},"kind":${
    JSON.stringify(`${kind}List`)
  },"metadata":${metadata},"items":[${items.join(",")}]}`;
}
