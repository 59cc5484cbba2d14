/** Runs command lines in this process, as `cli/program.ts` runs them in its own. */
import { main } from "../../cli/program.ts";
import { logLine } from "../../cli/render/log_line.ts";
import type { ProcessContext } from "../../cli/types/command.ts";

export interface Result {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as it is, for what is no text. */
  readonly bytes: Uint8Array;
}

export interface Place {
  readonly cwd: string;
  /** Stands for the user's home: store, configuration and credentials are below it. */
  readonly home: string;
  readonly program?: "reeve" | "kwctl";
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Uint8Array;
  readonly signal?: AbortSignal;
  readonly terminal?: ProcessContext["terminal"];
  /** Hears what is written while the command runs. */
  readonly onOutput?: (text: string) => void;
}

const decoder = new TextDecoder();

/** Runs one command line to its end. */
export async function reeve(words: readonly string[], place: Place): Promise<Result> {
  const out: Uint8Array[] = [];
  let stderr = "";
  const program = place.program ?? "reeve";
  const terminal = place.terminal ?? { out: false, err: false, columns: 80 };
  const exit = await main(program, words, ({ verbose, colour }): ProcessContext => ({
    program,
    env: { HOME: place.home, ...place.env },
    cwd: place.cwd,
    out: (text) => {
      out.push(typeof text === "string" ? new TextEncoder().encode(text) : text);
      if (typeof text === "string") place.onOutput?.(text);
    },
    err: (text) => {
      stderr += text;
      place.onOutput?.(text);
    },
    log: (level, message, fields = {}) => {
      if (level !== "DEBUG" || verbose) stderr += logLine("TIME", level, program, message, fields, false);
    },
    terminal,
    colour: colour && terminal.out && !place.env?.["NO_COLOR"],
    verbose,
    stdin: () => {
      const { stdin = "" } = place;
      return Promise.resolve(typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin);
    },
    signal: place.signal ?? new AbortController().signal,
  }));
  const bytes = Buffer.concat(out);
  return { exit, stdout: decoder.decode(bytes), stderr, bytes };
}
