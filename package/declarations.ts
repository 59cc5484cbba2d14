/**
 * The package's declarations. The compiler writes one file for each source file; of those, the declarations that the package's
 * parts reach are kept, name by name: what else their files export may need types that users of the package don't have.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { posix } from "node:path";
import process from "node:process";

/** Something declared, with its comment. Overloads of one function have one name. */
interface Declaration {
  readonly name: string;
  readonly text: string;
}

/** A name that is imported or exported from elsewhere. */
interface Link {
  readonly kind: "import" | "export";
  readonly type: boolean;
  readonly ours: string;
  readonly theirs: string;
  /** Seen from the root. */
  readonly from: string;
}

interface Declared {
  readonly declarations: readonly Declaration[];
  readonly links: readonly Link[];
  /** Files of which all is exported. */
  readonly all: readonly string[];
}

const STATEMENT = /^(import|export)\s+(type\s+)?(?:(\*)|\{([^}]*)\})\s+from\s+["']([^"']+)["'];?[ \t]*\n?/gm;
const BEGINNING =
  /^(?:export )?(?:declare )?(?:abstract )?(?:const enum|enum|const|let|var|function|class|interface|type|namespace) ([\w$]+)/;

/** Whether a declaration has ended: a member of a union may have a comment at the margin. */
function isWhole(text: string): boolean {
  const braced = /^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|namespace|(?:const )?enum) /m
    .test(text);
  return (braced ? /\}\s*$/ : /;\s*$/).test(text);
}

