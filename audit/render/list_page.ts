/**
 * The items of a list's text, each as its own text: nothing of an object changes on its way into a review, and no page has to
 * be held as objects.
 *
 * What is read is the API server's own JSON; text that is no list of objects is an error, not a guess.
 */
import type { Audited } from "../types/judgement.ts";
import type { Served } from "../types/policies.ts";

export type RawPage = {
  readonly items: readonly string[];
  readonly next: string | undefined;
  /** Objects on further pages; a guess of the API server. */
  readonly remaining: number;
};

const QUOTE = 0x22,
  BACKSLASH = 0x5c,
  OPEN_OBJECT = 0x7b,
  CLOSE_OBJECT = 0x7d,
  OPEN_LIST = 0x5b,
  CLOSE_LIST = 0x5d;

/** The index after the string that begins at `start`. */
function afterString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end + 1;
  }
  throw new Error("the list ends inside of a string");
}

/** The index after the object or list that begins at `start`. */
function afterValue(text: string, start: number): number {
  let depth = 0;
  for (let index = start; index < text.length;) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      index = afterString(text, index);
      continue;
    }
    index++;
    if (code === OPEN_OBJECT || code === OPEN_LIST) depth++;
    else if ((code === CLOSE_OBJECT || code === CLOSE_LIST) && --depth === 0) return index;
  }
  throw new Error("the list ends inside of an object");
}

const space = (code: number) => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;

/** Cuts a list's text into its items. */
export function itemsOf(text: string): RawPage {
  const items: string[] = [];
  // The list's own members, without the items: small, and parsed as usual.
  let rest = "";
  let from = 0;
  let depth = 0;
  for (let index = 0; index < text.length;) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      const end = afterString(text, index);
      const member = depth === 1 && text.slice(index, end) === '"items"'
        ? /^\s*:\s*\[/.exec(text.slice(end, end + 64))
        : null;
      index = end;
      if (member === null) continue;
      index += member[0].length;
      rest += text.slice(from, index);
      for (;;) {
        while (space(text.charCodeAt(index)) || text[index] === ",") index++;
        if (text.charCodeAt(index) !== OPEN_OBJECT) break;
        const after = afterValue(text, index);
        items.push(text.slice(index, after));
        index = after;
      }
      from = index;
      depth++;
      continue;
    }
    if (code === OPEN_OBJECT || code === OPEN_LIST) depth++;
    else if (code === CLOSE_OBJECT || code === CLOSE_LIST) depth--;
    index++;
  }
  const list = JSON.parse(rest + text.slice(from)) as {
    readonly metadata?: { readonly continue?: string; readonly remainingItemCount?: number };
    readonly items?: unknown;
  };
  // Objects are cut out by now; what is left would be something else.
  const empty = list?.items === null || Array.isArray(list?.items) && list.items.length === 0;
  if (!empty) throw new Error("the answer is no list of objects");
  const { continue: next, remainingItemCount: remaining = 0 } = list.metadata ?? {};
  return { items, next: next || undefined, remaining };
}

type Head = {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: { readonly [name: string]: string } | null;
  };
};

/** An object out of its text; built-in lists leave out `apiVersion` and `kind` of their items (spec/audit.md §7 rule 4). */
export function auditedOf(text: string, served: Served): Audited {
  const { apiVersion: writtenVersion, kind: writtenKind, metadata = {} } = JSON.parse(text) as Head;
  const apiVersion = writtenVersion ??
    (served.group === "" ? served.version : `${served.group}/${served.version}`);
  const kind = writtenKind ?? served.kind;
  const missing = (writtenVersion === undefined ? `"apiVersion":${JSON.stringify(apiVersion)},` : "") +
    (writtenKind === undefined ? `"kind":${JSON.stringify(kind)},` : "");
  return {
    text: missing === "" ? text : `{${missing}${text.slice(1).trimStart()}`,
    apiVersion,
    kind,
    name: metadata.name ?? "",
    namespace: metadata.namespace,
    uid: metadata.uid ?? "",
    resourceVersion: metadata.resourceVersion ?? "",
    labels: metadata.labels ?? undefined,
  };
}
