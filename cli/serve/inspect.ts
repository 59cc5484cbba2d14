/** `inspect`: what a local policy says of itself, and who signed it. */
import { listSignatures } from "../../artifact/mod.ts";
import { notAnnotated, readLocalModule } from "../apply/local_metadata.ts";
import { checkedPath, strictUri } from "../apply/resolve.ts";
import { artifactOptions } from "../apply/sources.ts";
import { inspectionText } from "../render/inspection.ts";
import { metadataObject } from "../render/metadata_document.ts";
import { type SignatureManifest, signaturesText } from "../render/signatures_text.ts";
import { yamlText } from "../render/yaml.ts";
import type { Arguments, Context, Run } from "../types/command.ts";

/**
 * The manifest that holds the policy's signatures, with the layers of further ones; undefined if there is none. Throws with the reason.
 */
async function signatures(
  context: Context,
  args: Arguments,
  uri: string,
): Promise<SignatureManifest | undefined> {
  if (!uri.startsWith("registry://")) throw new Error("invalid uri");
  const { manifests, failures } = await listSignatures(
    uri.slice("registry://".length),
    await artifactOptions(context, args),
  );
  const [first, ...others] = manifests as readonly SignatureManifest[];
  if (first === undefined) {
    if (failures.length > 0) throw new Error(failures.join("; "));
    return undefined;
  }
  for (const failure of failures) {
    context.log("WARN", "cannot look for signatures everywhere", { error: failure });
  }
  return { ...first, layers: [...first.layers ?? [], ...others.flatMap(({ layers = [] }) => layers)] };
}

export const run: Run = async (context, args) => {
  const uri = await strictUri(context, args.word("uri_or_sha_prefix"));
  const { metadata } = await readLocalModule(await checkedPath(context, uri));
  if (metadata === undefined) throw notAnnotated(context.program, uri);
  const asYaml = args.value("output") === "yaml";
  if (!asYaml) {
    context.out(inspectionText(metadata, context.terminal.columns));
  }
  const failed = (reason: string) =>
    "Cannot determine if the policy has been signed. There was an error while attempting to fetch its signatures " +
    `from the remote registry: ${reason} \n`;
  let found: SignatureManifest | undefined;
  if (args.has("show-signatures")) {
    try {
      found = await signatures(context, args, uri);
      if (!asYaml) {
        context.out(found === undefined ? "No sigstore signatures found\n" : signaturesText(found));
      } else if (found === undefined) context.err("No sigstore signatures found\n");
    } catch (error) {
      if (context.signal.aborted) throw error;
      // In a YAML document there is no place for it (spec/cli.md, sharp edge 19).
      (asYaml ? context.err : context.out)(failed((error as Error).message));
    }
  }
  if (asYaml) context.out(yamlText({ ...metadataObject(metadata), ...(found && { signatures: found }) }));
};
