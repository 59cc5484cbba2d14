/** Errors as users read them (`spec/cli.md §1`). */
import { escapeControls } from "../../policy_server/render/log_line.ts";
import type { UsageError } from "../types/usage_error.ts";

/** Policies' and servers' words keep their line breaks and tabs, as 1.36 prints them, and nothing that steers a terminal. */
const harmless = (text: string): string =>
  text.split("\n").map((line) => line.split("\t").map(escapeControls).join("\t")).join("\n");

/** `Error: message`, and the causes below it. */
export function errorText(error: unknown): string {
  const messages: string[] = [];
  // A chain of causes that leads back to itself ends after this many.
  for (let at: unknown = error; at !== undefined && at !== null && messages.length < 16;) {
    messages.push(harmless(at instanceof Error ? at.message : String(at)));
    at = at instanceof Error ? at.cause : undefined;
  }
  const [first = "", ...causes] = messages;
  const number = (index: number) => causes.length === 1 ? "    " : `${String(index).padStart(5)}: `;
  const indent = (text: string, prefix: string) =>
    `${prefix}${text.replaceAll("\n", `\n${" ".repeat(prefix.length)}`)}`;
  const lines = causes.map((cause, index) => indent(cause, number(index)));
  return `Error: ${first}\n${lines.length === 0 ? "" : `\nCaused by:\n${lines.join("\n")}\n`}`;
}

/** What is wrong with a command line, and where to read more. */
export function usageErrorText({ message, notes, usage }: UsageError): string {
  const blank = notes.length > 0 && notes[0]!.includes("tip:") ? "\n" : "";
  const below = notes.length === 0 ? "" : `${blank}${notes.join("\n")}\n`;
  return `error: ${message}\n${below}\nUsage: ${usage}\n\nFor more information, try '--help'.\n`;
}
