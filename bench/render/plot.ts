/** A plot of what requests cost, as SVG. */
import type { Cost } from "../types/measurement.ts";

/** What a benchmark left behind, to be drawn and compared later. */
export interface Results {
  /** `2 x Name of the processor, Linux 6.8, Node 26.1.0, Bun 1.4.5`. */
  readonly machine: string;
  readonly costs: readonly Cost[];
}

const LABELS: ReadonlyMap<string, string> = new Map([
  ["floor-node", "bare node:https"],
  ["node", "policy server, Node"],
  ["floor-bun", "bare node:https on Bun"],
  ["bun", "policy server, node:https on Bun"],
  ["bun-serve", "policy server, Bun"],
]);

const WIDTH = 720, LEFT = 210, RIGHT = 90, BAR = 16, GAP = 6, HEAD = 58, GROUP = 30, FOOT = 30;

const ENTITIES: ReadonlyMap<string, string> = new Map([["&", "&amp;"], ["<", "&lt;"], [">", "&gt;"]]);
const xml = (text: string) => text.replace(/[&<>]/g, (character) => ENTITIES.get(character)!);

/**
 * Bars of the processor time of a request, by policy and subject, of the runs with most connections among `results`. Floors are
 * grey. Text and background suit light and dark pages.
 */
export function plot({ machine, costs }: Results): string {
  const connections = Math.max(...costs.map((cost) => cost.connections));
  const shown = costs.filter((cost) => cost.connections === connections);
  const policies = [...new Set(shown.map(({ policy }) => policy))];
  const most = Math.max(...shown.map(({ microseconds }) => microseconds));
  const parts: string[] = [];
  let y = HEAD;
  for (const policy of policies) {
    y += GROUP;
    parts.push(`<text x="0" y="${y - 10}" class="b">${xml(policy)}</text>`);
    for (const { subject, microseconds } of shown.filter((cost) => cost.policy === policy)) {
      const length = Math.max(1, Math.round((WIDTH - LEFT - RIGHT) * microseconds / most));
      const fill = subject.startsWith("floor-") ? "#9aa0a6" : "#2f81f7";
      parts.push(
        `<text x="${LEFT - 8}" y="${y + 12}" text-anchor="end">${xml(LABELS.get(subject) ?? subject)}</text>`,
        `<rect x="${LEFT}" y="${y}" width="${length}" height="${BAR}" fill="${fill}"/>`,
        `<text x="${LEFT + length + 6}" y="${y + 12}">${microseconds.toFixed(0)} µs</text>`,
      );
      y += BAR + GAP;
    }
  }
  const height = y + FOOT;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-16 0 ${
    WIDTH + 32
  } ${height}" role="img" aria-label="Processor time of a request">
<style>text{font:13px system-ui,sans-serif;fill:#24292f}.b{font-weight:600}.s{font-size:11px;fill:#57606a}</style>
<rect x="-16" width="${WIDTH + 32}" height="${height}" rx="8" fill="#fff"/>
<text x="0" y="26" class="b" style="font-size:16px">Processor time of a request, all threads together</text>
<text x="0" y="46" class="s">one review, ${connections} kept-alive TLS connections; less is better</text>
${parts.join("\n")}
<text x="0" y="${height - 12}" class="s">${xml(machine)}</text>
</svg>
`;
}
