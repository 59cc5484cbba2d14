/** A run as one page that needs nothing else: sentences, plots, tables. */
import type { ColdStartRow } from "../types/cold_start.ts";
import type { Row } from "../types/measurement.ts";
import type { Run } from "../types/run.ts";
import { type Bar, barPlot } from "./bars.ts";
import { linePlot } from "./lines.ts";
import { plot, plotLabel } from "./plot.ts";
import { rowsTable } from "./report.ts";
import { spokenName } from "./story.ts";
import { isFloor } from "./summary.ts";
import { COLOURS, escaped, GREY } from "./svg.ts";

export interface Page {
  readonly run: Run;
  /** Which runtime, by how much; and what else is said below the table. */
  readonly sentences: readonly string[];
  /** The table of goals; undefined where there are none. */
  readonly goals: string | undefined;
  /** Rows of another command, none where it wasn't run. */
  readonly coldStart: readonly ColdStartRow[];
}

const PERCENTILES = [
  { text: "p50", of: (row: Row) => row.p50Ms },
  { text: "p90", of: (row: Row) => row.p90Ms },
  { text: "p99", of: (row: Row) => row.p99Ms },
  { text: "p99.9", of: (row: Row) => row.p999Ms },
];
/** Of a plot that has the page's whole width, and of one of several beside each other. */
const WIDE = { width: 900, height: 260 }, NARROW = { width: 440, height: 260 };

/** How a subject is drawn, the same in every plot. */
interface Look {
  readonly label: string;
  readonly colour: string;
  readonly dashed: boolean;
  readonly is: (row: Row) => boolean;
}

function looks(rows: readonly Row[]): Look[] {
  const subjects = new Map(rows.map((row) => [plotLabel(row), row]));
  return [...subjects].map(([label, row], index) => ({
    label,
    colour: COLOURS[index % COLOURS.length]!,
    dashed: isFloor(row.subject),
    is: (other) => other.subject === row.subject && other.workers === row.workers,
  }));
}

const connectionsText = (count: number) => `${count} connection${count === 1 ? "" : "s"}`;

function throughput(policy: string, rows: readonly Row[], all: readonly Look[]): string {
  const counts = [...new Set(rows.map(({ connections }) => connections))].sort((a, b) => a - b);
  return linePlot({
    ...WIDE,
    title: `${policy}: requests a second`,
    xName: "kept-alive connections",
    marked: true,
    xTicks: counts.map((count, x) => ({ x, text: String(count) })),
    curves: all.map(({ label, colour, dashed, is }) => ({
      name: label,
      colour,
      dashed,
      points: counts.flatMap((count, x) => {
        const row = rows.find((found) => is(found) && found.connections === count);
        return row === undefined ? [] : [{ x, y: row.requestsPerSecond }];
      }),
    })),
  });
}

/** The percentiles with each number of connections, side by side. */
function latencies(policy: string, rows: readonly Row[], all: readonly Look[]): string {
  const counts = [...new Set(rows.map(({ connections }) => connections))].sort((a, b) => a - b);
  const plots = counts.map((count) =>
    linePlot({
      ...NARROW,
      title: `${policy}, ${connectionsText(count)}: latency in ms`,
      xName: "percentile of the requests",
      logarithmic: true,
      marked: true,
      xTicks: PERCENTILES.map(({ text }, x) => ({ x, text })),
      curves: all.map(({ label, colour, dashed, is }) => {
        const row = rows.find((found) => is(found) && found.connections === count);
        return {
          name: label,
          colour,
          dashed,
          points: row === undefined ? [] : PERCENTILES.map(({ of }, x) => ({ x, y: of(row) })),
        };
      }),
    })
  );
  return `<div class="plots">${plots.join("")}</div>`;
}

/** The highest resident memory of each subject, which has all policies. */
function memory(rows: readonly Row[]): string {
  const bars = looks(rows).flatMap(({ label, dashed, is }): Bar[] => {
    const value = Math.max(...rows.filter(is).map(({ rssMb }) => rssMb ?? 0));
    if (value <= 0) return [];
    return [{ label, value, text: `${value.toFixed(0)} MB`, colour: dashed ? GREY : COLOURS[0]! }];
  });
  return bars.length === 0 ? "" : barPlot({
    title: "Resident memory under load",
    subtitle: "MB (10^6 bytes), the highest after any of its runs; less is better",
    summary: "Resident memory under load",
    groups: [{ name: [...new Set(rows.map(({ policy }) => policy))].join(", "), bars }],
    foot: ["Floors are grey."],
  });
}

