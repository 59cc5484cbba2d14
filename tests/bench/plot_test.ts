// The plot in the docs is drawn from the results that are checked in, and says what they say.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { plot, type Results } from "../../bench/render/plot.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const results = JSON.parse(read("bench/results/requests.json")) as Results;

test("docs/benchmarks.svg is drawn from bench/results/requests.json: draw it anew with `npm run bench:plot`", () => {
  assert.is(read("docs/benchmarks.svg"), plot(results));
});

test("each cost has a bar with its figure, in proportion, and names are no markup", () => {
  const costs = [
    { subject: "floor-node", policy: "a<b", connections: 8, microseconds: 100 },
    { subject: "node", policy: "a<b", connections: 8, microseconds: 200 },
    { subject: "node", policy: "a<b", connections: 1, microseconds: 9999 },
  ];
  const svg = plot({ machine: "one & two", costs });
  const widths = [...svg.matchAll(/<rect x="\d+" y="\d+" width="(\d+)"/g)].map((match) => Number(match[1]));
  assert.is(widths.length, 2);
  assert.is(widths[1], widths[0]! * 2);
  assert.match(svg, "100 µs");
  assert.not.match(svg, "9999");
  assert.match(svg, "a&lt;b");
  assert.match(svg, "one &amp; two");
});

test.run();
