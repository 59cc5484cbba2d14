/** Log lines (`spec/cli.md §1.1`). */
import { escapeControls } from "../../policy_server/render/log_line.ts";
import type { LogLevel } from "../types/command.ts";

const COLOURS: Readonly<Record<LogLevel, string>> = { DEBUG: "34", INFO: "32", WARN: "33", ERROR: "31" };

/**
 * One line, whatever is in it: policies' own words must not look like another line, or steer the terminal. `time`: RFC 3339 in
 * UTC with microseconds.
 */
export function logLine(
  time: string,
  level: LogLevel,
  target: string,
  message: string,
  fields: Readonly<Record<string, string>>,
  colour: boolean,
): string {
  const paint = (code: string, text: string) => colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  const more = Object.entries(fields).map(([key, value]) =>
    ` ${paint("3", key)}${paint("2", "=")}${escapeControls(value)}`
  );
  return `${paint("2", time)} ${paint(COLOURS[level], level.padStart(5))} ${paint("2", `${target}:`)} ${
    escapeControls(message)
  }${more.join("")}\n`;
}
