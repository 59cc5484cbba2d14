/**
 * The text of a kubeconfig as `kubectl` reads it (sigs.k8s.io/yaml on go-yaml 2): YAML 1.1, so that `yes` is true and `<<` merges maps.
 * What is wrong with it is told by its place alone: the text may be a token.
 */
import { isAlias, isMap, isScalar, isSeq, YamlComposer, YamlLexer, YamlParser } from "../../deps.ts";
import { placeIn, yamlFaultText } from "../../program/types/yaml_fault.ts";
import { NO_VALUE } from "./kubeconfig_fields.ts";

const CORE = "tag:yaml.org,2002:";

type Tag = { readonly tag: string; readonly format?: string };

/** Of YAML 1.1's types those that go-yaml has not: numbers by sixties, dates, maps and lists of other kinds. Its `!!binary` is a text. */
const isUnknownToKubectl = ({ tag, format }: Tag): boolean =>
  format === "TIME" || ["timestamp", "binary", "omap", "pairs", "set"].some((name) => tag === CORE + name);

const NOT_BASE64 = "a !!binary is not base64";

/** A text in base64: kubectl takes the bytes for UTF-8. */
const BINARY = {
  tag: `${CORE}binary`,
  resolve(text: string, onError: (message: string) => void): string {
    const joined = text.replace(/[\r\n]/g, "");
    if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(joined)) {
      onError(NOT_BASE64);
      return "";
    }
    const bytes = Uint8Array.from(atob(joined), (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  },
};

const OPTIONS = {
  logLevel: "error",
  prettyErrors: false,
  version: "1.1",
  customTags: (tags: readonly (string | Tag)[]) => [
    ...tags.filter((tag) => typeof tag === "string" || !isUnknownToKubectl(tag)),
    BINARY,
  ],
} as unknown as ConstructorParameters<typeof YamlComposer>[0];

type Document = ReturnType<YamlComposer["next"]> extends Generator<infer T> ? T : never;

/** Of the package's lexer what is changed here: a step within `[…]` or `{…}`, and how far their lines must be indented. */
type FlowLexer = { indentNext: number; parseFlowCollection: () => Generator<string, unknown> };

/** A lexer that asks for no indentation within `[…]` and `{…}`, as go-yaml does. */
function looseLexer(): YamlLexer {
  const lexer = new YamlLexer();
  const flow = lexer as unknown as FlowLexer;
  const step = flow.parseFlowCollection.bind(lexer);
  flow.parseFlowCollection = function* () {
    const { indentNext } = flow;
    flow.indentNext = 0;
    const next = yield* step();
    flow.indentNext = indentNext;
    return next;
  };
  return lexer;
}

function documentsIn(text: string): readonly Document[] {
  const parser = new YamlParser();
  const composer = new YamlComposer(OPTIONS);
  const tokens = function* () {
    for (const source of looseLexer().lex(text)) yield* parser.next(source);
    yield* parser.end();
  };
  return [...composer.compose(tokens())];
}

/** A pair of a map; `value` is null where not even a colon stands behind the key. */
type Pair = { readonly key: unknown; value: unknown };

const isMerge = ({ key }: Pair): boolean =>
  isScalar(key) && typeof key.value === "symbol" && key.value.description === "<<";

/**
 * Makes of a document's maps what `kubectl` makes of them: what `<<` merges wins over what stands before it (go-yaml 2, `decode.go`).
 * Keys without a value get {@link NO_VALUE}: `{token:s3cret}` is such a key, and no user without fields.
 */
function settleMaps(document: Document, fail: (what: string, offset: number) => never): void {
  const merged = (value: unknown): readonly string[] => {
    const source = isAlias(value) ? value.resolve(document) : value;
    if (isSeq(source)) return source.items.flatMap(merged);
    return isMap(source) ? Object.keys(source.toJS(document, { maxAliasCount: 100 }) as object) : [];
  };
  const visit = (node: unknown): void => {
    if (isSeq(node)) node.items.forEach(visit);
    if (!isMap(node)) return;
    const pairs = node.items as Pair[];
    for (const pair of pairs) {
      visit(pair.value);
      if (pair.value === null) pair.value = document.createNode(NO_VALUE);
    }
    const [merge, another] = pairs.filter(isMerge);
    if (another !== undefined) {
      fail("a key stands twice in its map", (another.key as { range?: [number] }).range?.[0] ?? 0);
    }
    if (merge === undefined) return;
    const given = new Set(merged(merge.value));
    const at = pairs.indexOf(merge);
    node.items = pairs.filter(({ key }, index) =>
      index >= at || !isScalar(key) || !given.has(String(key.value))
    ) as typeof node.items;
  };
  visit(document.contents);
}

/** What the package says of a fault, in words where its code would mislead. */
function faultText({ code, message }: Document["errors"][number]): string {
  if (code === "DUPLICATE_KEY") return "a key stands twice in its map";
  if (code === "TAG_RESOLVE_FAILED" && message === NOT_BASE64) return NOT_BASE64;
  return /must (?:be sufficiently indented and )?end with/.test(message)
    ? "it is not valid YAML (a bracket or brace is not closed)"
    : `it is not valid YAML (${code})`;
}

/**
 * The value of a kubeconfig's text; undefined where it is empty.
 *
 * @throws {Error} says what is wrong and where, and nothing of the text
 */
export function parseKubeconfigText(given: string): unknown {
  // Line ends of old are line ends to kubectl.
  const text = given.replace(/\r(?!\n)/g, "\n");
  const fail = (what: string, offset: number): never => {
    const { line, column } = placeIn(text, offset);
    throw new Error(`${what}, at line ${line} column ${column}`);
  };
  let documents: readonly Document[];
  try {
    documents = documentsIn(text);
  } catch (error) {
    if (error instanceof RangeError) throw new Error("it is nested too deeply");
    throw error;
  }
  const [document, ...others] = documents;
  if (document === undefined) return undefined;
  const other = others.find(({ contents }) =>
    contents !== null && !(isScalar(contents) && contents.value === null)
  );
  if (other !== undefined) {
    fail(
      "it has more than one document, of which kubectl reads the first alone: remove the others",
      other.range[0],
    );
  }
  const [fault] = document.errors;
  if (fault !== undefined) fail(faultText(fault), fault.pos[0]);
  settleMaps(document, fail);
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // Aliases are resolved here, and the message would name them.
    throw new Error(error instanceof Error ? yamlFaultText(error) : "it is not valid YAML");
  }
}