const COLD = [
  { title: "Start until ready", unit: "ms", of: (row: ColdStartRow) => row.readyMs },
  { title: "Processor time of the start", unit: "ms", of: (row: ColdStartRow) => row.readyProcessorMs },
  { title: "Resident memory when ready", unit: "MB", of: (row: ColdStartRow) => row.readyRssMb },
  {
    title: "Resident memory when every module has answered",
    unit: "MB",
    of: (row: ColdStartRow) => row.answeredRssMb,
  },
];

/** Bars for each figure of a cold start that is known. */
function coldStarts(rows: readonly ColdStartRow[]): string {
  if (rows.length === 0) return "";
  const plots = COLD.flatMap(({ title, unit, of }) => {
    const kinds = [...new Set(rows.map(({ kind, modules }) => `${modules} modules, ${kind}`))];
    const groups = kinds.map((name) => ({
      name,
      bars: rows.filter(({ kind, modules }) => `${modules} modules, ${kind}` === name)
        .flatMap((row, index): Bar[] => {
          const value = of(row);
          if (value === null) return [];
          const text = `${value.toFixed(0)} ${unit}`;
          return [{ label: spokenName(row.runtime), value, text, colour: COLOURS[index % COLOURS.length]! }];
        }),
    })).filter(({ bars }) => bars.length > 0);
    const foot = [`${(rows[0]!.moduleBytes / 1e6).toFixed(1)} MB a module`];
    const subtitle = `${unit}; less is better`;
    return groups.length === 0 ? [] : [barPlot({ title, subtitle, summary: title, groups, foot })];
  });
  return `<h2>Cold start</h2>${plots.join("")}`;
}

const STYLE = "body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;background:#fff;max-width:960px;" +
  "margin:24px auto;padding:0 12px}svg{width:100%;margin:8px 0}.bars{max-width:752px}" +
  "pre{overflow-x:auto;font-size:12px}" +
  ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(400px,1fr));gap:8px}" +
  "dl{display:grid;grid-template-columns:max-content 1fr;gap:0 16px}dt{color:#57606a}dd{margin:0}";

/** Machine, versions and date. */
function head({ date, machine, versions, program, rounds, seconds }: Run): string {
  const memoryText = machine.memoryGb === null ? [] : [`${machine.memoryGb} GB of memory`];
  const facts = [
    ["Date", date],
    ["Machine", [`${machine.processors} x ${machine.processor}`, ...memoryText, machine.kernel].join(", ")],
    ["Runtimes", `Node ${versions.node}, Bun ${versions.bun}`],
    ["Measured", versions.commit === null ? program : `${program} of commit ${versions.commit}`],
    ["Driven by", `${versions.generator ?? "unknown"}, ${rounds} rounds of ${seconds} s each`],
  ];
  return `<dl>${
    facts.map(([name, value]) => `<dt>${escaped(name!)}</dt><dd>${escaped(value!)}</dd>`).join("")
  }</dl>`;
}

export function reportPage({ run, sentences, goals, coldStart }: Page): string {
  const all = looks(run.rows);
  const policies = [...new Set(run.rows.map(({ policy }) => policy))];
  const sections = policies.map((policy) => {
    const rows = run.rows.filter((row) => row.policy === policy);
    return `<h2>${escaped(policy)}</h2>${throughput(policy, rows, all)}${latencies(policy, rows, all)}`;
  });
  const costs = run.rows.some(({ processorUs }) => processorUs !== null) ? plot(run) : "";
  return `<!doctype html><html lang="en"><meta charset="utf-8">` +
    `<meta name="viewport" content="width=device-width">` +
    `<link rel="icon" href="data:,"><title>Portreeve: requests</title><style>${STYLE}</style>` +
    `<h1>Requests</h1>${head(run)}` +
    `<ul>${sentences.map((text) => `<li>${escaped(text)}</li>`).join("")}</ul>` +
    `${sections.join("")}<h2>Processor time and memory</h2>${costs}${memory(run.rows)}` +
    `${coldStarts(coldStart)}<h2>Rows</h2><pre>${escaped(rowsTable(run.rows))}</pre>` +
    `${goals === undefined ? "" : `<h2>Goals</h2><pre>${escaped(goals)}</pre>`}</html>\n`;
}
