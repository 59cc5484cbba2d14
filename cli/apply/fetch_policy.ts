/** Gets a policy into the store, or to a path, and only what its signers vouch for, where somebody must have signed. */
import {
  ArtifactError,
  type ArtifactErrorCode,
  type ArtifactOptions,
  type Destination,
  type FetchedPolicy,
  fetchPolicy,
  fetchVerifiedPolicy,
  type VerificationConfig,
} from "../../artifact/mod.ts";
import { CliError, type Context } from "../types/command.ts";
import { localPath, shownUri } from "./resolve.ts";
import type { TrustRootOf } from "./verification.ts";

/** What policies are fetched with. */
export interface Fetching {
  readonly options: ArtifactOptions;
  readonly verification: VerificationConfig | undefined;
  readonly trustRoot: TrustRootOf;
}

/** What fails when a policy is known to be the signed one. */
const AFTER_VERIFICATION: ReadonlySet<ArtifactErrorCode> = new Set(["store", "not_wasm"]);

/** That a policy is not known to be signed as it has to be, whatever the reason (`spec/cli.md §4`, §13). */
export function notValidated(uri: string, { code, message, cause }: ArtifactError): CliError {
  // What was wrong with single signatures says more than the message; of other failures it says all.
  return new CliError(
    `Policy ${shownUri(uri)} cannot be validated\n${message}`,
    code === "signature" ? { cause } : {},
  );
}

/** Fetches the policy at `uri`. Throws {@link CliError}. */
export async function fetchChecked(
  context: Context,
  uri: string,
  destination: Destination,
  { options, verification, trustRoot }: Fetching,
): Promise<FetchedPolicy> {
  try {
    if (verification === undefined) {
      if (uri.startsWith("file://")) await localPath(context, uri);
      return await fetchPolicy(uri, destination, options);
    }
    const root = await trustRoot.forConfig(verification);
    return await fetchVerifiedPolicy(uri, verification, root, destination, options);
  } catch (error) {
    if (context.signal.aborted || !(error instanceof ArtifactError)) throw error;
    if (verification !== undefined && !AFTER_VERIFICATION.has(error.code)) throw notValidated(uri, error);
    throw new CliError(error.message);
  }
}
