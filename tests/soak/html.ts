/** A soak's curves as one page that needs nothing else. */
import { linePlot } from "../../bench/render/lines.ts";
import { COLOURS, escaped } from "../../bench/render/svg.ts";
import { reportText, type Sample, type Soak } from "./report.ts";

function plot(title: string, samples: readonly Sample[], value: (sample: Sample) => number): string {
  const end = Math.max(1, samples.at(-1)?.seconds ?? 1);
  return linePlot({
    title,
    curves: [{
      name: title,
      colour: COLOURS[0]!,
      points: samples.map((sample) => ({ x: sample.seconds, y: value(sample) })),
    }],
    xTicks: Array.from({ length: 7 }, (_, index) => index / 6 * end)
      .map((seconds) => ({ x: seconds, text: `${(seconds / 60).toFixed(1)} min` })),
  });
}

const STYLE = "body{font:14px sans-serif;max-width:960px;margin:24px auto;padding:0 12px}" +
  "svg{width:100%;margin:8px 0}pre{overflow-x:auto}";

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
