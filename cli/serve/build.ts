/** `build`: makes a policy's module of its source in TypeScript, once or whenever something changes. */
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { buildPolicy, requireSource } from "../../typescript/apply/build_policy.ts";
import { checkTypes } from "../../typescript/apply/check_types.ts";
import { PolicyBuildError } from "../../typescript/types/build_error.ts";
import { annotatedModule, USAGE } from "../apply/annotated_module.ts";
import { readGivenText, writeGiven } from "../apply/given_files.ts";
import { readMetadataFile } from "../apply/metadata_file.ts";
import { type Arguments, CliError, type Context, type Run } from "../types/command.ts";
import { repeatOnChange, WatchedFolders } from "./repeat_on_change.ts";

/** A build's error as the command's. */
const failed = (error: unknown): unknown =>
  error instanceof PolicyBuildError ? new CliError(`cannot build the policy: ${error.message}`) : error;

/** The source's name with the ending of a module. */
const outputOf = (source: string) => `${source.replace(/\.[cm]?[jt]sx?$/, "")}.wasm`;

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
    : { [USAGE]: await readGivenText(context, usagePath, "usage") };
  const built = await buildPolicy(
    resolve(context.cwd, source),
    (line) => context.log("INFO", line, { source: basename(source) }),
  );
  const module = metadata === undefined
    ? built.module
    : await annotatedModule(context, built.module, metadata, usage);
  await writeGiven(context, output, module);
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

/** Whether a file is to be watched where it lies: in another folder, and nothing that was installed. */
function isElsewhere(folder: string, file: string): boolean {
  const path = relative(folder, file);
  return (path.startsWith("..") || isAbsolute(path)) && !INSTALLED.test(file);
}

/**
 * Builds again whenever something changes that the policy is made of, until interrupted. Other files in its folder, such as what this
 * command prints into one, start nothing. Types are checked when the module is there.
 */
async function buildForEver(context: Context, args: Arguments): Promise<0 | 1> {
  const source = resolve(context.cwd, args.word("source"));
  const folder = dirname(source);
  const named = [args.value("metadata-path"), args.value("usage-path")]
    .flatMap((path) => path === undefined ? [] : [resolve(context.cwd, path)]);
  const always = [source, join(folder, "tsconfig.json"), ...named];
  let files: ReadonlySet<string> | undefined;
  const folders = new WatchedFolders((path) =>
    !INSTALLED.test(relative(folder, path)) &&
    (files === undefined ? always.includes(path) || MAY_BE_SOURCE.test(path) : files.has(path))
  );
  const watchAll = () => {
    folders.add(folder, true);
    for (const file of [...named, ...files ?? []]) {
      if (isElsewhere(folder, file)) folders.add(dirname(file), false);
    }
  };
  watchAll();
  return await repeatOnChange(context, folders, async () => {
    try {
      // Until it is known what this build reads.
      files = undefined;
      files = new Set([...await buildOnce(context, args), ...always]);
      watchAll();
      await checked(context, args);
    } catch (error) {
      if (!context.signal.aborted) throw failed(error);
    }
    return true;
  });
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
