/** What guests print: collected to lines and passed on as log entries, so that no guest writes to the host's own streams. */
import type { PolicyLogEntry } from "../types/evaluation.ts";

/** What a guest may print in one call, in bytes; the rest is dropped, and a last entry says so. */
const MAX_OUTPUT = 64 * 1024;

/** The output of one call. */
export class GuestOutput {
  readonly #log: (entry: PolicyLogEntry) => void;
  #text = { stdout: "", stderr: "" };
  #length = 0;
  readonly #decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };

  constructor(log: (entry: PolicyLogEntry) => void) {
    this.#log = log;
  }

  write(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    if (this.#length >= MAX_OUTPUT) return;
    const taken = bytes.subarray(0, MAX_OUTPUT - this.#length);
    this.#length += taken.length;
    const lines = (this.#text[stream] + this.#decoders[stream].decode(taken, { stream: true })).split("\n");
    this.#text[stream] = lines.pop()!;
    for (const line of lines) this.#emit(stream, line);
    if (this.#length >= MAX_OUTPUT) this.#emit(stream, `output after ${MAX_OUTPUT} bytes was dropped`);
  }

  /** Passes on what has no line end, and begins anew. */
  end(): void {
    if (this.#length === 0) return;
    for (const stream of ["stdout", "stderr"] as const) {
      const rest = this.#text[stream] + this.#decoders[stream].decode();
      if (rest !== "") this.#emit(stream, rest);
      this.#text[stream] = "";
    }
    this.#length = 0;
  }

  #emit(stream: "stdout" | "stderr", line: string): void {
    this.#log({
      level: stream === "stdout" ? "info" : "warn",
      message: line,
      data: JSON.stringify({ stream }),
    });
  }
}
