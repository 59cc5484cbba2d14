/** Writes to standard output and standard error at once, to the last byte, whatever they are. */
import { writeSync } from "node:fs";

/** How much was written, and why not all of it. */
export type Written = { readonly bytes: number; readonly error?: NodeJS.ErrnoException };

/** How long to wait for the slow reader of a pipe that does not block. */
const FULL_PIPE_MS = 5;

/** Writes as much of `bytes` as the output takes. Never throws. */
export function writeOutput(fd: 1 | 2, bytes: Uint8Array): Written {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_MS);
      else if (code !== "EINTR") return { bytes: at, error: error as NodeJS.ErrnoException };
    }
  }
  return { bytes: at };
}

/**
 * Prints what a program was started for: its help, its version. Returns the exit code, which is 1 where it could not be written; a
 * reader that has gone says nothing about how it went.
 */
export function printText(fd: 1 | 2, text: string): 0 | 1 {
  const { error } = writeOutput(fd, new TextEncoder().encode(text));
  if (error === undefined || error.code === "EPIPE") return 0;
  writeOutput(2, new TextEncoder().encode(`Error: cannot write to standard output: ${error.message}\n`));
  return 1;
}
