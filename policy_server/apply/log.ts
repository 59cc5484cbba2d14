/**
 * The server's log: levels, one line an event, written to standard output in batches (spec/policy-server.md §14 rule 1).
 *
 * ```ts
 * const log = createLog({ level: "info", format: "text" });
 * log.info("policies download", { policies_count: 3, status: "init" }, { target: "policy_server" });
 * if (log.enabled("debug")) log.debug("admission review", { review: JSON.stringify(review) });
 * ```
 */
import { logLines, type LogOutput } from "../../program/apply/log_lines.ts";
import { wallClockMs } from "../../program/apply/wall_clock.ts";
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

/** A log that writes for others too. */
export type SharedLog = Log & {
  /** Writes what another thread's log has made: lines, each with its line break. */
  pass(text: string): void;
};

/** How a log is made. */
export type LogSettings = {
  readonly level: LogLevel;
  /** `otlp` writes text as well (spec/policy-server.md §13). */
  readonly format: "text" | "json" | "otlp";
  /** Standard output unless given. */
  readonly output?: LogOutput;
  /** Microseconds since 1970. */
  readonly clock?: () => number;
};

const ignore: LogMethod = () => {};

const wallClock = () => wallClockMs() * 1000;

/** Opens a log. What is left for standard output at the end of the process is written then. */
export function createLog(settings: LogSettings): SharedLog {
  const { level, format, output, clock = wallClock } = settings;
  const render = format === "json" ? jsonLine : textLine;
  const least = LOG_LEVELS.indexOf(level);
  const line = (
    at: LogLevel,
    message: string,
    fields: LogFields,
    { target = "policy_server", span }: LogPlace,
  ) => {
    const event = { timestamp: timestampText(clock()), level: at, target, message, fields };
    return render(span === undefined ? event : { ...event, span });
  };
  const lines = logLines(
    1,
    ({ message, dropped, error }) => line("warn", message, { dropped, error }, {}),
    output,
  );

  function method(at: LogLevel): LogMethod {
    if (LOG_LEVELS.indexOf(at) < least) return ignore;
    return (message, fields = {}, place = {}) => lines.write(line(at, message, fields, place));
  }

  return {
    trace: method("trace"),
    debug: method("debug"),
    info: method("info"),
    warn: method("warn"),
    error: method("error"),
    enabled: (at) => LOG_LEVELS.indexOf(at) >= least,
    pass: (text) => lines.write(text.slice(0, -1)),
    flush: lines.flush,
  };
}
