/**
 * Text for a terminal. What a program prints holds words of others: metadata of policies, names in archives, answers of
 * registries. In a terminal, control characters move the cursor, rewrite what stands above, set the clipboard or the title;
 * marks of direction make one name look like another. So text for people is printed through {@link terminalText} alone: in
 * it strings never steer the terminal, and colours are values that no string can be mistaken for.
 *
 * @example
 *   const line = text`${styled("1;31", "FAIL")}  ${oneLine(name)}\n`;
 *   write(terminalText(line, { colour: true }));
 */

import type { Style, Styled, Text } from "../types/text.ts";

/** A text with a style. */
export function styled(style: Style, of: Text): Styled {
  return { style, of };
}

/** Parts with a separator between them. */
export function joined(parts: readonly Text[], separator: string): Text {
  return parts.flatMap((part, index) => index === 0 ? [part] : [separator, part]);
}

/** A template whose values may be styled. */
export function text(strings: TemplateStringsArray, ...values: readonly Text[]): Text {
  return strings.flatMap((part, index) => index === 0 ? [part] : [values[index - 1]!, part]);
}

/**
 * Everything that a terminal, or the reader of a line, does not show as a character of its own: control characters (C0, DEL,
 * C1), separators of lines and paragraphs, halves of surrogate pairs, and format characters: marks of direction, zero-width
 * ones, tags. Joiners between two letters that are not ASCII stay, as Persian and emoji are written with them; so do the
 * number signs of Arabic scripts.
 */
const UNSAFE =
  // deno-lint-ignore no-control-regex
  /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]|(?![\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u{110bd}\u{110cd}])(?!(?<=[^\u0000-\u007f])[\u200c\u200d][^\u0000-\u007f])\p{Cf}/u;
const UNSAFE_ALL = new RegExp(UNSAFE, "gu");
const SHORT: ReadonlyMap<string, string> = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"]]);

const codePoint = (character: string) => character.codePointAt(0)!.toString(16);

const escaped = (character: string) => SHORT.get(character) ?? `\\u{${codePoint(character)}}`;

/** Whether a text that must stay on its line holds something unsafe. */
export function isUnsafe(plain: string): boolean {
  return UNSAFE.test(plain);
}

/** A name, or another text that must stay on its line: everything unsafe is shown as an escape, `\n` and `\u{1b}`. */
export function oneLine(plain: string): string {
  return UNSAFE.test(plain) ? plain.replace(UNSAFE_ALL, escaped) : plain;
}

/** As {@link oneLine}; line breaks and tabs stay, and CR LF is one line break. */
export function lines(plain: string): string {
  if (!UNSAFE.test(plain)) return plain;
  return plain.replaceAll("\r\n", "\n").replace(
    UNSAFE_ALL,
    (character) => character === "\n" || character === "\t" ? character : escaped(character),
  );
}

/** JSON in which everything unsafe is escaped the way JSON does it: the same value for whoever parses it. */
export function safeJson(json: string): string {
  if (!UNSAFE.test(json)) return json;
  return json.replace(UNSAFE_ALL, (character) => {
    // Between values; in strings JSON has no such characters.
    if (character === "\n" || character === "\t" || character === "\r") return character;
    return character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(
      "",
    );
  });
}

/** As {@link safeJson} for YAML whose unsafe scalars are in double quotes. */
export function safeYaml(yaml: string): string {
  if (!UNSAFE.test(yaml)) return yaml;
  return yaml.replace(UNSAFE_ALL, (character) => {
    if (character === "\n" || character === "\t") return character;
    const hex = codePoint(character);
    return hex.length > 4 ? `\\U${hex.padStart(8, "0")}` : `\\u${hex.padStart(4, "0")}`;
  });
}

/** What is written to the terminal, or to a pipe: escape sequences are in it only where `colour` wants them. */
export function terminalText(of: Text, { colour }: { readonly colour: boolean }): string {
  if (typeof of === "string") return lines(of);
  if ("clear" in of) return "\r\u001b[2K";
  if ("style" in of) {
    const inner = terminalText(of.of, { colour });
    return colour ? `\u001b[${of.style}m${inner}\u001b[0m` : inner;
  }
  return of.map((part) => terminalText(part, { colour })).join("");
}
