/**
 * How `kubectl` splits a stream into documents (apimachinery's `YAMLReader`), and where its parser (go-yaml 2, YAML 1.1) reads the same
 * characters as something else than ours does: they are refused, because a policy would be asked about another object than is applied.
 */
import { DocumentError } from "./document.ts";

/** One document of a stream; `at` is its offset there. */
export type StreamPart = { readonly at: number; readonly text: string };

/** A line that ends a document for kubectl, also within a text in quotes. */
const SEPARATOR = /(?:^|\n)---([^\n]*)/g;
/** Characters that YAML 1.1 does not have, two that end a line there and not here, byte order marks that begin a line, and CR CR LF. */
// deno-lint-ignore no-control-regex
const FORBIDDEN = /[\0-\x08\v\f\x0e-\x1f\x7f-\x84\x86-\x9f\u2028\u2029\ufffe\uffff]|(?<![^\n])\ufeff|\r\r\n/;

/** The documents of a stream as kubectl takes it apart, before it reads any as YAML. Their lines end with line feeds. */
export function kubectlDocuments(text: string): readonly StreamPart[] {
  const documents: StreamPart[] = [];
  const take = (start: number, end: number) => {
    // kubectl passes over a byte order mark that begins a document, and reads the first `---` as a part of its document.
    const at = text[start] === "\ufeff" && documents.length > 0 ? start + 1 : start;
    const document = text.slice(at, end);
    requireAllowed(document, at);
    if (document[0] === "%") throw new DocumentError("kubectl takes no directives, remove the line", at);
    const lines = document.replace(/\r(?!\n)|\x85/g, "\n");
    if (/\S/.test(lines)) documents.push({ at, text: lines.endsWith("\n") ? lines : `${lines}\n` });
  };
  let start = 0;
  for (const { index, 0: line, 1: rest = "" } of text.matchAll(SEPARATOR)) {
    const end = index + line.length;
    if (!/^[ \t]*(?:[ \t]#.*)?\r?$/.test(rest)) {
      throw new DocumentError(
        "`---` stands alone on its line for kubectl, write what follows below it",
        end - rest.length,
      );
    }
    take(start, line[0] === "\n" ? index + 1 : index);
    start = end + 1;
  }
  take(start, text.length);
  return documents;
}

function requireAllowed(document: string, at: number): void {
  const match = FORBIDDEN.exec(document);
  if (match === null) return;
  const { 0: found, index } = match;
  if (found === "\r\r\n") {
    throw new DocumentError("a line has two ends (CR CR LF), save the file with single ones", at + index);
  }
  const code = found.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  throw new DocumentError(
    `U+${code} may not stand here, remove it or write \\u${code} in double quotes`,
    at + index,
  );
}

/** An escape in double quotes. Those of more than two characters are read otherwise: surrogates, and a line end before an empty line. */
const ESCAPE = /\\(?:(?:u|U0000)[dD][89a-fA-F]|\r?\n[ \t]*\r?\n|[^])/g;

/** Block scalars with a number for their indentation, of blanks only or of anything: our parser drops blanks at the end of them. */
const BLANK_BLOCK = /^[|>][-+]?[1-9][^\n]*\n\s*$/;
const INDENTED_BLOCK = /^[|>]-?[1-9]/;

/** Of a node of the YAML package, what is looked at here. */
export type ScalarNode = {
  readonly range?: readonly [number, number, number] | null;
  readonly tag?: string;
  readonly source?: string;
  readonly type?: string | null;
};

/**
 * Why a scalar is another one to kubectl; `undefined` where it is the same.
 *
 * @param text of the document that the node is of
 * @param inFlow whether it stands in `[…]` or `{…}`
 */
export function kubectlObjection(node: ScalarNode, text: string, inFlow: boolean): string | undefined {
  const { source = "", type, tag, range } = node;
  const [start = 0, end = 0] = range ?? [];
  const raw = text.slice(start, end);
  if (type?.startsWith("QUOTE_")) return quotedObjection(raw.slice(1, -1), type);
  if (type?.startsWith("BLOCK_")) {
    const blank = INDENTED_BLOCK.test(raw) && /^[\r\n]* +\r?\n/.test(text.slice(end));
    return blank || BLANK_BLOCK.test(raw)
      ? "a block with a number and lines of blanks, remove these lines"
      : undefined;
  }
  if (type !== "PLAIN") return undefined;
  if (/^:[,[\]{}]/.test(text.slice(end, end + 2))) {
    return "`:` is part of a key for kubectl, write a blank behind it";
  }
  if (!inFlow) return undefined;
  if (tag !== undefined && source === "") return "a tag without a value, write the value";
  return /^:|\?/.test(source)
    ? "`?` and `:` are signs within […] and {…} for kubectl, write the text in quotes"
    : undefined;
}

function quotedObjection(inner: string, type: string): string | undefined {
  let odd: string | undefined;
  const rest = type === "QUOTE_SINGLE" ? inner.replaceAll("''", "") : inner.replace(ESCAPE, (escape) => {
    if (escape.length > 2) odd ??= escape;
    return "";
  });
  // Our parser ends a text before a line that is indented too little, and may take an escaped quote there for its end.
  if (type === "QUOTE_SINGLE" ? rest.includes("'") : /["\\]/.test(rest)) {
    return "a text in quotes, indent its lines more than the key";
  }
  if (odd === undefined) return undefined;
  return /^\\[uU]/.test(odd)
    ? "half of a character as an escape, write the character"
    : "an empty line behind `\\`, write \\n for it";
}
