/** What guests print: collected to lines and passed on as log entries, so that no guest writes to the host's own streams. */
import type { PolicyLogEntry } from "../types/evaluation.ts";

/** What a guest may print in one call, in bytes; the rest is dropped, and a last entry says so. */
const MAX_OUTPUT = 64 * 1024;

/** Lines of one call that are passed on. */
const MAX_LINES = 2000;

/** The output of one call. */
export class GuestOutput {
  readonly #log: (entry: PolicyLogEntry) => void;
  #text = { stdout: "", stderr: "" };
  #length = 0;
  #lines = 0;
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };

  constructor(log: (entry: PolicyLogEntry) => void) {
    this.#log = log;
  }

  write(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    if (this.#length >= MAX_OUTPUT || this.#lines >= MAX_LINES) return;
    const taken = bytes.subarray(0, MAX_OUTPUT - this.#length);
    this.#length += taken.length;
    // Only what is new is searched for line ends: a guest may print byte by byte.
    const [first, ...others] = this.#decoders[stream].decode(taken, { stream: true }).split("\n");
    this.#text[stream] += first;
    for (const next of others) {
      const line = this.#text[stream];
      this.#text[stream] = next;
      if (this.#lines < MAX_LINES) this.#emit(stream, line);
    }
    if (this.#lines >= MAX_LINES) this.#emit(stream, `output after ${MAX_LINES} lines was dropped`);
    else if (this.#length >= MAX_OUTPUT) this.#emit(stream, `output after ${MAX_OUTPUT} bytes was dropped`);
  }

  /** Passes on what has no line end, and begins anew. */
  end(): void {
    if (this.#length === 0) return;
    for (const stream of ["stdout", "stderr"] as const) {
      const rest = this.#text[stream] + this.#decoders[stream].decode();
      if (rest !== "" && this.#lines < MAX_LINES) this.#emit(stream, rest);
      this.#text[stream] = "";
    }
    this.#length = this.#lines = 0;
  }

  #emit(stream: "stdout" | "stderr", line: string): void {
    this.#lines++;
    this.#log({
      level: stream === "stdout" ? "info" : "warn",
      message: line,
      data: JSON.stringify({ stream }),
    });
  }
}
