/** What a component's image holds of our own code: its bundles and whatever those import. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, posix } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runTool } from "./run_tool.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Of esbuild's metafile, what is read here. Paths of outputs are relative to the repository. */
type Metafile = {
  readonly outputs: {
    readonly [path: string]: {
      readonly imports: readonly { readonly path: string; readonly external?: boolean }[];
      readonly inputs: { readonly [path: string]: unknown };
    };
  };
};

/** An npm package whose code is in a bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** The bundles of all programs. */
export interface Bundles {
  /** The files of some entries with all that they import, by their path below the bundles' folder. */
  filesOf(entries: readonly string[]): ReadonlyMap<string, Uint8Array>;
  packagesOf(entries: readonly string[]): readonly BundledPackage[];
}

function packageOf(input: string): string | undefined {
  const at = input.lastIndexOf("node_modules/");
  if (at < 0) return undefined;
  const [first = "", second = ""] = input.slice(at + "node_modules/".length).split("/");
  return input.slice(0, at) + "node_modules/" + (first.startsWith("@") ? `${first}/${second}` : first);
}

/** Bundles all programs. */
export function makeBundles(): Bundles {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-images-"));
  try {
    runTool(process.execPath, [join(root, "build.ts"), folder, "--metafile"], root);
    const { outputs } = JSON.parse(readFileSync(join(folder, "metafile.json"), "utf8")) as Metafile;
    const byName = new Map(
      Object.entries(outputs).map((
        [path, output],
      ) => [posix.relative(folder, posix.resolve(root, path)), output]),
    );
    const contents = new Map(
      [...byName.keys()].filter((name) => !name.endsWith(".map"))
        .map((name) => [name, withoutMap(readFileSync(join(folder, name)))]),
    );
    const closure = (entries: readonly string[]): readonly string[] => {
      const found = new Set<string>();
      const visit = (name: string) => {
        const output = byName.get(name);
        if (output === undefined) throw new Error(`the build makes no ${name}`);
        if (found.has(name)) return;
        found.add(name);
        for (const { path, external } of output.imports) {
          if (external !== true) visit(posix.relative(folder, posix.resolve(root, path)));
        }
      };
      for (const entry of entries) visit(entry);
      return [...found].sort();
    };
    return {
      filesOf: (entries) => new Map(closure(entries).map((name) => [name, contents.get(name)!])),
      packagesOf(entries) {
        const names = new Set(
          closure(entries).flatMap((name) => Object.keys(byName.get(name)!.inputs)).map(packageOf)
            .filter((path) => path !== undefined),
        );
        return [...names].sort().map((path) => {
          const { name, version, license } = JSON.parse(
            readFileSync(join(root, path, "package.json"), "utf8"),
          );
          return { name, version, license: typeof license === "string" ? license : "NOASSERTION" };
        });
      },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A bundle without the line that names its source map, which the images leave out. */
function withoutMap(bytes: Uint8Array): Uint8Array {
  const text = new TextDecoder().decode(bytes);
  return new TextEncoder().encode(text.replace(/\n\/\/# sourceMappingURL=\S+\s*$/, "\n"));
}

/** The folder of this file's repository. */
export const repository = dirname(join(root, "package.json"));
