/** Progress of downloads on a terminal; elsewhere nothing is shown. */
import type { ArtifactEvent } from "../../artifact/mod.ts";
import { barText, byteText } from "../render/bytes.ts";
import type { Context } from "../types/command.ts";

type Progress = Extract<ArtifactEvent, { kind: "progress" }>;

/** Shows how far downloads are, on one line of standard error that is overwritten. */
export function progressBar({ terminal, err, colour }: Context): (event: Progress) => void {
  if (!terminal.err) return () => {};
  return ({ reference, receivedBytes, totalBytes, done }) => {
    const name = reference.length > 48 ? `…${reference.slice(-47)}` : reference;
    const amount = totalBytes === undefined
      ? byteText(receivedBytes)
      : `${barText(receivedBytes / Math.max(totalBytes, 1), 20)} ${byteText(receivedBytes)}/${
        byteText(totalBytes)
      }`;
    const text = `${name} ${amount}`;
    err(`\r\u001b[2K${done ? "" : colour ? `\u001b[36m${text}\u001b[0m` : text}`);
  };
}
