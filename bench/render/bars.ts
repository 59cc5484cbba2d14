/** A plot of bars in groups, as SVG that stands in a page; `asFile` makes a file of it. */
import { escaped, PLOT_STYLE, shortened } from "./svg.ts";

export interface Bar {
  readonly label: string;
  /** At least 0. */
  readonly value: number;
  /** What stands behind the bar: the value with its unit. */
  readonly text: string;
  readonly colour: string;
}

export interface BarPlot {
  readonly title: string;
  /** What the bars are of, in which unit. */
  readonly subtitle: string;
  /** For those who can't see it. */
  readonly summary: string;
  readonly groups: readonly { readonly name: string; readonly bars: readonly Bar[] }[];
  /** Lines in small print below the bars. */
  readonly foot: readonly string[];
}

const WIDTH = 720, LEFT = 210, RIGHT = 90, BAR = 16, GAP = 6, HEAD = 58, GROUP = 30, FOOT = 14, LINE = 16;

/** Bars in proportion to their values, the longest as long as there is room. Text and background suit light and dark pages. */
export function barPlot({ title, subtitle, summary, groups, foot }: BarPlot): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)), Number.MIN_VALUE);
  const parts: string[] = [];
  let y = HEAD;
  for (const { name, bars } of groups) {
    y += GROUP;
    parts.push(`<text x="0" y="${y - 10}" class="b">${escaped(name)}</text>`);
    for (const { label, value, text, colour } of bars) {
      const length = Math.max(1, Math.round((WIDTH - LEFT - RIGHT) * value / most));
      parts.push(
        `<text x="${LEFT - 8}" y="${y + 12}" text-anchor="end">${escaped(shortened(label, LEFT - 8))}</text>`,
        `<rect class="bar" x="${LEFT}" y="${y}" width="${length}" height="${BAR}" fill="${colour}"/>`,
        `<text x="${LEFT + length + 6}" y="${y + 12}">${escaped(text)}</text>`,
      );
      y += BAR + GAP;
    }
  }
  const height = y + FOOT + LINE * foot.length;
  return `<svg class="bars" viewBox="-16 0 ${WIDTH + 32} ${height}" role="img" aria-label="${
    escaped(summary)
  }">
<style>${PLOT_STYLE}</style>
<rect x="-16" width="${WIDTH + 32}" height="${height}" rx="8" fill="#fff"/>
<text x="0" y="26" class="b" style="font-size:16px">${escaped(title)}</text>
<text x="0" y="46" class="s">${escaped(subtitle)}</text>
${parts.join("\n")}
${
    foot.map((text, line) => `<text x="0" y="${y + 18 + LINE * line}" class="s">${escaped(text)}</text>`)
      .join("\n")
  }
</svg>
`;
}
