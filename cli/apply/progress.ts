/** Progress of downloads on a terminal; elsewhere nothing is shown. */
import type { ArtifactEvent } from "../../artifact/mod.ts";
import { oneLine, styled } from "../../program/render/terminal_text.ts";
import { CLEAR_LINE } from "../../program/types/text.ts";
import { barText, byteText } from "../render/bytes.ts";
import type { Context } from "../types/command.ts";

type Progress = Extract<ArtifactEvent, { kind: "progress" }>;

/** Shows how far downloads are, on one line of standard error that is overwritten. */
export function progressBar({ terminal, err }: Context): (event: Progress) => void {
  if (!terminal.err) return () => {};
  return ({ reference, receivedBytes, totalBytes, done }) => {
    const name = reference.length > 48 ? `…${reference.slice(-47)}` : reference;
    const amount = totalBytes === undefined
      ? byteText(receivedBytes)
      : `${barText(receivedBytes / Math.max(totalBytes, 1), 20)} ${byteText(receivedBytes)}/${
        byteText(totalBytes)
      }`;
    err([CLEAR_LINE, done ? "" : styled("36", `${oneLine(name)} ${amount}`)]);
  };
}
