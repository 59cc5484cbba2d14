/** `rm`: takes a policy out of the store. */
import { rm, rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { osErrorText } from "../../program/render/os_error.ts";
import { pathsOf } from "../apply/paths.ts";
import { lenientUri, localPath, shownUri } from "../apply/resolve.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const uri = await lenientUri(context, args.word("uri_or_sha_prefix"));
  if (uri.startsWith("file://")) {
    throw new CliError(`unknown scheme: file (${shownUri(uri)} is not in the store: delete the file itself)`);
  }
  const path = await localPath(context, uri);
  try {
    await rm(path);
  } catch (error) {
    throw new CliError(`could not delete policy ${shownUri(uri)}: ${osErrorText(error)}`);
  }
  const { store } = pathsOf(context.env);
  for (let folder = dirname(path); folder.startsWith(store); folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch {
      // Other policies are in it.
      return;
    }
  }
};
