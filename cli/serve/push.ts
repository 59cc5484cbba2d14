/** `push`: puts a local policy into a registry. */
import { readFile } from "node:fs/promises";
import { ArtifactError, pushPolicy } from "../../artifact/mod.ts";
import { readMetadata } from "../../evaluator/apply/prepare.ts";
import { osErrorText } from "../../policy_server/apply/os_error.ts";
import { localPath, strictUri } from "../apply/resolve.ts";
import { artifactOptions } from "../apply/sources.ts";
import { isRego } from "../render/module_mode.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const path = await localPath(context, await strictUri(context, args.word("policy")));
  const typed = args.word("uri");
  const destination = /^\w+:\/\//.test(typed) ? typed : `registry://${typed}`;
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new CliError(`cannot read ${path}: ${osErrorText(error)}`);
  }
  let metadata: ReturnType<typeof readMetadata>;
  try {
    metadata = readMetadata(bytes);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
  if (metadata === undefined) {
    if (isRego(bytes)) throw new CliError("Rego policies cannot be pushed without metadata");
    if (!args.has("force")) {
      throw new CliError(
        "Cannot push a policy that is not annotated. Use `annotate` command or `push --force`",
      );
    }
    context.err("Warning: pushing a non-annotated policy!\n");
  }
  try {
    const options = await artifactOptions(context, args);
    const { immutableReference } = await pushPolicy(path, destination, metadata?.annotations ?? {}, options);
    context.out(
      args.value("output") === "json"
        ? JSON.stringify({ immutable_ref: immutableReference })
        : `Policy successfully pushed: ${immutableReference}\n`,
    );
  } catch (error) {
    if (!(error instanceof ArtifactError) || context.signal.aborted) throw error;
    throw new CliError(error.message);
  }
};
