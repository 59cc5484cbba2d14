/** Errors as users read them (`spec/cli.md §1`). */
import { osErrorText } from "../../program/render/os_error.ts";
import { lines } from "../../program/render/terminal_text.ts";
import type { UsageError } from "../types/usage_error.ts";

/** Characters of one message; what is longer was made by somebody who wants the terminal full. */
const MAX_MESSAGE = 20_000;

const bounded = (message: string) =>
  message.length <= MAX_MESSAGE
    ? message
    : `${message.slice(0, MAX_MESSAGE)}… (${message.length} characters)`;

/** `Error: message`, and the causes below it. */
export function errorText(error: unknown): string {
  const messages: string[] = [];
  // A chain of causes that leads back to itself ends after this many.
  for (let at: unknown = error; at !== undefined && at !== null && messages.length < 16;) {
    const isSystem = at instanceof Error && "syscall" in at;
    const text = isSystem ? osErrorText(at) : at instanceof Error ? at.message : String(at);
    // A system's error that is a part of the message above says nothing more.
    if (!isSystem || !messages.at(-1)?.includes(lines(text))) messages.push(bounded(lines(text)));
    at = at instanceof Error ? at.cause : undefined;
  }
  const [first = "", ...causes] = messages;
  const number = (index: number) => causes.length === 1 ? "    " : `${String(index).padStart(5)}: `;
  const indent = (text: string, prefix: string) =>
    `${prefix}${text.replaceAll("\n", `\n${" ".repeat(prefix.length)}`)}`;
  const below = causes.map((cause, index) => indent(cause, number(index)));
  return `Error: ${first}\n${below.length === 0 ? "" : `\nCaused by:\n${below.join("\n")}\n`}`;
}

/** What is wrong with a command line, and where to read more. */
export function usageErrorText({ message, notes, usage }: UsageError): string {
  const blank = notes.length > 0 && notes[0]!.includes("tip:") ? "\n" : "";
  const below = notes.length === 0 ? "" : `${blank}${notes.join("\n")}\n`;
  return `error: ${message}\n${below}\nUsage: ${usage}\n\nFor more information, try '--help'.\n`;
}
