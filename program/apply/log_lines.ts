/**
 * The lines of a program's log on their way to standard output or standard error. An output that can't be written (a full disk, a
 * reader that has gone) or is not read never stops or ends the program: its lines are dropped and counted, and the first line that
 * is written again is preceded by one that says how many are missing, and why.
 *
 * ```ts
 * const lines = logLines(1, ({ message, dropped }) => `${message}: ${dropped}`);
 * lines.write("ready");
 * ```
 */
import { fstatSync } from "node:fs";
import process from "node:process";
import { writeOutput } from "./write_output.ts";

/**
 * Takes text that ends with a line break, and calls `lost`, at once or later, with the part at its end that could not be written
 * and the error's code. Returns how many bytes it still holds back because its reader is slow.
 */
export type LogOutput = (text: string, lost: (rest: string, code: string) => void) => number;

/** What the line says that tells of dropped ones. */
export type LossNotice = {
  readonly message: string;
  readonly dropped: number;
  /** Code of the error, say `ENOSPC`; undefined where the output was not read. */
  readonly error: string | undefined;
};

export type LogLines = {
  /** Writes a line, or some; the last one ends without a line break here. */
  write(line: string): void;
  /** Hands everything to the output now. */
  flush(): void;
};

/** A batch is written at the end of the event-loop turn, or earlier when it has this many characters. */
const BATCH_LENGTH = 64 * 1024;
/** With more bytes than this held back by the output, lines are dropped: a log must not eat the memory. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

const NAME = { 1: "standard output", 2: "standard error" } as const;

/** Whether an output takes everything at once: a file or a device, but no pipe, socket or terminal, whose readers may be slow. */
function isFile(fd: 1 | 2, isTerminal: boolean): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFile() || stat.isCharacterDevice() && !isTerminal;
  } catch {
    return false;
  }
}

/** A file; the runtime's own stream would lose, without a word, what a disk that fills up takes only half of. */
function fileOutput(fd: 1 | 2): LogOutput {
  /** Whether the last thing in the file is a part of a line. */
  let torn = false;
  return (text, lost) => {
    if (text === "") return 0;
    const bytes = Buffer.from(torn ? `\n${text}` : text);
    const written = writeOutput(fd, bytes);
    if (written.bytes > 0) torn = bytes[written.bytes - 1] !== 0x0a;
    if (written.error) lost(bytes.toString("utf8", written.bytes), written.error.code ?? written.error.name);
    return 0;
  };
}

function streamOutput(stream: NodeJS.WriteStream): LogOutput {
  return (text, lost) => {
    stream.write(text, (error: NodeJS.ErrnoException | null | undefined) => {
      if (error) lost(text, error.code ?? error.name);
    });
    return stream.writableLength;
  };
}

/** Standard output or standard error of this process. */
export function standardOutput(fd: 1 | 2): LogOutput {
  const stream = fd === 1 ? process.stdout : process.stderr;
  // Each loss is counted where it was written; without a listener, the first one would end the process.
  stream.on("error", () => {});
  return isFile(fd, stream.isTTY === true) ? fileOutput(fd) : streamOutput(stream);
}

function lineBreaks(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

/**
 * Opens a log. `notice` makes the line that tells of dropped ones. Without an `output` of the caller's own, what is left at the end
 * of the process is written then.
 */
export function logLines(
  fd: 1 | 2,
  notice: (notice: LossNotice) => string,
  output?: LogOutput,
): LogLines {
  const put = output ?? standardOutput(fd);
  let batch = "";
  let scheduled = false;
  let held = 0;
  let dropped = 0;
  let error: string | undefined;

  const noticeLine = () => {
    const message = `log events were dropped because ${NAME[fd]} ${
      error === undefined ? "is not read" : "could not be written"
    }`;
    return `${notice({ message, dropped, error })}\n`;
  };

  function flush(): void {
    scheduled = false;
    if (batch === "") return;
    const said = dropped;
    const told = said > 0 ? noticeLine() : "";
    dropped = 0;
    const text = told + batch;
    batch = "";
    held = put(text, (rest, code) => {
      error = code;
      dropped += lineBreaks(rest);
      // Nobody has read what was told of the earlier ones.
      if (told !== "" && rest.length > text.length - told.length) dropped += said - 1;
    });
  }

  function write(line: string): void {
    if (held > MAX_HELD_BYTES) {
      // Asks the output, by writing nothing, whether its reader has caught up.
      held = put("", () => {});
      if (held > MAX_HELD_BYTES) {
        error = undefined;
        return void (dropped += 1 + lineBreaks(line));
      }
    }
    batch += `${line}\n`;
    if (batch.length >= BATCH_LENGTH) return flush();
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  }

  if (output === undefined) process.on("exit", flush);
  return { write, flush };
}
