/** Tells the caller what goes on. */
import type { LogLevel, OnEvent } from "../types/event.ts";

type Listener = { readonly onEvent?: OnEvent };

/** Sends one log line; nobody listening is fine. */
export function log(
  to: Listener,
  level: LogLevel,
  message: string,
  fields: Readonly<Record<string, string | number | boolean>> = {},
): void {
  to.onEvent?.({ kind: "log", level, message, fields });
}
