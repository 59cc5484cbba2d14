/** Where everything that a command prints passes through: nothing in it steers the terminal (`program/render/terminal_text.ts`). */
import { terminalText } from "../../program/render/terminal_text.ts";
import type { Text } from "../../program/types/text.ts";
import type { Context, ProcessContext } from "../types/command.ts";

/** The world as the process has it, with output for people made safe. Bytes are files: they are written as they are. */
export function printing(process: ProcessContext): Context {
  const shown = (text: Text) => terminalText(text, process);
  return {
    ...process,
    out: (text) => process.out(text instanceof Uint8Array ? text : shown(text)),
    err: (text) => process.err(shown(text)),
  };
}
