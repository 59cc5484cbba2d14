/** From an author's files to one script for QuickJS, with esbuild. */
import { existsSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { PolicyBuildError } from "../types/build_error.ts";
import type { Bundler, BundlerMessage, BundlerPlugin, BundlerResult } from "../types/bundler.ts";
import { findInstalled, missingPackage } from "./installed_package.ts";
import { guestUrl, ownFolders, sdkUrl } from "./own_files.ts";
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

/** What the bundler says in words that mean little to who writes a policy, and what that means to him. */
const REMEDIES: readonly (readonly [said: RegExp, meant: string])[] = [
  [/^Top-level await.*/, "a policy is synchronous: it can't await anything"],
  [/^"import\.meta" is not available.*/, "a policy has no import.meta: it will be empty"],
  [/^No loader is configured for ("\.\w+" files).*/, "$1 can't be imported: code, JSON and .txt can"],
];

const messageText = ({ text, location }: BundlerMessage): string => {
  if (text.startsWith("No matching export") && location?.file === SDK) {
    return "the module exports no policy: export default definePolicy({ … })";
  }
  const remedy = REMEDIES.find(([said]) => said.test(text));
  const meant = remedy === undefined ? text : text.replace(remedy[0], remedy[1]).split("\n")[0]!;
  return location === null
    ? meant
    : `${location.file}:${location.line}:${location.column + 1}: ${meant}\n    ${location.lineText.trim()}`;
};

/** A file as its author calls it. */
const shown = (file: string, folder: string) => {
  const own = ownFolders().some((one) => file.startsWith(one));
  return own ? SDK : relative(folder, file).replaceAll("\\", "/");
};

/** What a policy may import: its own files, packages of npm, and the SDK. */
const IMPORTS: BundlerPlugin = {
  name: "portreeve",
  setup({ onResolve }) {
    onResolve(
      { filter: /^portreeve\// },
      ({ path }) =>
        path === SDK
          ? { path: fileURLToPath(sdkUrl()) }
          : { errors: [{ text: `a policy can import nothing of this package but "${SDK}"` }] },
    );
    onResolve({ filter: /^[a-z]{2,}:|^[/]{2}/ }, ({ path }) =>
      path.startsWith("node:") ? undefined : {
        errors: [{ text: `${path} can't be imported: a policy is made of files and of packages of npm` }],
      });
    onResolve(
      { filter: /^(node:)?[a-z_0-9/]+$/ },
      ({ path }) =>
        path.startsWith("node:") || BUILTINS.has(path)
          ? { errors: [{ text: `a policy has no ${path}: it runs in QuickJS, without Node's modules` }] }
          : undefined,
    );
  },
};

const entryScript = (file: string) =>
  `import { serve } from ${JSON.stringify(fileURLToPath(guestUrl()))};
import policy from ${JSON.stringify(file)};
globalThis.${RESULT} = serve(policy);
`;

function buildOptions(file: string, folder: string) {
  const ownConfig = join(folder, "tsconfig.json");
  return {
    stdin: { contents: entryScript(file), resolveDir: folder, sourcefile: "portreeve/policy", loader: "js" },
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
    // Those that types are checked with; the settings of a folder above are no part of what a policy is made of.
    ...(existsSync(ownConfig)
      ? { tsconfig: ownConfig }
      : { tsconfigRaw: { compilerOptions: { useDefineForClassFields: true } } }),
    logOverride: { "unsupported-dynamic-import": "warning", "unsupported-require-call": "warning" },
    plugins: [IMPORTS],
  };
}

async function build(bundler: Bundler, file: string, folder: string): Promise<BundlerResult> {
  try {
    return await bundler.build(buildOptions(file, folder));
  } catch (error) {
    const { errors } = error as { readonly errors?: readonly BundlerMessage[] };
    if (!Array.isArray(errors)) throw error;
    throw new PolicyBuildError((errors as readonly BundlerMessage[]).map(messageText).join("\n"));
  }
}

/**
 * The bundle of the module `file`, and the files that went into it. `warn` gets what is probably wrong. Throws
 * {@link PolicyBuildError}.
 */
export async function bundlePolicy(
  file: string,
  warn: (line: string) => void,
): Promise<Bundle & { readonly files: readonly string[] }> {
  const folder = dirname(file);
  const { outputFiles = [], metafile, warnings } = await build(await loadBundler(folder), file, folder);
  for (const warning of warnings) warn(messageText(warning));
  const written = (ending: string) => outputFiles.find(({ path }) => path.endsWith(ending))!.text;
  const { sources, mappings } = JSON.parse(written(".map")) as {
    readonly sources: readonly string[];
    readonly mappings: string;
  };
  return {
    code: written(".js"),
    map: authorMap(
      { sources: sources.map((source) => shown(resolve(folder, source), folder)), mappings },
      (source) => source !== SDK && !source.includes("node_modules/"),
    ),
    files: Object.keys(metafile!.inputs).map((input) => resolve(folder, input)),
  };
}
