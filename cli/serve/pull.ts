/** `pull`: fetches a policy into the store or to a path. */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fetchingFromFlags } from "../apply/fetching.ts";
import { fetchChecked } from "../apply/fetch_policy.ts";
import { pathsOf } from "../apply/paths.ts";
import { fetchUri, shownUri } from "../apply/resolve.ts";
import type { Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const uri = fetchUri(args.word("uri"));
  const fetching = await fetchingFromFlags(context, args);
  if (context.terminal.err) context.err(`Pulling policy from ${shownUri(uri)}\n`);
  const output = args.value("output-path");
  if (output === undefined) {
    await fetchChecked(context, uri, { kind: "store", root: pathsOf(context.env).store }, fetching);
  } else {
    const path = resolve(context.cwd, output);
    // 1.36 leaves an existing file alone without a word, whatever it holds (spec/cli.md, sharp edge 14).
    const target = await stat(path).then(
      (entry) => entry.isDirectory() ? join(path, lastName(uri)) : path,
      () => path,
    );
    const exists = await stat(target).then((entry) => entry.isFile(), () => false);
    const moves = uri.startsWith("registry://") && uri.endsWith(":latest");
    if (exists && !moves && !uri.startsWith("file://") && fetching.verification === undefined) {
      context.log("INFO", "the file exists already and was left as it is", { path: JSON.stringify(target) });
      return;
    }
    await fetchChecked(context, uri, { kind: "file", path }, fetching);
    if (uri.startsWith("file://")) {
      // 1.36 does so without a word (spec/cli.md §4 rule 2).
      context.log("WARN", "nothing was written: a policy of file:// is used where it is, copy it yourself", {
        path: JSON.stringify(target),
      });
    }
  }
  if (context.terminal.err) context.err(`Successfully pulled policy from ${shownUri(uri)}\n`);
};

const lastName = (uri: string) => uri.slice(uri.lastIndexOf("/") + 1);
