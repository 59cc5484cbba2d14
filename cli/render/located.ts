/** What is wrong with a text, and where. */
import { positionOf } from "../../policy_server/types/document.ts";

/** The message, with line and column of the offset `at` where there is one. */
export function located(
  text: string,
  { message, at }: { readonly message: string; readonly at?: number | undefined },
): string {
  if (at === undefined) return message;
  const { line, column } = positionOf(text, at);
  return `${message} at line ${line} column ${column}`;
}
