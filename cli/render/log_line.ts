/** Log lines (`spec/cli.md §1.1`). */
import { oneLine, styled, terminalText, text } from "../../program/render/terminal_text.ts";
import type { Style } from "../../program/types/text.ts";
import type { LogLevel } from "../types/command.ts";

const COLOURS: Readonly<Record<LogLevel, Style>> = { DEBUG: "34", INFO: "32", WARN: "33", ERROR: "31" };

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
  const more = Object.entries(fields).map(([key, value]) =>
    text` ${styled("3", oneLine(key))}${styled("2", "=")}${oneLine(value)}`
  );
  return terminalText(
    text`${styled("2", time)} ${styled(COLOURS[level], level.padStart(5))} ${
      styled("2", `${oneLine(target)}:`)
    } ${oneLine(message)}${more}\n`,
    { colour },
  );
}
