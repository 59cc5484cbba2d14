// The plot in the docs is drawn from the results that are checked in, and says what they say.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { plot, type Results } from "../../bench/render/plot.ts";
import { asFile } from "../../bench/render/svg.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const results = JSON.parse(read("bench/results/requests.json")) as Results;

test("docs/benchmarks.svg is drawn from bench/results/requests.json: draw it anew with `npm run bench:plot`", () => {
  assert.is(read("docs/benchmarks.svg"), asFile(plot(results)));
});

test("each cost has a bar with its figure, in proportion, and names are no markup", () => {
  const row = { subject: "node", workers: null, policy: "a<b", connections: 8, processorUs: 200 };
  const rows = [
    { ...row, subject: "floor-node", processorUs: 100 },
    row,
    { ...row, connections: 1, processorUs: 9999 },
    { ...row, subject: "https://elsewhere", processorUs: null },
  ];
  const svg = plot({ ...results, machine: { ...results.machine, processor: "one & two" }, rows });
  const widths = [...svg.matchAll(/<rect class="bar" x="\d+" y="\d+" width="(\d+)"/g)].map((match) =>
    Number(match[1])
  );
  assert.is(widths.length, 2);
  assert.is(widths[1], widths[0]! * 2);
  assert.match(svg, "100 µs");
  assert.not.match(svg, "9999");
  assert.match(svg, "a&lt;b");
  assert.match(svg, "one &amp; two");
});

test.run();