function read(folder: string, file: string): Declared {
  const source = readFileSync(join(folder, file.replace(/\.ts$/, ".d.ts")), "utf8");
  const links: Link[] = [];
  const all: string[] = [];
  const text = source.replace(/^import\s+["'][^"']+["'];?\n/gm, "").replace(
    STATEMENT,
    (_, kind, type, star: string | undefined, list: string, specifier: string) => {
      const from = specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : specifier;
      if (star !== undefined) all.push(from);
      for (const entry of star === undefined ? list.split(",").map((entry) => entry.trim()) : []) {
        if (entry === "") continue;
        const [, single, theirs, ours] = /^(type\s+)?(\S+?)(?:\s+as\s+(\S+))?$/.exec(entry)!;
        const ofType = type !== undefined || single !== undefined;
        links.push({
          kind: kind as Link["kind"],
          type: ofType,
          theirs: theirs!,
          ours: ours ?? theirs!,
          from,
        });
      }
      return "";
    },
  );
  const declarations: Declaration[] = [];
  let begun = "";
  let name: string | undefined;
  const end = () => {
    if (name !== undefined) declarations.push({ name, text: begun });
    begun = "";
    name = undefined;
  };
  for (const line of text.split("\n")) {
    const beginning = BEGINNING.exec(line);
    // A comment at the margin belongs to what follows it.
    if (name !== undefined && (beginning || line.startsWith("/**")) && isWhole(begun)) end();
    // Two comments in a row: the first one is the file's own.
    if (name === undefined && line.startsWith("/**")) begun = "";
    if (name === undefined) name = beginning?.[1];
    if (line !== "export {};" && line !== "") begun += `${line}\n`;
  }
  end();
  // Imported, and exported under that name by a statement without a source: `export { A };`.
  for (const { text } of declarations) {
    if (/^export \{/m.test(text)) throw new Error(`${file}: a declaration was not understood:\n${text}`);
  }
  return { declarations, links, all };
}

/** The third-party types that the package's own mention are opaque to its users. */
const OPAQUE = "deps.ts";

/** Types of the runtime that not every program has declared: they come with `lib: ["DOM"]`, or with the types of Node, Bun or Deno. */
const PLATFORM_FILE = "platform.ts";
const PLATFORM: Readonly<Record<string, string>> = {
  AbortSignal:
    'Declared<"AbortSignal", { readonly aborted: boolean; readonly reason: unknown; throwIfAborted(): void }>',
  URL: 'Declared<"URL", { readonly href: string; readonly protocol: string; readonly pathname: string }>',
};
const PLATFORM_TEXT =
  `/** Types of the runtime, as the program has them; where it has none, what is used of them. */
type Declared<Name extends string, Otherwise> = typeof globalThis extends { readonly [Key in Name]: { prototype: infer Type } } ? Type
  : Otherwise;
${Object.entries(PLATFORM).map(([name, type]) => `export type ${name} = ${type};\n`).join("")}`;

/** Where a name is declared. */
interface Place {
  readonly file: string;
  readonly name: string;
  readonly type: boolean;
}

/** Writes the declarations of `parts` (names and their files, seen from `root`) into `outdir`. */
export function writeDeclarations(
  root: string,
  parts: Readonly<Record<string, string>>,
  outdir: string,
): void {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-declarations-"));
  try {
    emit(root, Object.values(parts), folder);
    shake(folder, Object.values(parts), outdir);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The declarations that the compiler wrote into a folder, read when they are asked for. */
class Emitted {
  readonly #folder: string;
  readonly #files = new Map<string, Declared>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  load(file: string): Declared {
    let found = this.#files.get(file);
    if (!found) this.#files.set(file, found = read(this.#folder, file));
    return found;
  }

  /** Where what a file exports is declared, by the names that it exports it under. */
  exportsOf(file: string): ReadonlyMap<string, Place> {
    const { declarations, links, all } = this.load(file);
    const found = new Map<string, Place>();
    for (const from of all) for (const [name, place] of this.exportsOf(from)) found.set(name, place);
    for (const { name, text } of declarations) {
      if (/^export /m.test(text)) found.set(name, { file, name, type: false });
    }
    for (const link of links) if (link.kind === "export") found.set(link.ours, this.placeOf(link));
    return found;
  }

  placeOf({ from, theirs: name, type }: Link): Place {
    const found = from === OPAQUE ? { file: OPAQUE, name, type: true } : this.exportsOf(from).get(name);
    if (!found) throw new Error(`${from} exports no ${name}`);
    return { ...found, type: type || found.type };
  }
}

/** What is needed of a file: names that it declares, and what it imports for them. */
interface Needed {
  readonly names: Set<string>;
  readonly imports: Map<string, Place>;
}

/** By file, all that `entries` reach. */
function reachedFrom(emitted: Emitted, entries: readonly string[]): ReadonlyMap<string, Needed> {
  const reached = new Map<string, Needed>(
    entries.map((file) => [file, { names: new Set(), imports: new Map() }]),
  );
  const need = ({ file, name }: Place): void => {
    let own = reached.get(file);
    if (!own) reached.set(file, own = { names: new Set(), imports: new Map() });
    if (own.names.has(name)) return;
    own.names.add(name);
    if (file === OPAQUE) return;
    const { declarations, links } = emitted.load(file);
    const words = new Set(
      declarations.filter((one) => one.name === name).flatMap(({ text }) =>
        withoutComments(text).match(/[\w$]+/g) ?? []
      ),
    );
    for (const one of declarations) if (words.has(one.name)) need({ file, name: one.name, type: false });
    for (const link of links) {
      if (link.kind !== "import" || !words.has(link.ours)) continue;
      if (!link.from.endsWith(".ts")) {
        throw new Error(`${file}: ${name}: the package's types would need ${link.from} (${link.theirs})`);
      }
      const place = emitted.placeOf(link);
      own.imports.set(link.ours, place);
      need(place);
    }
  };
  for (const entry of entries) for (const place of emitted.exportsOf(entry).values()) need(place);
  return reached;
}

/** The text of a file that declares what is needed of it, and exports `exported` from elsewhere. */
function declarationText(
  file: string,
  { declarations }: Declared,
  { names, imports }: Needed,
  exported: ReadonlyMap<string, Place>,
): string {
  const lines = [...imports].map(([ours, place]) => `import ${statement(file, ours, place)}\n`);
  for (const [ours, place] of exported) {
    if (place.file !== file) lines.push(`export ${statement(file, ours, place)}\n`);
  }
  const text = declarations.filter(({ name }) => names.has(name)).map(({ text }) => text).join("");
  const words = new Set(withoutComments(text).match(/[\w$]+/g));
  for (const name of Object.keys(PLATFORM)) {
    if (words.has(name)) {
      lines.push(`import ${statement(file, name, { file: PLATFORM_FILE, name, type: true })}\n`);
    }
  }
  // `Symbol.dispose` and its kin are not in the libraries of every target that users compile for.
  const libraries = /\b(AsyncDisposable|Disposable|Symbol\.(asyncDispose|dispose))\b/.test(text)
    ? '/// <reference lib="esnext.disposable" />\n'
    : "";
  const body = lines.join("") + text;
  return `${libraries}${body}${/^export /m.test(body) ? "" : "export {};\n"}`;
}

function shake(folder: string, entries: readonly string[], outdir: string): void {
  save(outdir, PLATFORM_FILE, PLATFORM_TEXT);
  const emitted = new Emitted(folder);
  for (const [file, needed] of reachedFrom(emitted, entries)) {
    if (file === OPAQUE) {
      const types = [...needed.names].sort().map((name) => `export type ${name} = unknown;\n`);
      save(outdir, file, `/** Types of packages whose code is part of this one. */\n${types.join("")}`);
    } else {
      const exported = entries.includes(file) ? emitted.exportsOf(file) : new Map<string, Place>();
      save(outdir, file, declarationText(file, emitted.load(file), needed, exported));
    }
  }
}

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");

function statement(file: string, ours: string, { file: from, name, type }: Place): string {
  const as = name === ours ? name : `${name} as ${ours}`;
  return `${type ? "type " : ""}{ ${as} } from ${JSON.stringify(specifier(file, from))};`;
}

const specifier = (from: string, to: string): string => {
  const path = posix.relative(posix.dirname(from), to).replace(/\.ts$/, ".js");
  return path.startsWith(".") ? path : `./${path}`;
};

function save(outdir: string, file: string, text: string): void {
  const path = join(outdir, file.replace(/\.ts$/, ".d.ts"));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function emit(root: string, files: readonly string[], outDir: string): void {
  const config = join(outDir, "tsconfig.json");
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        stripInternal: true,
        outDir,
        rootDir: root,
        typeRoots: [join(root, "node_modules/@types")],
      },
      include: [],
      files: files.map((file) => join(root, file)),
    }),
  );
  const { stdout, error } = spawnSync(process.execPath, [
    join(root, "node_modules/typescript/bin/tsc"),
    "-p",
    config,
  ], {
    cwd: root,
    encoding: "utf8",
  });
  if (error) throw error;
  // What `deps.ts` exports can't all be declared, nor need it be.
  const faults = stdout.split("\n").filter((line) =>
    /^\S/.test(line) && /: error /.test(line) && !/^deps\.ts\(/.test(line)
  );
  if (faults.length > 0) throw new Error(`the declarations cannot be written:\n${faults.join("\n")}`);
}
