/** Text for a terminal, in which styles are values of their own: no string can be mistaken for one. */

/** Parameters of SGR: bold, faint, italic, the colours that are used. */
export type Style =
  | "1"
  | "2"
  | "3"
  | "31"
  | "32"
  | "33"
  | "34"
  | "36"
  | "1;31"
  | "1;32"
  | "1;36";

/** A text, a part of it with a style, or parts in a row.  */
export type Text = string | Styled | typeof CLEAR_LINE | readonly Text[];

/** A part that is shown in colours or weights where these are wanted. */
export type Styled = { readonly style: Style; readonly of: Text };

/** Goes back to the start of the line and empties it: for progress, at terminals only. */
export const CLEAR_LINE = { clear: "line" } as const;
