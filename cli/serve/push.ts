/** `push`: puts a local policy into a registry. */
import { ArtifactError, pushPolicy } from "../../artifact/mod.ts";
import { readLocalModule } from "../apply/local_metadata.ts";
import { checkedPath, strictUri } from "../apply/resolve.ts";
import { artifactOptions } from "../apply/sources.ts";
import { isRego } from "../render/module_mode.ts";
import { compactJson } from "../render/yaml.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const path = await checkedPath(context, await strictUri(context, args.word("policy")));
  const typed = args.word("uri");
  const destination = /^\w+:\/\//.test(typed) ? typed : `registry://${typed}`;
  const { bytes, metadata } = await readLocalModule(path);
  if (metadata === undefined) {
    if (isRego(bytes)) {
      throw new CliError(
        `Rego policies cannot be pushed without metadata: add them to ${path} by \`${context.program} annotate\``,
      );
    }
    if (!args.has("force")) {
      throw new CliError(
        `Cannot push a policy that is not annotated. Use \`annotate\` command or \`push --force\`: ${path}`,
      );
    }
    context.err("Warning: pushing a non-annotated policy!\n");
  }
  try {
    const options = await artifactOptions(context, args);
    const { immutableReference } = await pushPolicy(path, destination, metadata?.annotations ?? {}, options);
    context.out(
      args.value("output") === "json"
        ? compactJson({ immutable_ref: immutableReference })
        : `Policy successfully pushed: ${immutableReference}\n`,
    );
  } catch (error) {
    if (!(error instanceof ArtifactError) || context.signal.aborted) throw error;
    throw new CliError(error.message);
  }
};
