/** One log line as JSON (spec/audit.md §15). */
import type { Fields } from "../types/log.ts";
import type { LogLevel } from "../types/settings.ts";

/** The line, without its end; `milliseconds` since the epoch. */
export function logLine(level: LogLevel, message: string, fields: Fields, milliseconds: number): string {
  return JSON.stringify({ time: new Date(milliseconds).toISOString(), level, message, ...fields });
}

/** An error's text for a log line. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
