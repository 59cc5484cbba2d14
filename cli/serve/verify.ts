/** `verify`: whether a policy was signed by whom it should be. Nothing is downloaded. */
import { ArtifactError, verifyPolicy } from "../../artifact/mod.ts";
import { fetchingFromFlags } from "../apply/fetching.ts";
import { notValidated } from "../apply/fetch_policy.ts";
import { fetchUri, shownUri } from "../apply/resolve.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const uri = fetchUri(args.word("uri"));
  const { options, verification, trustRoot } = await fetchingFromFlags(context, args);
  if (verification === undefined) {
    throw new CliError(
      `could not retrieve sigstore options: say who must have signed ${
        shownUri(uri)
      }, by --verification-config-path, ` +
        "--verification-key, --github-owner, or --cert-email with --cert-oidc-issuer",
    );
  }
  const root = await trustRoot.forConfig(verification);
  try {
    await verifyPolicy(uri, verification, root, options);
  } catch (error) {
    throw error instanceof ArtifactError ? notValidated(uri, error) : error;
  }
};
