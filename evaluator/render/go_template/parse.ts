/**
 * Templates of Go's `text/template`, parsed: text, actions between `{{` and `}}`, pipelines of commands.
 *
 * Source: https://pkg.go.dev/text/template
 */
import { work } from "../work.ts";
import {
  type Constant,
  fail,
  numberOf,
  type Piece,
  piecesOf,
  type Token,
  tokensOf,
  unquoted,
} from "./tokens.ts";

export { type Constant, TemplateError } from "./tokens.ts";

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

/** Nested deeper than this is refused. */
const MAX_DEPTH = 200;
const KEYWORDS = [
  ...["if", "else", "end", "range", "with", "template", "define", "block", "break", "continue", "nil"],
];

/** All functions that there are. */
const FUNCTION_NAMES = [
  ...["and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or"],
  ...["print", "printf", "println", "slice", "urlquery"],
];

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
      if (keyword === "end") {
        reader.end();
        return { nodes, end: "end" };
      }
      if (keyword === "else") return { nodes, end: "else", rest: reader };
      if (keyword === "define") this.#define(reader, depth);
      else nodes.push(this.#node(keyword, reader, known, depth));
    }
    return { nodes, end: "" };
  }

  #node(keyword: string | undefined, reader: ActionReader, known: Set<string>, depth: number): Node {
    switch (keyword) {
      case "if":
      case "with":
      case "range":
        return this.#control(keyword, reader, known, depth);
      case "break":
      case "continue":
        reader.end();
        if (this.#loops === 0) fail(`{{${keyword}}} outside {{range}}`);
        return { kind: keyword };
      case "block": {
        work(known.size);
        const name = reader.string();
        const pipeline = reader.pipeline(new Set(known), 0, depth);
        reader.end();
        this.#body(name, depth);
        return { kind: "template", name, pipeline };
      }
      case "template": {
        work(known.size);
        const name = reader.string();
        reader.space();
        const pipeline = reader.ended ? undefined : reader.pipeline(new Set(known), 0, depth);
        reader.end();
        return { kind: "template", name, pipeline };
      }
      default: {
        const pipeline = reader.pipeline(known, 1, depth);
        reader.end();
        return { kind: "action", pipeline };
      }
    }
  }

  #define(reader: ActionReader, depth: number): void {
    if (depth > 0) fail("unexpected {{define}}");
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
