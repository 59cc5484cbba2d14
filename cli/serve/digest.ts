/** `digest`: the digest of a policy's manifest in its registry. */
import { manifestDigest } from "../../artifact/mod.ts";
import { fetchUri, shownUri } from "../apply/resolve.ts";
import { artifactOptions } from "../apply/sources.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const typed = args.word("uri");
  const uri = fetchUri(typed);
  if (!uri.startsWith("registry://")) {
    throw new CliError(`Invalid destination format: ${shownUri(typed)} is in no registry`);
  }
  try {
    const digest = await manifestDigest(
      uri.slice("registry://".length),
      await artifactOptions(context, args),
    );
    context.out(`${typed}@${digest}\n`);
  } catch (error) {
    if (context.signal.aborted) throw error;
    throw new CliError((error as Error).message);
  }
};
