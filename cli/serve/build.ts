/** `build`: makes a policy's module of its source in TypeScript, once or whenever something changes. */
import { readFile } from "node:fs/promises";
import { watch } from "node:fs";
import { basename, dirname, relative, resolve } from "node:path";
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

/** Builds, writes, and says so. */
async function buildOnce(context: Context, args: Arguments): Promise<void> {
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
}

async function checked(context: Context, args: Arguments): Promise<void> {
  if (args.has("skip-type-check")) return;
  const source = resolve(context.cwd, args.word("source"));
  await requireSource(source);
  if (await checkTypes(source, context.signal)) return;
  context.err("types were not checked: npm install --save-dev typescript\n");
}

/** Builds again on every change below the source's folder, until interrupted. Types are checked when the module is there. */
async function buildForEver(context: Context, args: Arguments): Promise<void> {
  const { signal } = context;
  const folder = dirname(resolve(context.cwd, args.word("source")));
  let wake = () => {};
  const watcher = watch(folder, { recursive: true }, (_event, name) => {
    // Not what the build itself writes, nor what it does not read.
    if (
      name === null ||
      !/(^|[\\/])node_modules[\\/]|\.(wasm|part)$/.test(relative(folder, resolve(folder, name)))
    ) wake();
  });
  watcher.on("error", () => wake());
  try {
    while (!signal.aborted) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      for (const step of [buildOnce, checked]) {
        try {
          await step(context, args);
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
    watcher.close();
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
