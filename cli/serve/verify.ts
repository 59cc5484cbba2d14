/** `verify`: whether a policy was signed by whom it should be. Nothing is downloaded. */
import { ArtifactError, verifyPolicy } from "../../artifact/mod.ts";
import { fetchingFromFlags } from "../apply/fetching.ts";
import { fetchUri } from "../apply/resolve.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const uri = fetchUri(args.word("uri"));
  const { options, verification, trustRoot } = await fetchingFromFlags(context, args);
  if (verification === undefined) throw new CliError("could not retrieve sigstore options");
  const keysOnly = [...verification.allOf ?? [], ...verification.anyOf?.signatures ?? []]
    .every(({ kind }) => kind === "pubKey");
  const root = keysOnly ? await trustRoot.ifAny() : await trustRoot.required();
  try {
    await verifyPolicy(uri, verification, root, options);
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    throw new CliError(`Policy ${uri} cannot be validated\n${error.message}`, { cause: error.cause });
  }
};
