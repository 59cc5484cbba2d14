/** Markdown for a terminal: headings and emphasis become styles, or vanish where there are none. */

const RULE = "―";
const MAX_WIDTH = 120;

function styled(line: string, colour: boolean): string {
  const paint = (code: string, text: string) => colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line);
  if (heading) return paint("1", heading[1]!);
  return line
    .replace(/\*\*(.+?)\*\*/g, (_, text: string) => paint("1", text))
    .replace(/(?<![\w*])\*([^*\s][^*]*)\*(?!\w)/g, (_, text: string) => paint("3", text))
    .replace(/`([^`]+)`/g, (_, text: string) => paint("36", text))
    .replace(/\[([^\]]+)\]\(([^)]+)\)/g, "$1 ($2)");
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
export function markdownText(source: string, columns: number, colour: boolean): string {
  const width = Math.min(columns, MAX_WIDTH);
  let code = false;
  const lines = source.trimEnd().split("\n").flatMap((line) => {
    if (/^\s*```/.test(line)) {
      code = !code;
      return [];
    }
    return [code ? `    ${line}` : styled(folded(line, width), colour)];
  });
  const rule = RULE.repeat(width);
  return `${[rule, ...lines, "", rule].join("\n")}\n`;
}
