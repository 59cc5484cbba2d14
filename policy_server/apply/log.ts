/**
 * The server's log: levels, one line an event, written to standard output in batches (spec/policy-server.md §14.1).
 *
 * ```ts
 * const log = createLog({ level: "info", format: "text" });
 * log.info("policies download", { policies_count: 3, status: "init" }, { target: "policy_server" });
 * if (log.enabled("debug")) log.debug("admission review", { review: JSON.stringify(review) });
 * ```
 */
import process from "node:process";
import { jsonLine, type LogFields, type LogSpan, textLine, timestampText } from "../render/log_line.ts";
import { LOG_LEVELS, type LogLevel } from "../types/options.ts";

/** Where an event comes from. `target` is `policy_server` unless given. */
export type LogPlace = { readonly target?: string; readonly span?: LogSpan };

/** Writes one event of a level. */
export type LogMethod = (message: string, fields?: LogFields, place?: LogPlace) => void;

/** Methods of levels below the log's own do nothing and cost a call. */
export type Log = Readonly<Record<LogLevel, LogMethod>> & {
  /** Whether events of this level are written: ask before building costly fields. */
  enabled(level: LogLevel): boolean;
  /** Hands everything that was logged to the output now. */
  flush(): void;
};

/** Takes text that ends with a line break; returns how many bytes it still holds back because its reader is slow. */
export type LogOutput = (text: string) => number;

/** How a log is made. */
export type LogSettings = {
  readonly level: LogLevel;
  /** `otlp` writes text as well (§13). */
  readonly format: "text" | "json" | "otlp";
  /** Standard output unless given. */
  readonly output?: LogOutput;
  /** Microseconds since 1970. */
  readonly clock?: () => number;
};

/** A batch is written at the end of the event-loop turn, or earlier when it has this many characters. */
const BATCH_LENGTH = 64 * 1024;
/** With more bytes than this held back by the output, events are counted and dropped: a log must not eat the memory. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

const ignore: LogMethod = () => {};

function standardOutput(text: string): number {
  process.stdout.write(text);
  return process.stdout.writableLength;
}

const wallClock = () => (performance.timeOrigin + performance.now()) * 1000;

/** Opens a log. What is left for standard output at the end of the process is written then. */
export function createLog(settings: LogSettings): Log {
  const { level, format, output = standardOutput, clock = wallClock } = settings;
  const render = format === "json" ? jsonLine : textLine;
  const least = LOG_LEVELS.indexOf(level);
  let batch = "";
  let scheduled = false;
  let held = 0;
  let dropped = 0;

  function flush(): void {
    scheduled = false;
    if (batch === "") return;
    const text = batch;
    batch = "";
    held = output(text);
  }

  function append(at: LogLevel, message: string, fields: LogFields, place: LogPlace): void {
    const timestamp = timestampText(clock());
    const { target = "policy_server", span } = place;
    const event = { timestamp, level: at, target, message, fields };
    batch += `${render(span === undefined ? event : { ...event, span })}\n`;
    if (batch.length >= BATCH_LENGTH) return flush();
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  }

  function method(at: LogLevel): LogMethod {
    if (LOG_LEVELS.indexOf(at) < least) return ignore;
    return (message, fields = {}, place = {}) => {
      if (held > MAX_HELD_BYTES) {
        // Asks the output, by writing nothing, whether its reader has caught up.
        held = output("");
        if (held > MAX_HELD_BYTES) return void dropped++;
      }
      if (dropped > 0) {
        append("warn", "log events were dropped because standard output is not read", { dropped }, {});
        dropped = 0;
      }
      append(at, message, fields, place);
    };
  }

  // An output of the caller's own is flushed by the caller.
  if (output === standardOutput) process.on("exit", flush);
  return {
    trace: method("trace"),
    debug: method("debug"),
    info: method("info"),
    warn: method("warn"),
    error: method("error"),
    enabled: (at) => LOG_LEVELS.indexOf(at) >= least,
    flush,
  };
}
