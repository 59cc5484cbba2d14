/** A JSON Patch as a difference that people read. */
import { own } from "../../program/types/own.ts";
import { escapeControls } from "../../policy_server/render/log_line.ts";

interface Step {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

/** The value at a JSON pointer; undefined if there is none. */
function valueAt(document: unknown, pointer: string): unknown {
  let value = document;
  for (const part of pointer.split("/").slice(1)) {
    if (typeof value !== "object" || value === null) return undefined;
    value = own(value as Record<string, unknown>, part.replaceAll("~1", "/").replaceAll("~0", "~"));
  }
  return value;
}

/**
 * Lines with `-` for what goes and `+` for what comes. `object` is what the patch is applied to: later steps' old values are
 * those from before the first.
 */
export function patchText(patch: string, object: unknown, colour: boolean): string {
  const paint = (code: string, text: string) => colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  const lines = (sign: string, code: string, value: unknown) =>
    (JSON.stringify(value, null, 2) ?? "").split("\n").map((line) =>
      paint(code, `    ${sign} ${escapeControls(line)}`)
    );
  return (JSON.parse(patch) as readonly Step[]).flatMap(({ op, path, from, value }) => [
    `  ${op} ${path === "" ? "(the whole object)" : escapeControls(path)}${
      from === undefined ? "" : ` from ${escapeControls(from)}`
    }`,
    ...(op === "remove" || op === "replace" ? lines("-", "31", valueAt(object, path)) : []),
    ...(op === "add" || op === "replace" ? lines("+", "32", value) : []),
  ]).join("\n");
}
