/** How what `reeve scaffold` prints is read. */
import { parseDocument } from "../../deps.ts";

/** A document, with integers as they are. */
export const yaml = (text: string) => parseDocument(text, { intAsBigInt: true }).toJS();

/** The messages of the log lines at WARN. */
export const warnings = (stderr: string) =>
  stderr.split("\n").flatMap((line) => /^TIME +WARN [^:]+: (.*)$/.exec(line)?.[1] ?? []);
