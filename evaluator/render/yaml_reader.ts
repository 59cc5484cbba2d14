/** Reads YAML with the time that it takes limited: token by token, and no document is made of more than can be made at once. */
import { YamlComposer, YamlLexer, YamlParser, yamlTokens } from "../../deps.ts";
import { MAX_NESTING } from "../types/rego_limits.ts";
import { halt, work, workOn } from "./work.ts";

/** Raised for text that is no YAML. */
export class YamlSyntaxError extends Error {
  override readonly name = "YamlSyntaxError";
}

/** A document as the library has it. */
export type YamlDocument = NonNullable<
  ReturnType<YamlComposer["next"]> extends Generator<infer T> ? T : never
>;

/**
 * Tokens of one text. A document is composed in one go, which only its plain scalars interrupt: so the others are fewer, those
 * that take the most time count more, and 100,000 take some 50 ms.
 */
const MAX_TOKENS = 400_000;
const MAX_UNINTERRUPTED = 100_000;
const WEIGHTS: ReadonlyMap<string | null, number> = new Map([
  ...[["alias", 3], ["anchor", 2], ["tag", 2], ["single-quoted-scalar", 1], [
    "double-quoted-scalar",
    1,
  ]] as const,
  ...[["flow-map-start", 1], ["flow-seq-start", 1], ["comma", 1]] as const,
]);
/** What one scalar costs: 160,000 take some 40 ms. A line costs eight, an escape one. */
const MAX_SCALAR = 160_000;

function scalarCost(source: string): number {
  let cost = source.length >> 4;
  for (let at = 0; at < source.length; at++) {
    if ((at & 0xfff) === 0) work(0xfff >> 3);
    const unit = source.charCodeAt(at);
    if (unit === 0x0a) cost += 8;
    else if (unit === 0x5c || unit === 0x27) cost++;
  }
  return cost;
}

/** Counts tokens, before the library makes something of them. */
class Budget {
  #tokens = 0;
  #uninterrupted = 0;
  #depth = 0;

  take(source: string): void {
    work(8);
    if (++this.#tokens > MAX_TOKENS) halt(`YAML of more than ${MAX_TOKENS} tokens`);
    const type = yamlTokens.tokenType(source);
    this.#uninterrupted += WEIGHTS.get(type) ?? 0;
    if (this.#uninterrupted > MAX_UNINTERRUPTED) {
      halt(`YAML of more than ${MAX_UNINTERRUPTED} quoted texts, aliases, tags and lists in brackets`);
    }
    if (type === "flow-map-start" || type === "flow-seq-start") {
      if (++this.#depth > MAX_NESTING) halt(`YAML nested deeper than ${MAX_NESTING} levels`);
    } else if (type === "flow-map-end" || type === "flow-seq-end") this.#depth = Math.max(0, this.#depth - 1);
    if (source.length > 1024 && scalarCost(source) > MAX_SCALAR) {
      halt(`YAML with a text of ${source.length} characters in too many lines`);
    }
  }
}

/** A composer that gives up at the first error: an error holds its place as text, and a text may have very many. */
function composer(): YamlComposer {
  const interrupting = {
    tag: "tag:portreeve,2026:interrupting",
    default: true,
    // Asked for every plain scalar; it takes none.
    test: { test: () => (work(16), false) } as unknown as RegExp,
    resolve: (text: string) => text,
  };
  const composer = new YamlComposer({
    schema: "failsafe",
    customTags: [interrupting],
    version: "1.2",
    uniqueKeys: false,
    logLevel: "silent",
    prettyErrors: false,
  });
  const onError = (_source: unknown, _code: unknown, message: string, warning?: boolean) => {
    if (!warning) throw new YamlSyntaxError(message);
  };
  return Object.assign(composer, { onError });
}

/** All documents of a text. Throws {@link YamlSyntaxError}, and BuiltinHalt for a text that would take too long. */
export function readYaml(text: string): readonly YamlDocument[] {
  const budget = new Budget();
  const parser = new YamlParser();
  const documents = composer();
  const found: YamlDocument[] = [];
  const compose = (tokens: ReturnType<YamlParser["next"]>) => {
    for (const token of tokens) {
      if (token.type === "error") throw new YamlSyntaxError(token.message);
      for (const document of documents.next(token)) found.push(document);
    }
  };
  workOn(text.length);
  for (const source of new YamlLexer().lex(text)) {
    budget.take(source);
    compose(parser.next(source));
  }
  compose(parser.end());
  for (const document of documents.end()) found.push(document);
  for (const { errors } of found) if (errors.length > 0) throw new YamlSyntaxError(errors[0]!.message);
  return found;
}
