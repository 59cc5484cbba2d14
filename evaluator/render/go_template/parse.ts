/**
 * Templates of Go's `text/template`, parsed: text, actions between `{{` and `}}`, pipelines of commands.
 *
 * Source: https://pkg.go.dev/text/template
 */

import { halt, work, workOn } from "../work.ts";

/** Raised for a template that is none, and for one that can't be executed with its data. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

/** A constant as Go has it: whole numbers and others are of different types. */
export type Constant =
  | { readonly kind: "int"; readonly value: bigint }
  | { readonly kind: "float"; readonly value: number };

/** What a command works with. `fields` are looked up one after the other in what stands before them. */
export type Operand =
  | { readonly kind: "dot"; readonly fields: readonly string[] }
  | { readonly kind: "variable"; readonly name: string; readonly fields: readonly string[] }
  | { readonly kind: "pipeline"; readonly pipeline: Pipeline; readonly fields: readonly string[] }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "constant"; readonly value: Constant | string | boolean }
  | { readonly kind: "nil" };

/** Commands, each of which gets what the one before it gave as its last operand. */
export interface Pipeline {
  readonly variables: readonly string[];
  /** Whether the variables are assigned to (`=`) rather than declared (`:=`). */
  readonly assigns: boolean;
  readonly commands: readonly (readonly Operand[])[];
}

/** A part of a template. */
export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly pipeline: Pipeline }
  | {
    readonly kind: "if" | "with" | "range";
    readonly pipeline: Pipeline;
    readonly body: readonly Node[];
    readonly otherwise: readonly Node[];
  }
  | { readonly kind: "template"; readonly name: string; readonly pipeline: Pipeline | undefined }
  | { readonly kind: "break" | "continue" };

/** The name that OPA gives a template. */
export const ROOT = "template";

/** The templates of a text by name; the text itself is {@link ROOT}. */
export type Templates = ReadonlyMap<string, readonly Node[]>;

type Token = {
  readonly kind: "name" | "field" | "variable" | "number" | "char" | "string" | "mark" | "space" | "end";
  readonly text: string;
};

const TOKEN =
  /(?<space>\s+)|(?<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?<char>'(?:[^'\\\n]|\\.)[^'\n]*')|(?<number>[+-]?(?:\.\d|\d)(?:[\w.]|(?<=[eEpP])[+-])*)|(?<field>\.[\p{L}_][\p{L}\p{Nd}_]*)|(?<variable>\$[\p{L}\p{Nd}_]*)|(?<name>[\p{L}_][\p{L}\p{Nd}_]*)|(?<mark>:=|[=|(),.])/uy;
const KINDS = ["space", "string", "char", "number", "field", "variable", "name", "mark"] as const;
/** Nested deeper than this is refused. */
const MAX_DEPTH = 200;
/** Characters between `{{` and `}}`: a token is read in one go. */
const MAX_ACTION = 32 * 1024;
/** Digits of a constant: integers of any size take quadratic time to read. */
const MAX_NUMBER = 1_000;
const KEYWORDS = [
  ...["if", "else", "end", "range", "with", "template", "define", "block", "break", "continue", "nil"],
];

/** All functions that there are. */
const FUNCTION_NAMES = [
  ...["and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or"],
  ...["print", "printf", "println", "slice", "urlquery"],
];

function fail(message: string): never {
  throw new TemplateError(`template: ${message}`);
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ a: "\u0007", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", "\\": "\\", "'": "'", '"': '"' },
};

/** What a quoted text says; surrogates and bytes beyond ASCII can't be told apart from text here, and are refused. */
function unquoted(text: string): string {
  if (text.startsWith("`")) return text.slice(1, -1).replaceAll("\r", "");
  return text.slice(1, -1).replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([^]))/g,
    (_, hex, short, long, octal, one) => {
      const code = parseInt(hex ?? short ?? long ?? "", 16);
      if (octal !== undefined || hex !== undefined) {
        const byte = octal === undefined ? code : parseInt(octal, 8);
        return byte < 0x80 ? String.fromCharCode(byte) : fail("an escaped byte that is no character");
      }
      if (one !== undefined) return Object.hasOwn(ESCAPES, one) ? ESCAPES[one]! : fail("a bad escape");
      return code > 0x10ffff || code >= 0xd800 && code < 0xe000
        ? fail("a bad escape")
        : String.fromCodePoint(code);
    },
  );
}

