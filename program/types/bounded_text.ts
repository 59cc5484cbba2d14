/** Texts of others, cut to what may be shown: errors and log lines hold no more of them than a limit says. */

/**
 * `text`, cut behind `max` UTF-16 units where it is longer, with how much was left out. No character is cut in two.
 *
 * ```ts
 * boundedText("abcdef", 3); // "abc… (3 more characters)"
 * ```
 */
export function boundedText(text: string, max: number): string {
  if (text.length <= max) return text;
  const unit = text.charCodeAt(max - 1);
  const end = unit >= 0xd800 && unit < 0xdc00 ? max - 1 : max;
  return `${text.slice(0, end)}… (${text.length - end} more characters)`;
}
