/** Markdown for a terminal: headings and emphasis become styles, or vanish where there are none. */
import { styled, text } from "../../program/render/terminal_text.ts";
import type { Text } from "../../program/types/text.ts";

const RULE = "―";
const MAX_WIDTH = 120;

/** Strong, emphasised, code, and a link, in the order in which they are looked for at one place. */
const INLINE = /\*\*(.+?)\*\*|(?<![\w*])\*([^*\s][^*]*)\*(?!\w)|`([^`]+)`|\[([^\]]+)\]\(([^)]+)\)/;

function inline(line: string): readonly Text[] {
  const parts: Text[] = [];
  for (let rest = line;;) {
    const match = INLINE.exec(rest);
    if (match === null) return [...parts, rest];
    const [whole, strong, emphasised, code, label, target] = match;
    parts.push(rest.slice(0, match.index));
    if (strong !== undefined) parts.push(styled("1", inline(strong)));
    else if (emphasised !== undefined) parts.push(styled("3", inline(emphasised)));
    else if (code !== undefined) parts.push(styled("36", code));
    else parts.push(inline(label!), ` (${target})`);
    rest = rest.slice(match.index + whole.length);
  }
}

function shown(line: string): Text {
  const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line);
  return heading ? styled("1", heading[1]!) : inline(line);
}

function folded(line: string, width: number): string {
  if (line.length <= width) return line;
  const lines: string[] = [];
  let current = "";
  for (const word of line.split(" ")) {
    if (current !== "" && current.length + 1 + word.length > width) {
      lines.push(current);
      current = word;
    } else current = current === "" ? word : `${current} ${word}`;
  }
  return [...lines, current].join("\n");
}

/** The text between two rules, at most 120 columns wide. Code blocks stay as they are. */
export function markdownText(source: string, columns: number): Text {
  const width = Math.min(columns, MAX_WIDTH);
  let code = false;
  const lines = source.trimEnd().split(/\r?\n/).flatMap((line): readonly Text[] => {
    if (/^\s*```/.test(line)) {
      code = !code;
      return [];
    }
    return [text`${code ? `    ${line}` : shown(folded(line, width))}\n`];
  });
  const rule = RULE.repeat(width);
  return text`${rule}\n${lines}\n${rule}\n`;
}
