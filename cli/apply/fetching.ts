/** What the flags of `pull`, `verify` and the like say about fetching. */
import type { Arguments, Context } from "../types/command.ts";
import type { Fetching } from "./fetch_policy.ts";
import { artifactOptions } from "./sources.ts";
import { trustRoot, verificationConfig } from "./verification.ts";

/** Reads the files that the registry and signature flags name. */
export async function fetchingFromFlags(context: Context, args: Arguments): Promise<Fetching> {
  const options = await artifactOptions(context, args);
  const verification = await verificationConfig(context, args, options);
  return { options, verification, trustRoot: trustRoot(context, args, options) };
}