function numberOf(text: string): Constant {
  if (text.length > MAX_NUMBER) halt(`strings.render_template: a number of ${text.length} characters`);
  const plain = text.replace(/^[+-]/, "").replaceAll("_", "");
  const sign = text.startsWith("-") ? -1 : 1;
  if (/^(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|\d+)$/.test(plain)) {
    const octal = /^0[0-7]+$/.test(plain) ? `0o${plain.slice(1)}` : plain;
    if (/^0\d/.test(octal)) return fail(`bad number syntax: ${text}`);
    const value = BigInt(octal) * BigInt(sign);
    if (value > 2n ** 63n - 1n || value < -(2n ** 63n)) return fail(`integer overflow: ${text}`);
    return { kind: "int", value };
  }
  if (/^(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(plain)) return { kind: "float", value: sign * Number(plain) };
  return fail(`bad number syntax: ${text}`);
}

function tokensOf(action: string): readonly Token[] {
  if (action.length > MAX_ACTION) halt(`strings.render_template: an action of ${action.length} characters`);
  const tokens: Token[] = [];
  for (let at = 0; at < action.length;) {
    work(4);
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(action);
    if (!match) return fail(`unexpected ${JSON.stringify(action[at])} in an action`);
    const kind = KINDS.find((name) => match.groups![name] !== undefined)!;
    tokens.push({ kind, text: match[0] });
    at += match[0].length;
  }
  tokens.push({ kind: "end", text: "" });
  return tokens;
}

/** Reads what stands in one action. */
class ActionReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = tokensOf(text);
  }

  #peek(): Token {
    return this.#tokens[this.#at]!;
  }

  space(): boolean {
    const found = this.#peek().kind === "space";
    if (found) this.#at++;
    return found;
  }

  /** Takes the token if it is the given one. */
  take(text: string): boolean {
    const token = this.#peek();
    if (token.text !== text || (token.kind !== "mark" && token.kind !== "name")) return false;
    this.#at++;
    return true;
  }

  keyword(): string | undefined {
    const token = this.#peek();
    if (token.kind !== "name" || !KEYWORDS.includes(token.text) || token.text === "nil") return undefined;
    this.#at++;
    return token.text;
  }

  end(): void {
    this.space();
    if (this.#peek().kind !== "end") fail(`unexpected ${JSON.stringify(this.#peek().text)} in an action`);
  }

  string(): string {
    this.space();
    const token = this.#tokens[this.#at++]!;
    return token.kind === "string" ? unquoted(token.text) : fail("expected a name in quotes");
  }

  get ended(): boolean {
    return this.#peek().kind === "end";
  }

  /** A pipeline, up to the end of the action or a closing parenthesis. */
  pipeline(known: Set<string>, declares: 0 | 1 | 2, depth: number): Pipeline {
    if (depth > MAX_DEPTH) fail("nested too deeply");
    this.space();
    const start = this.#at;
    const variables: string[] = [];
    let assigns = false;
    while (declares > variables.length && this.#peek().kind === "variable") {
      variables.push(this.#tokens[this.#at++]!.text);
      this.space();
      if (this.take(":=")) break;
      if (this.take("=")) {
        assigns = true;
        break;
      }
      if (declares === 2 && variables.length === 1 && this.take(",")) {
        this.space();
        continue;
      }
      variables.length = 0;
      this.#at = start;
      break;
    }
    if (assigns) { for (const name of variables) if (!known.has(name)) fail(`undefined variable ${name}`); }
    const commands: (readonly Operand[])[] = [];
    do {
      const command = this.#command(known, depth);
      if (command.length === 0) fail("missing value for a pipeline");
      const [first] = command;
      if (
        commands.length > 0 &&
        (first!.kind === "constant" || first!.kind === "nil" ||
          first!.kind === "dot" && first!.fields.length === 0)
      ) {
        fail("a command of a pipeline that can't be called");
      }
      commands.push(command);
      this.space();
    } while (this.take("|"));
    if (!assigns) { for (const name of variables) known.add(name); }
    return { variables, assigns, commands };
  }

  #command(known: Set<string>, depth: number): readonly Operand[] {
    const operands: Operand[] = [];
    for (;;) {
      this.space();
      const token = this.#peek();
      if (token.kind === "end" || token.text === "|" && token.kind === "mark" || token.text === ")") {
        return operands;
      }
      operands.push(this.#operand(known, depth));
      const next = this.#peek();
      const separates = next.kind === "space" || next.kind === "end" || next.text === "|" ||
        next.text === ")";
      if (!separates) fail(`unexpected ${JSON.stringify(next.text)} in an operand`);
    }
  }

  #fields(): readonly string[] {
    const fields: string[] = [];
    while (this.#peek().kind === "field") fields.push(this.#tokens[this.#at++]!.text.slice(1));
    return fields;
  }

  #operand(known: Set<string>, depth: number): Operand {
    const token = this.#tokens[this.#at]!;
    if (token.kind === "field") return { kind: "dot", fields: this.#fields() };
    this.#at++;
    switch (token.kind) {
      case "variable":
        if (!known.has(token.text)) return fail(`undefined variable ${token.text}`);
        return { kind: "variable", name: token.text, fields: this.#fields() };
      case "number":
        return { kind: "constant", value: numberOf(token.text) };
      case "char": {
        const [rune, ...more] = [...unquoted(token.text)];
        if (rune === undefined || more.length > 0) return fail(`malformed character constant: ${token.text}`);
        return { kind: "constant", value: { kind: "int", value: BigInt(rune.codePointAt(0)!) } };
      }
      case "string":
        return { kind: "constant", value: unquoted(token.text) };
      case "name":
        if (token.text === "true" || token.text === "false") {
          return { kind: "constant", value: token.text === "true" };
        }
        if (token.text === "nil") return { kind: "nil" };
        if (KEYWORDS.includes(token.text)) return fail(`unexpected ${token.text}`);
        if (!FUNCTION_NAMES.includes(token.text)) {
          return fail(`function ${JSON.stringify(token.text)} not defined`);
        }
        return { kind: "function", name: token.text };
    }
    if (token.text === "." && token.kind === "mark") return { kind: "dot", fields: [] };
    if (token.text === "(") {
      const pipeline = this.pipeline(known, 0, depth + 1);
      this.space();
      if (!this.take(")")) fail("an opening parenthesis that is not closed");
      return { kind: "pipeline", pipeline, fields: this.#fields() };
    }
    return fail(`unexpected ${JSON.stringify(token.text)} in an operand`);
  }
}

/** Where the white space at the end of a text begins. */
function trimmedEnd(text: string): number {
  let end = text.length;
  while (end > 0 && " \t\r\n".includes(text[end - 1]!)) end--;
  workOn(16 * (text.length - end));
  return end;
}

/** Where an action ends: at `}}` outside of quotes, or where a quote is not closed. */
function actionEnd(source: string, start: number): number {
  let at = start;
  while (at < source.length && !source.startsWith("}}", at)) {
    work();
    const quote = source[at]!;
    if (!"\"'`".includes(quote)) {
      at++;
      continue;
    }
    let end = at + 1;
    while (end < source.length && source[end] !== quote && (quote === "`" || source[end] !== "\n")) {
      work();
      end += source[end] === "\\" && quote !== "`" ? 2 : 1;
    }
    if (source[end] !== quote) return at;
    at = end + 1;
  }
  return Math.min(at, source.length);
}

type Piece = { readonly kind: "text" | "action"; readonly text: string };

/** Cuts a template into text and actions, white space trimmed where `{{-` and `-}}` say so. */
function piecesOf(source: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let trim = false;
  for (let at = 0; at < source.length;) {
    const open = source.indexOf("{{", at);
    workOn((open < 0 ? source.length : open) - at);
    let text = source.slice(at, open < 0 ? source.length : open);
    if (trim) text = text.replace(/^[ \t\r\n]+/, "");
    if (open < 0) {
      pieces.push({ kind: "text", text });
      return pieces;
    }
    let start = open + 2;
    if (/^-[ \t\r\n]/.test(source.slice(start, start + 2))) {
      text = text.slice(0, trimmedEnd(text));
      start += 2;
    }
    pieces.push({ kind: "text", text });
    const comment = /^\s*\/\*/.exec(source.slice(start, start + 64)) && source.startsWith("/*", start);
    if (comment) {
      const close = source.indexOf("*/", start + 2);
      const end = close < 0 ? null : /^([ \t\r\n]-)?\}\}/.exec(source.slice(close + 2, close + 6));
      if (!end) return fail("a comment that is not closed, or does not end its action");
      trim = end[1] !== undefined;
      at = close + 2 + end[0].length;
      continue;
    }
    const end = actionEnd(source, start);
    const inner = source.slice(start, end);
    if (!source.startsWith("}}", end)) return fail("an action that is not closed");
    trim = /[ \t\r\n]-$/.test(inner);
    pieces.push({ kind: "action", text: trim ? inner.slice(0, -2) : inner });
    at = end + 2;
  }
  return pieces;
}

class Parser {
  readonly #pieces: readonly Piece[];
  readonly #templates = new Map<string, readonly Node[]>();
  #at = 0;
  #loops = 0;

  constructor(source: string) {
    this.#pieces = piecesOf(source);
  }

  whole(): Templates {
    const { nodes, end } = this.#list(new Set(["$"]), 0);
    if (end !== "") fail(`unexpected {{${end}}}`);
    this.#add(ROOT, nodes);
    return this.#templates;
  }

  /** Nodes up to `{{end}}`, `{{else …}}` or the end of the text. `rest` reads on behind an `else`. */
  #list(
    known: Set<string>,
    depth: number,
  ): { readonly nodes: readonly Node[]; readonly end: string; readonly rest?: ActionReader } {
    work(1 + known.size);
    if (depth > MAX_DEPTH) fail("nested too deeply");
    const nodes: Node[] = [];
    while (this.#at < this.#pieces.length) {
      const piece = this.#pieces[this.#at++]!;
      if (piece.kind === "text") {
        if (piece.text !== "") nodes.push({ kind: "text", text: piece.text });
        continue;
      }
      const reader = new ActionReader(piece.text);
      reader.space();
      const keyword = reader.keyword();
      switch (keyword) {
        case "end":
          reader.end();
          return { nodes, end: "end" };
        case "else":
          return { nodes, end: "else", rest: reader };
        case "if":
        case "with":
        case "range":
          nodes.push(this.#control(keyword, reader, known, depth));
          break;
        case "break":
        case "continue":
          reader.end();
          if (this.#loops === 0) fail(`{{${keyword}}} outside {{range}}`);
          nodes.push({ kind: keyword });
          break;
        case "define": {
          if (depth > 0) fail("unexpected {{define}}");
          this.#define(reader, depth);
          break;
        }
        case "block": {
          work(known.size);
          const name = reader.string();
          const pipeline = reader.pipeline(new Set(known), 0, depth);
          reader.end();
          this.#body(name, depth);
          nodes.push({ kind: "template", name, pipeline });
          break;
        }
        case "template": {
          work(known.size);
          const name = reader.string();
          reader.space();
          const pipeline = reader.ended ? undefined : reader.pipeline(new Set(known), 0, depth);
          reader.end();
          nodes.push({ kind: "template", name, pipeline });
          break;
        }
        default: {
          const pipeline = reader.pipeline(known, 1, depth);
          reader.end();
          nodes.push({ kind: "action", pipeline });
        }
      }
    }
    return { nodes, end: "" };
  }

  #define(reader: ActionReader, depth: number): void {
    const name = reader.string();
    reader.end();
    this.#body(name, depth);
  }

  #body(name: string, depth: number): void {
    const loops = this.#loops;
    this.#loops = 0;
    const { nodes, end } = this.#list(new Set(["$"]), depth + 1);
    if (end !== "end") fail(`unexpected end of the template ${JSON.stringify(name)}`);
    this.#loops = loops;
    this.#add(name, nodes);
  }

  /** Of several templates of one name at most one may say anything. */
  #add(name: string, nodes: readonly Node[]): void {
    const isEmpty = (list: readonly Node[]) =>
      list.every((node) => node.kind === "text" && /^[ \t\r\n]*$/.test(node.text));
    const before = this.#templates.get(name);
    if (before && !isEmpty(before)) {
      if (!isEmpty(nodes)) fail(`multiple definition of template ${JSON.stringify(name)}`);
      return;
    }
    this.#templates.set(name, nodes);
  }

  #control(kind: "if" | "with" | "range", reader: ActionReader, known: Set<string>, depth: number): Node {
    work(2 * known.size);
    const inner = new Set(known);
    const pipeline = reader.pipeline(inner, kind === "range" ? 2 : 1, depth);
    reader.end();
    if (kind === "range") this.#loops++;
    const { nodes: body, end, rest } = this.#list(new Set(inner), depth + 1);
    if (kind === "range") this.#loops--;
    let otherwise: readonly Node[] = [];
    if (end === "else") {
      rest!.space();
      if (kind !== "range" && rest!.take(kind)) otherwise = [this.#control(kind, rest!, inner, depth + 1)];
      else {
        rest!.end();
        const found = this.#list(new Set(inner), depth + 1);
        if (found.end !== "end") fail("expected {{end}}");
        otherwise = found.nodes;
      }
    } else if (end !== "end") fail("an {{end}} is missing");
    return { kind, pipeline, body, otherwise };
  }
}

/** Parses a template. Throws {@link TemplateError}. */
export function parseTemplate(source: string): Templates {
  return new Parser(source).whole();
}
