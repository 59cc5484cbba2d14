/** From an author's files to one script for QuickJS, with esbuild. */
import { builtinModules } from "node:module";
import { dirname, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { PolicyBuildError } from "../types/build_error.ts";
import type { Bundler, BundlerMessage, BundlerPlugin } from "../types/bundler.ts";
import { findInstalled, missingPackage } from "./installed_package.ts";
import { guestUrl, sdkUrl } from "./own_files.ts";
import { authorMap } from "../render/author_map.ts";
import type { Bundle } from "./snapshot.ts";

/** What QuickJS understands. */
const TARGET = "es2023";
/** The name that policies import the SDK by. */
export const SDK = "portreeve/policy";

/** Where the bundle leaves the function that the engine's shim calls. */
const RESULT = "__portreeveServe";

const BUILTINS = new Set(builtinModules.map((name) => name.replace(/^node:/, "")));

async function loadBundler(folder: string): Promise<Bundler> {
  const file = findInstalled("esbuild", folder);
  if (file === undefined) throw missingPackage("esbuild", "building a policy in TypeScript");
  const loaded = await import(pathToFileURL(file).href) as { readonly default?: Bundler } & Partial<Bundler>;
  return loaded.default ?? loaded as Bundler;
}

const messageText = ({ text, location }: BundlerMessage): string =>
  text.startsWith("No matching export") && location?.file === SDK
    ? "the module exports no policy: export default definePolicy({ … })"
    : location === null
    ? text
    : `${location.file}:${location.line}:${location.column + 1}: ${text}\n    ${location.lineText.trim()}`;

/** A file as its author calls it. */
const shown = (file: string, folder: string) => {
  const [sdk, guest] = [sdkUrl(), guestUrl()].map((url) => dirname(fileURLToPath(url)));
  const inside = (of: string | undefined) => of !== undefined && file.startsWith(of + sep);
  return inside(sdk) || inside(guest) ? SDK : relative(folder, file).replaceAll("\\", "/");
};

/** The bundle of the module `file`, and the files that went into it. Throws {@link PolicyBuildError}. */
export async function bundlePolicy(file: string): Promise<Bundle & { readonly files: readonly string[] }> {
  const folder = dirname(file);
  const bundler = await loadBundler(folder);
  const own: BundlerPlugin = {
    name: "portreeve",
    setup({ onResolve }) {
      onResolve(
        { filter: /^portreeve\// },
        ({ path }) =>
          path === SDK
            ? { path: fileURLToPath(sdkUrl()) }
            : { errors: [{ text: `a policy can import nothing of this package but "${SDK}"` }] },
      );
      onResolve(
        { filter: /^(node:)?[a-z_0-9/]+$/ },
        ({ path }) =>
          path.startsWith("node:") || BUILTINS.has(path)
            ? { errors: [{ text: `a policy has no ${path}: it runs in QuickJS, without Node's modules` }] }
            : undefined,
      );
    },
  };
  const entry = `import { serve } from ${JSON.stringify(fileURLToPath(guestUrl()))};
import policy from ${JSON.stringify(file)};
globalThis.${RESULT} = serve(policy);
`;
  try {
    const { outputFiles = [], metafile } = await bundler.build({
      stdin: { contents: entry, resolveDir: folder, sourcefile: "portreeve/policy", loader: "js" },
      absWorkingDir: folder,
      bundle: true,
      write: false,
      outdir: folder,
      format: "iife",
      footer: { js: `globalThis.${RESULT};` },
      banner: { js: '"use strict";' },
      platform: "neutral",
      mainFields: ["module", "main"],
      conditions: ["module", "import"],
      target: TARGET,
      charset: "utf8",
      treeShaking: true,
      // Comments and blanks are no part of what runs; names are, in stacks.
      minifyWhitespace: true,
      minifySyntax: true,
      legalComments: "none",
      sourcemap: "external",
      sourcesContent: false,
      logLevel: "silent",
      metafile: true,
      // The settings of a folder above are no part of what a policy is made of.
      tsconfigRaw: { compilerOptions: { useDefineForClassFields: true } },
      plugins: [own],
    });
    const code = outputFiles.find(({ path }) => path.endsWith(".js"))!.text;
    const map = JSON.parse(outputFiles.find(({ path }) => path.endsWith(".map"))!.text) as {
      readonly sources: readonly string[];
      readonly mappings: string;
    };
    const sources = map.sources.map((source) => shown(resolve(folder, source), folder));
    return {
      code,
      map: authorMap(
        { sources, mappings: map.mappings },
        (source) => source !== SDK && !source.includes("node_modules/"),
      ),
      files: Object.keys(metafile!.inputs).map((input) => resolve(folder, input)),
    };
  } catch (error) {
    const { errors } = error as { readonly errors?: readonly BundlerMessage[] };
    if (!Array.isArray(errors)) throw error;
    throw new PolicyBuildError((errors as readonly BundlerMessage[]).map(messageText).join("\n"));
  }
}
