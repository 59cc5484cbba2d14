/** The world of a command, as the process has it. */
import process from "node:process";
import { writeOutput } from "../../program/apply/write_output.ts";
import { logLine } from "../render/log_line.ts";
import type { ProcessContext } from "../types/command.ts";
import type { RootFlags } from "./parse.ts";

/** Whether whoever read an output has gone. */
const gone: Record<1 | 2, boolean> = { 1: false, 2: false };
/** Whether the command has printed anything: some say all they have to say beside it. */
let printed = false;

/**
 * Writes all of `data`. What nobody reads any more is dropped, and the command goes on to its end: how that went is what its
 * exit code says, and a reader that left says nothing about it.
 */
function writeAll(fd: 1 | 2, data: string | Uint8Array): void {
  if (gone[fd]) return;
  const { error } = writeOutput(fd, typeof data === "string" ? Buffer.from(data) : data);
  if (error === undefined) return;
  // A command that can't print its result has failed; one that can't say how it goes has not.
  if (error.code === "EPIPE") gone[fd] = true;
  else if (fd === 1) throw error;
}

/** Requests and archives are held in memory. */
const MAX_STDIN_BYTES = 2 * 1024 * 1024 * 1024;

/** Context of this process. `signal` fires when the command is to stop. */
export function processContext(program: string, root: RootFlags, signal: AbortSignal): ProcessContext {
  const { env, stdout, stderr } = process;
  const colour = root.colour && !env["NO_COLOR"];
  const err = (text: string) => writeAll(2, text);
  return {
    program,
    env,
    cwd: process.cwd(),
    out: (text) => {
      printed = true;
      writeAll(1, text);
    },
    outputRead: () => !gone[printed ? 1 : 2],
    err,
    log(level, message, fields = {}) {
      if (level === "DEBUG" && !root.verbose) return;
      const time = new Date().toISOString().replace("Z", "000Z");
      err(logLine(time, level, program, message, fields, colour && stderr.isTTY === true));
    },
    terminal: {
      out: stdout.isTTY === true,
      err: stderr.isTTY === true,
      columns: stdout.columns || stderr.columns || 80,
    },
    colour: colour && stdout.isTTY === true && env["TERM"] !== "dumb",
    verbose: root.verbose,
    async stdin() {
      const pieces: Uint8Array[] = [];
      signal.throwIfAborted();
      signal.addEventListener("abort", () => process.stdin.destroy(new Error("interrupted")));
      let length = 0;
      for await (const piece of process.stdin) {
        length += (piece as Uint8Array).length;
        if (length > MAX_STDIN_BYTES) {
          throw new Error(`standard input holds more than ${MAX_STDIN_BYTES} bytes`);
        }
        pieces.push(piece as Uint8Array);
      }
      return Buffer.concat(pieces);
    },
    signal,
  };
}
