/** A JSON Patch as a difference that people read. */
import { own } from "../../program/types/own.ts";
import { joined, oneLine, styled } from "../../program/render/terminal_text.ts";
import type { Style, Text } from "../../program/types/text.ts";

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
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    value = own(value as Record<string, unknown>, name);
  }
  return value;
}

/**
 * Lines with `-` for what goes and `+` for what comes. `object` is what the patch is applied to: later steps' old values are
 * those from before the first.
 */
export function patchText(patch: string, object: unknown): Text {
  const lines = (sign: string, style: Style, value: unknown): readonly Text[] =>
    (JSON.stringify(value, null, 2) ?? "").split("\n").map((line) =>
      styled(style, `    ${sign} ${oneLine(line)}`)
    );
  const steps = (JSON.parse(patch) as readonly Step[]).flatMap((
    { op, path, from, value },
  ): readonly Text[] => [
    `  ${oneLine(op)} ${path === "" ? "(the whole object)" : oneLine(path)}${
      from === undefined ? "" : ` from ${oneLine(from)}`
    }`,
    ...(op === "remove" || op === "replace" ? lines("-", "31", valueAt(object, path)) : []),
    ...(op === "add" || op === "replace" ? lines("+", "32", value) : []),
  ]);
  return joined(steps, "\n");
}
