/** The chapters of `docs/spec/`, and the places that cite them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const read = (path: string): string => readFileSync(join(root, path), "utf8");

const NO_SOURCES = new Set(["node_modules", "dist", "npm", "npm-maps", "target", "vectors", ".git", ".ci"]);

/** Files of the repository with one of these endings, in order, as paths from its root. */
export function files(folder: string, endings: readonly string[]): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "." ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return NO_SOURCES.has(entry.name) ? [] : files(path, endings);
    return entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)) ? [path] : [];
  }).sort();
}

/** Names of the chapters, without `.md`. */
export const CHAPTERS: readonly string[] = readdirSync(join(root, "docs/spec"))
  .filter((name) => name.endsWith(".md") && name !== "README.md").map((name) => name.slice(0, -3));

/** A chapter, by the numbers of its sections. */
export interface Chapter {
  readonly text: string;
  /** Lines of each section, those of its own sections included. */
  readonly sections: ReadonlyMap<string, readonly string[]>;
  readonly sharpEdges: readonly string[];
}

const LAST = "999";

export function chapter(name: string): Chapter {
  const text = read(`docs/spec/${name}.md`);
  const open: { readonly number: string; readonly depth: number; readonly lines: string[] }[] = [];
  const sections = new Map<string, string[]>();
  let fenced = false;
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) fenced = !fenced;
    const [, marks, number, title] = (!fenced && /^(#{2,4}) (?:(\d+(?:\.\d+)*)\.? )?(.*)$/.exec(line)) || [];
    if (marks !== undefined) {
      while (open.length > 0 && open.at(-1)!.depth >= marks.length) open.pop();
      const lines: string[] = [];
      open.push({ number: number ?? LAST, depth: marks.length, lines });
      if (number !== undefined) sections.set(number, lines);
      if (/^Sharp edges$/.test(title!)) sections.set("sharp edges", lines);
    }
    for (const { lines } of open) lines.push(line);
  }
  return { text, sections, sharpEdges: sections.get("sharp edges") ?? [] };
}

/** Whether a list or table of these lines has an entry with this number or letter. */
export function hasEntry(lines: readonly string[], name: string): boolean {
  return lines.some((line) => new RegExp(`^(?:\\s*${name}\\. |\\| ${name} \\||#### ${name} )`).test(line));
}

/** One thing that a text points at: a section, and perhaps entries of it. */
export interface Citation {
  readonly chapter: string;
  readonly section: string;
  readonly entries: readonly string[];
}

const NUMBER = "\\d+(?:\\.\\d+)*";
const ENTRY = "(?:\\b[a-f]\\b|[A-Z]?\\d+)";
const ENTRIES = `${ENTRY}(?:(?:, | and | to |–)${ENTRY})*`;
const KIND = "(?:rules?|rows?|items?|errors?|steps?|section) ";
const SECTION =
  `§(${NUMBER})(?:\`?,? ${KIND}(${ENTRIES})|\`? ([a-f])\\b(?! [a-z])|, (\\d+(?: and \\d+)*)(?![\\d.]*[ ]?[A-Za-z§]))?`;

/** Sections of one chapter behind each other: `§4.2, §4.3`, `§11–§13`, `§5.4 to §5.8`. */
const ONE = new RegExp(SECTION, "y");
const BETWEEN = /`?(?:, | and |–|-| to |; )(?:and the fixes of |the fixes of )?`?(?=§)/y;

function entriesOf(text: string | undefined): readonly string[] {
  return text === undefined ? [] : [...text.matchAll(new RegExp(ENTRY, "g"))].map(([entry]) => entry);
}

/**
 * Everything that a text cites, and the section signs in it that lead nowhere: those that no chapter stands before. `home` is the
 * chapter that the text is in.
 */
export function citations(
  text: string,
  home?: string,
): { readonly found: readonly Citation[]; readonly stray: readonly string[] } {
  // Comments go on behind the marks of the next line.
  const flat = text.replace(/\n[ \t]*(?:\*(?!\/)|\/\/|;;|#)?[ \t]*/g, " ");
  const found: Citation[] = [];
  const known = new Set<number>();
  const sections = (at: number, chapter: string): void => {
    for (;;) {
      ONE.lastIndex = at;
      const match = ONE.exec(flat);
      if (match === null) return;
      known.add(at);
      found.push({ chapter, section: match[1]!, entries: entriesOf(match[2] ?? match[3] ?? match[4]) });
      at = ONE.lastIndex;
      BETWEEN.lastIndex = at;
      if (BETWEEN.exec(flat) === null) return;
      at = BETWEEN.lastIndex;
    }
  };
  for (const match of flat.matchAll(/\bspec\/([a-z-]+)\.md(`?,? ?`?)/g)) {
    const chapter = match[1]!;
    const after = match.index + match[0].length;
    found.push({ chapter, section: "", entries: [] });
    const edges = /^sharp edges? (\d+(?:(?:, | and | to |–)\d+)*)/i.exec(flat.slice(after, after + 60));
    if (edges !== null) found.push({ chapter, section: "sharp edges", entries: entriesOf(edges[1]) });
    else sections(after, chapter);
  }
  const stray: string[] = [];
  for (const { index } of flat.matchAll(/§/g)) {
    if (known.has(index) || /RFC \d+[^).]*$/.test(flat.slice(Math.max(0, index - 40), index))) continue;
    if (home === undefined) stray.push(flat.slice(Math.max(0, index - 40), index + 20));
    else sections(index, home);
  }
  return { found, stray };
}

/** A program's text without its comments. */
export function withoutComments(source: string): string {
  return source.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|\/\*[\s\S]*?\*\/|(^|\s)\/\/[^\n]*/gm,
    (_, text: string | undefined, before: string | undefined) => text ?? before ?? "",
  );
}

/** Spans of code of a page, without those of blocks. A span may go on in the next line. */
export function codeSpans(markdown: string): readonly string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, "")
    .replace(/\n(?![\n|#]|\s*[-*] |\s*\d+\. )\s*/g, " ");
  return [...prose.matchAll(/(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)/g)].map((match) => match[2]!.trim());
}
