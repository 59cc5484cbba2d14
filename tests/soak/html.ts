/** A soak's curves as one page that needs nothing else. */
import { reportText, type Sample, type Soak } from "./report.ts";

const WIDTH = 900;
const HEIGHT = 180;
const MARGIN = { left: 60, right: 10, top: 24, bottom: 22 };

const escaped = (text: string) => text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`);

/** A round number not below `value`. */
function ceiling(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((factor) => factor * unit).find((limit) => limit >= value)!;
}

function plot(title: string, samples: readonly Sample[], value: (sample: Sample) => number): string {
  const end = Math.max(1, samples.at(-1)?.seconds ?? 1);
  const top = ceiling(Math.max(1, ...samples.map(value)));
  const x = (seconds: number) => MARGIN.left + seconds / end * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (at: number) => HEIGHT - MARGIN.bottom - at / top * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const points = samples.map((sample) => `${x(sample.seconds).toFixed(1)},${y(value(sample)).toFixed(1)}`);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = y(share * top).toFixed(1);
    return `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}"/>` +
      `<text x="${MARGIN.left - 6}" y="${at}" text-anchor="end" dominant-baseline="middle">${
        share * top
      }</text>`;
  });
  const minutes = Array.from({ length: 7 }, (_, index) => index / 6 * end).map((seconds) =>
    `<text x="${x(seconds).toFixed(1)}" y="${HEIGHT - 6}" text-anchor="middle">${
      (seconds / 60).toFixed(1)
    } min</text>`
  );
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">` +
    `<text class="title" x="${MARGIN.left}" y="14">${escaped(title)}</text>` +
    `${grid.join("")}${minutes.join("")}<polyline points="${points.join(" ")}"/></svg>`;
}

const STYLE = "body{font:14px sans-serif;max-width:960px;margin:24px auto;padding:0 12px}" +
  "svg{width:100%;margin:8px 0}line{stroke:#ddd}polyline{fill:none;stroke:#0b62a8;stroke-width:1.5}" +
  "text{font-size:11px;fill:#555}.title{font-size:13px;font-weight:bold;fill:#111}pre{overflow-x:auto}";

/** The page. */
export function reportHtml(soak: Soak): string {
  const samples = [soak.before, ...soak.samples, soak.after];
  const rates = soak.samples.map((sample, index): Sample => {
    const last = soak.samples[index - 1] ?? soak.before;
    const seconds = Math.max(0.001, sample.seconds - last.seconds);
    return { ...sample, requests: (sample.requests - last.requests) / seconds };
  });
  const plots = [
    plot("Resident memory (MiB)", samples, ({ rssMib }) => rssMib),
    plot("Descriptors", samples, ({ descriptors }) => descriptors),
    plot("Threads", samples, ({ threads }) => threads),
    plot("Checked answers a second", rates, ({ requests }) => requests),
    plot("Slowest checked answer (ms)", soak.samples, ({ slowestMs }) => slowestMs),
    plot("Wrong, lost and late answers so far", samples, ({ wrong, lost, late }) => wrong + lost + late),
  ];
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Soak: ${escaped(soak.name)}</title>` +
    `<style>${STYLE}</style><h1>Soak: ${escaped(soak.name)}</h1>${plots.join("")}` +
    `<pre>${escaped(reportText(soak))}</pre></html>\n`;
}
