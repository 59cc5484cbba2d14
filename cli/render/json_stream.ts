/** Several JSON values in one text, one behind the other, as `kubectl get -w -o json` and `jq -c` write them. */

const SEPARATOR = /(?:\s|^---[ \t]*$)*/my;

/** Where the value that begins at `start` ends: behind its last bracket, or at the text's end. */
function valueEnd(text: string, start: number): number {
  let depth = 0;
  let inString = false;
  for (let at = start; at < text.length; at++) {
    const unit = text[at];
    if (inString) {
      if (unit === "\\") at++;
      else if (unit === '"') inString = false;
    } else if (unit === '"') inString = true;
    else if (unit === "{" || unit === "[") depth++;
    else if ((unit === "}" || unit === "]") && --depth <= 0) return at + 1;
  }
  return text.length;
}

/**
 * The values of a text that begins with an object or a list, as pieces of it, with blanks, line ends and lines of `---` between
 * them left out. They are not checked to be JSON.
 */
export function jsonStream(text: string): readonly { readonly at: number; readonly json: string }[] {
  const values: { readonly at: number; readonly json: string }[] = [];
  for (let at = 0;;) {
    SEPARATOR.lastIndex = at;
    SEPARATOR.test(text);
    at = SEPARATOR.lastIndex;
    if (at >= text.length) return values;
    const end = valueEnd(text, at);
    values.push({ at, json: text.slice(at, end) });
    at = end;
  }
}
