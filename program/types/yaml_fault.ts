/**
 * What a parser says of text that is no YAML, without any of the text: it may hold passwords (proxies, kubeconfigs, settings), and errors
 * go to logs.
 */

/** Of the YAML package's errors, what is read here. */
interface YamlFault {
  readonly code?: string;
  readonly message: string;
  /** Where in the text it begins. */
  readonly pos?: readonly [number, number];
}

/** Errors whose message ends with a piece of the text, behind a colon or within quotes. */
const QUOTING: ReadonlySet<string | undefined> = new Set([
  undefined,
  "BAD_ALIAS",
  "BAD_DIRECTIVE",
  "NON_STRING_KEY",
  "TAG_RESOLVE_FAILED",
  "UNEXPECTED_TOKEN",
]);

/** The message without what it quotes. */
export function yamlFaultText({ code, message }: YamlFault): string {
  if (code === "BAD_DQ_ESCAPE") return "Invalid escape sequence";
  // The package gives the engine's own words for a stack that is full.
  if (code === "RESOURCE_EXHAUSTION") return "nested too deeply";
  const [line = ""] = message.split("\n");
  return QUOTING.has(code) ? line.split(/:|["'`]/)[0]!.trim() : line;
}

/** The same, with the place: "Map keys must be unique at line 3, column 1". */
export function yamlFaultAt(text: string, fault: YamlFault): string {
  const said = yamlFaultText(fault);
  if (fault.pos === undefined) return said;
  const { line, column } = placeIn(text, fault.pos[0]);
  return `${said} at line ${line}, column ${column}`;
}

/** Where an offset stands in a text, in UTF-16 units; the first line and the first column are 1. */
export function placeIn(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: before.length - before.lastIndexOf("\n") };
}
