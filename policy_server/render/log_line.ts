/**
 * One log event as one line, text or JSON (spec/policy-server.md §14 rules 2 and 3). Whatever a policy or a client puts into a
 * value stays inside that value: line breaks, control characters and marks that change the direction of text are
 * escaped, so that no line can be forged.
 */
import { boundedText } from "../../evaluator/render/bounded_text.ts";
import { own } from "../../program/types/own.ts";
import type { LogLevel } from "../types/options.ts";

/** What a field may hold. `undefined` leaves the field out. */
export type LogValue = string | number | bigint | boolean | null | undefined;
/** Fields of an event or a span, in the order they are shown. */
export type LogFields = Readonly<Record<string, LogValue>>;

/** A span that an event stands in; its `parent` is the next one outwards. */
export type LogSpan = { readonly name: string; readonly fields: LogFields; readonly parent?: LogSpan };

/** An event. `timestamp` is RFC 3339 in UTC, `target` the part of the program that speaks. */
export type LogEvent = {
  readonly timestamp: string;
  readonly level: LogLevel;
  readonly target: string;
  readonly message: string;
  readonly fields: LogFields;
  readonly span?: LogSpan;
};

const LEVEL_TEXT: Readonly<Record<LogLevel, string>> = {
  trace: "TRACE",
  debug: "DEBUG",
  info: " INFO",
  warn: " WARN",
  error: "ERROR",
};

// deno-lint-ignore no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;
const UNSAFE_ALL = new RegExp(UNSAFE, "g");
const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Characters of one value that are shown. A policy's log entry has 64 KiB at most (`evaluator/types/guest_limits.ts`). */
const MAX_VALUE = 64 * 1024;

const bounded = (text: string): string => boundedText(text, MAX_VALUE);

/**
 * `text` with everything that could break or disguise a line as an escape: `\n`, `\u{1b}`. Of what is longer than a log entry may
 * be, the rest is only counted.
 */
export function escapeControls(text: string): string {
  return escaped(bounded(text));
}

function escaped(text: string): string {
  if (!UNSAFE.test(text)) return text;
  return text.replace(UNSAFE_ALL, (char) => own(SHORT, char) ?? `\\u{${char.charCodeAt(0).toString(16)}}`);
}

function textValue(value: LogValue): string {
  if (typeof value !== "string") return String(value);
  return `"${escaped(bounded(value).replace(/[\\"]/g, "\\$&"))}"`;
}

function textFields(fields: LogFields): string {
  let text = "";
  for (const key in fields) {
    const value = own(fields, key);
    if (value !== undefined) text += ` ${escapeControls(key)}=${textValue(value)}`;
  }
  return text;
}

function textSpans(span: LogSpan | undefined): string {
  let text = "";
  for (let at = span; at !== undefined; at = at.parent) {
    const fields = textFields(at.fields);
    text = `${escapeControls(at.name)}${fields === "" ? "" : `{${fields.slice(1)}}`}:${text}`;
  }
  return text === "" ? "" : `${text} `;
}

/** `2026-01-02T03:04:05.678901Z  INFO request{method="POST"}: target: message key="value"`, without a line break. */
export function textLine(event: LogEvent): string {
  return `${event.timestamp} ${LEVEL_TEXT[event.level]} ${textSpans(event.span)}${
    escapeControls(event.target)
  }: ` +
    `${escapeControls(event.message)}${textFields(event.fields)}`;
}

const jsonText = (text: string): string => JSON.stringify(bounded(text));

/** JSON's numbers are finite and bigints unknown to `JSON.stringify`. */
function jsonValue(value: LogValue): string {
  if (typeof value === "string") return jsonText(value);
  return typeof value === "bigint" ? value.toString() : JSON.stringify(value);
}

function jsonMembers(fields: LogFields): string {
  let text = "";
  for (const key in fields) {
    const value = own(fields, key);
    if (value !== undefined) text += `,${jsonText(key)}:${jsonValue(value)}`;
  }
  return text;
}

function jsonSpan(span: LogSpan): string {
  return `{"name":${jsonText(span.name)}${jsonMembers(span.fields)}}`;
}

/** The event as one JSON object; spans as `span` (innermost) and `spans` (outermost first). */
export function jsonLine(event: LogEvent): string {
  const spans: string[] = [];
  for (let at = event.span; at !== undefined; at = at.parent) spans.unshift(jsonSpan(at));
  const inSpans = spans.length === 0 ? "" : `,"span":${spans.at(-1)},"spans":[${spans.join(",")}]`;
  return `{"timestamp":${JSON.stringify(event.timestamp)},"level":"${event.level.toUpperCase()}",` +
    `"fields":{"message":${jsonText(event.message)}${jsonMembers(event.fields)}},` +
    `"target":${jsonText(event.target)}${inSpans}}`;
}

/** Microseconds since 1970 as RFC 3339: `2026-01-02T03:04:05.678901Z`. */
export function timestampText(micros: number): string {
  const millis = Math.floor(micros / 1000);
  const rest = String(Math.floor(micros) - millis * 1000).padStart(3, "0");
  return `${new Date(millis).toISOString().slice(0, -1)}${rest}Z`;
}
