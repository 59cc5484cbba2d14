/** `build`: makes a policy's module of its source in TypeScript, once or whenever something changes. */
import { readFile } from "node:fs/promises";
import { existsSync, type FSWatcher, watch } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { buildPolicy, requireSource } from "../../typescript/apply/build_policy.ts";
import { checkTypes } from "../../typescript/apply/check_types.ts";
import { PolicyBuildError } from "../../typescript/types/build_error.ts";
import { annotatedModule, USAGE } from "../apply/annotated_module.ts";
import { readMetadataFile } from "../apply/metadata_file.ts";
import { writeWhole } from "../apply/write_whole.ts";
import { type Arguments, CliError, type Context, type Run } from "../types/command.ts";

/** Editors write a file in several steps. */
const SETTLE_MS = 50;

/** A build's error as the command's. */
const failed = (error: unknown): unknown =>
  error instanceof PolicyBuildError ? new CliError(`cannot build the policy: ${error.message}`) : error;

/** The source's name with the ending of a module. */
const outputOf = (source: string) => `${source.replace(/\.[cm]?[jt]sx?$/, "")}.wasm`;

async function usageText(context: Context, path: string): Promise<string> {
  try {
    return await readFile(resolve(context.cwd, path), "utf8");
  } catch (error) {
    throw new CliError(`Error reading usage file: ${osErrorText(error)}: ${path}`);
  }
}

/** What `reeve build` makes is a waPC module: with the name of another mode no server could run it. */
function requireMode({ executionMode }: PolicyMetadata, path: string): void {
  if (executionMode === undefined || executionMode === "kubewarden-wapc") return;
  throw new CliError(
    `${path} says executionMode: ${executionMode}, and a policy in TypeScript is kubewarden-wapc: leave it out`,
  );
}

/** Builds, writes, and says so. Gives the files that it read. */
async function buildOnce(context: Context, args: Arguments): Promise<readonly string[]> {
  const source = args.word("source");
  const metadataPath = args.value("metadata-path");
  const usagePath = args.value("usage-path");
  if (usagePath !== undefined && metadataPath === undefined) {
    throw new CliError("--usage-path adds to the metadata: give them with --metadata-path");
  }
  const output = args.value("output") ?? outputOf(source);
  // Before the work, which is longer than to read them.
  const metadata: PolicyMetadata | undefined = metadataPath === undefined
    ? undefined
    : await readMetadataFile(context, metadataPath);
  if (metadata !== undefined) requireMode(metadata, metadataPath!);
  const usage: Readonly<Record<string, string>> = usagePath === undefined
    ? {}
    : { [USAGE]: await usageText(context, usagePath) };
  const built = await buildPolicy(
    resolve(context.cwd, source),
    (line) => context.log("INFO", line, { source: basename(source) }),
  );
  const module = metadata === undefined
    ? built.module
    : await annotatedModule(context, built.module, metadata, usage);
  try {
    await writeWhole(resolve(context.cwd, output), module);
  } catch (error) {
    throw new CliError(`cannot write ${output}: ${osErrorText(error)}`);
  }
  context.err(`${output}: ${module.length} bytes\n`);
  return built.files;
}

async function checked(context: Context, args: Arguments): Promise<void> {
  if (args.has("skip-type-check")) return;
  const source = resolve(context.cwd, args.word("source"));
  await requireSource(source);
  if (await checkTypes(source, context.signal)) return;
  context.err("types were not checked: npm install --save-dev typescript\n");
}

/** What a policy may be made of, where it is not known: the last build failed. */
const MAY_BE_SOURCE = /\.([cm]?[jt]sx?|json)$/;
const INSTALLED = /(^|[\\/])node_modules[\\/]/;

/**
 * Builds again whenever something changes that the policy is made of, until interrupted. Other files in its folder, such as what this
 * command prints into one, start nothing. Types are checked when the module is there.
 */
async function buildForEver(context: Context, args: Arguments): Promise<void> {
  const { signal } = context;
  const source = resolve(context.cwd, args.word("source"));
  const folder = dirname(source);
  const named = [args.value("metadata-path"), args.value("usage-path")]
    .flatMap((path) => path === undefined ? [] : [resolve(context.cwd, path)]);
  const always = [source, join(folder, "tsconfig.json"), ...named];
  let files: ReadonlySet<string> | undefined;
  const matters = (path: string) =>
    !INSTALLED.test(relative(folder, path)) &&
    (files === undefined ? always.includes(path) || MAY_BE_SOURCE.test(path) : files.has(path));
  let wake = () => {};
  const watchers = new Map<string, FSWatcher>();
  const watchFolder = (path: string, recursive: boolean) => {
    if (watchers.has(path) || !existsSync(path)) return;
    const watcher = watch(path, { recursive }, (_event, name) => {
      if (name === null || matters(resolve(path, name))) wake();
    });
    watcher.on("error", () => {
      watchers.delete(path);
      wake();
    });
    watchers.set(path, watcher);
  };
  const watchAll = () => {
    watchFolder(folder, true);
    for (const file of [...named, ...files ?? []]) {
      const outside = relative(folder, file);
      if ((outside.startsWith("..") || isAbsolute(outside)) && !INSTALLED.test(file)) {
        watchFolder(dirname(file), false);
      }
    }
  };
  watchAll();
  const steps = [
    async () => {
      // Until it is known what this build reads.
      files = undefined;
      const built = await buildOnce(context, args);
      files = new Set([...built, ...always]);
      watchAll();
    },
    () => checked(context, args),
  ];
  try {
    while (!signal.aborted) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      for (const step of steps) {
        try {
          await step();
        } catch (error) {
          const known = failed(error);
          if (signal.aborted) break;
          if (!(known instanceof CliError)) throw known;
          context.err(`Error: ${known.message}\n`);
          break;
        }
      }
      context.err("waiting for changes…\n");
      await changed;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    }
  } finally {
    for (const watcher of watchers.values()) watcher.close();
  }
}

export const run: Run = async (context, args) => {
  if (args.has("watch")) return await buildForEver(context, args);
  try {
    await checked(context, args);
    await buildOnce(context, args);
  } catch (error) {
    throw failed(error);
  }
};
