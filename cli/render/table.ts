/** Tables with borders, as `policies` prints them (`spec/cli.md §5`). */
import { oneLine } from "../../program/render/terminal_text.ts";
import { greatest } from "../../program/types/lists.ts";

/** Rows of cells below a header, all left-aligned. */
export function borderedTable(header: readonly string[], unsafe: readonly (readonly string[])[]): string {
  // Before the widths are taken: a cell with a line break would look like another row.
  const rows = unsafe.map((row) => row.map(oneLine));
  const widths = header.map((title, column) =>
    greatest(rows.map((row) => (row[column] ?? "").length), title.length)
  );
  const line = `+${widths.map((width) => "-".repeat(width + 2)).join("+")}+`;
  const text = (row: readonly string[]) =>
    `|${widths.map((width, column) => ` ${(row[column] ?? "").padEnd(width)} `).join("|")}|`;
  return `${[line, text(header), line, ...rows.map(text), line].join("\n")}\n`;
}
