/** `annotate`: puts a policy's metadata into its module. */
import { readMetadata } from "../../evaluator/apply/prepare.ts";
import { sections } from "../../evaluator/render/wasm_binary.ts";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { annotatedModule, USAGE } from "../apply/annotated_module.ts";
import { readGiven, readGivenText, writeGiven } from "../apply/given_files.ts";
import { readMetadataFile } from "../apply/metadata_file.ts";
import { isGzip, moduleInBundle } from "../apply/opa_bundle.ts";
import { pairOf } from "../apply/verification.ts";
import { type Arguments, CliError, type Context, type Run } from "../types/command.ts";
import { UsageError } from "../types/usage_error.ts";

/** The metadata to write, before the module's own facts are put in. */
async function givenMetadata(context: Context, args: Arguments, module: Uint8Array): Promise<PolicyMetadata> {
  const path = args.value("metadata-path");
  if (path !== undefined) return await readMetadataFile(context, path);
  let own: PolicyMetadata | undefined;
  try {
    own = readMetadata(module);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
  if (own === undefined) {
    throw new CliError(`${args.word("wasm-path")} has no metadata to add to: give them with --metadata-path`);
  }
  return own;
}

/** The annotations of the flags. `KEY=@PATH` takes the text of a file. */
async function givenAnnotations(
  context: Context,
  args: Arguments,
): Promise<Readonly<Record<string, string>>> {
  const annotations = new Map<string, string>();
  for (const pair of args.values("annotation")) {
    const [key, value] = pairOf(context, "annotation", pair, USAGE_LINE(context.program), annotations);
    annotations.set(
      key,
      value.startsWith("@") ? await readGivenText(context, value.slice(1), "annotation") : value,
    );
  }
  return Object.fromEntries(annotations);
}

const USAGE_LINE = (program: string) =>
  `${program} annotate [OPTIONS] --metadata-path <PATH> --output-path <PATH> <wasm-path>`;

export const run: Run = async (context, args) => {
  if (!["metadata-path", "annotation", "usage-path"].some((flag) => args.has(flag))) {
    throw new UsageError("the following required arguments were not provided:", USAGE_LINE(context.program), [
      "  --metadata-path <PATH>",
    ]);
  }
  const annotations = await givenAnnotations(context, args);
  const usagePath = args.value("usage-path");
  const usage = usagePath === undefined ? undefined : await readGivenText(context, usagePath, "usage");
  const file = new Uint8Array(await readGiven(context, args.word("wasm-path"), "wasm"));
  const module = isGzip(file) ? await moduleInBundle(file, args.word("wasm-path")) : file;
  try {
    sections(module);
  } catch (error) {
    throw new CliError(`Error parsing wasm module: ${args.word("wasm-path")}: ${(error as Error).message}`);
  }
  const given = await givenMetadata(context, args, module);
  const annotated = await annotatedModule(context, module, given, {
    ...annotations,
    ...(usage === undefined ? {} : { [USAGE]: usage }),
  });
  await writeGiven(context, args.value("output-path")!, annotated);
};
