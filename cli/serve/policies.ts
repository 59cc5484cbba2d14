/** `policies`: what the store holds. */
import { readFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { listStore } from "../../artifact/mod.ts";
import { readMetadata } from "../../evaluator/apply/prepare.ts";
import { pathsOf } from "../apply/paths.ts";
import { shownUri } from "../apply/resolve.ts";
import { byteText } from "../render/bytes.ts";
import { borderedTable } from "../render/table.ts";
import { CliError, type Run } from "../types/command.ts";

const HEADER = ["Policy", "Mutating", "Context aware", "SHA-256", "Size"];
/** As much of a digest as people compare. */
const SHOWN_DIGITS = 12;

export const run: Run = async (context) => {
  const rows: string[][] = [];
  for (const { uri, path } of await listStore(pathsOf(context.env).store)) {
    try {
      const bytes = await readFile(path);
      const metadata = readMetadata(bytes);
      rows.push([
        uri,
        metadata === undefined ? "unknown" : metadata.mutating ? "yes" : "no",
        (metadata?.contextAwareResources.length ?? 0) > 0 ? "yes" : "no",
        createHash("sha256").update(bytes).digest("hex").slice(0, SHOWN_DIGITS),
        byteText(bytes.length),
      ]);
    } catch (error) {
      throw new CliError(`error processing metadata of policy ${shownUri(uri)}: ${(error as Error).message}`);
    }
  }
  if (rows.length > 0) context.out(borderedTable(HEADER, rows));
};
