/** Gets a policy into the store, or to a path, and only what its signers vouch for, where somebody must have signed. */
import {
  ArtifactError,
  type ArtifactOptions,
  type Destination,
  type FetchedPolicy,
  fetchPolicy,
  fetchVerifiedPolicy,
  type VerificationConfig,
} from "../../artifact/mod.ts";
import { CliError, type Context } from "../types/command.ts";
import { localPath } from "./resolve.ts";
import type { TrustRootOf } from "./verification.ts";

/** What policies are fetched with. */
export interface Fetching {
  readonly options: ArtifactOptions;
  readonly verification: VerificationConfig | undefined;
  readonly trustRoot: TrustRootOf;
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
    const fetched = await fetchVerifiedPolicy(uri, verification, root, destination, options);
    return fetched;
  } catch (error) {
    if (context.signal.aborted) throw error;
    if (error instanceof CliError) throw error;
    if (!(error instanceof ArtifactError)) throw error;
    const { code, message } = error;
    if (verification !== undefined && code === "signature") {
      throw new CliError(`Policy ${uri} cannot be validated\n${message}`, { cause: error.cause });
    }
    throw new CliError(message);
  }
}
