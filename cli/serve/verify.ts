/** `verify`: whether a policy was signed by whom it should be. Nothing is downloaded. */
import { ArtifactError, verifyPolicy } from "../../artifact/mod.ts";
import { fetchingFromFlags } from "../apply/fetching.ts";
import { fetchUri } from "../apply/resolve.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const uri = fetchUri(args.word("uri"));
  const { options, verification, trustRoot } = await fetchingFromFlags(context, args);
  if (verification === undefined) throw new CliError("could not retrieve sigstore options");
  const root = await trustRoot.forConfig(verification);
  try {
    await verifyPolicy(uri, verification, root, options);
  } catch (error) {
    if (!(error instanceof ArtifactError)) throw error;
    // What was wrong with single signatures says more than the message; of other failures it says all.
    const more = error.code === "signature" ? { cause: error.cause } : {};
    throw new CliError(`Policy ${uri} cannot be validated\n${error.message}`, more);
  }
};
