/** What is said of a run: which runtime, by how much, and what is only noise. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { differs, ratioOf } from "../../bench/render/comparison.ts";
import { scalingLines, storyLines } from "../../bench/render/story.ts";
import { summarize } from "../../bench/render/summary.ts";
import type { Sample } from "../../bench/types/measurement.ts";
import { sample } from "./_sample.ts";

const story = (samples: readonly Sample[]) => storyLines(samples, summarize(samples));

/** One subject's rounds at 32 connections, and a p50 at 1. */
function rounds(
  subject: string,
  perSecond: readonly number[],
  p50Ms: readonly number[],
  more: Partial<Sample> = {},
) {
  return perSecond.flatMap((value, index) => [
    sample(subject, index + 1, value, more),
    sample(subject, index + 1, 1, { ...more, connections: 1, p50Ms: p50Ms[index]! }),
  ]);
}

test("the ratio of a paired test: its interval is that of Student's t", () => {
  const found = ratioOf([[2, 1], [2.2, 1], [1.8, 1]])!;
  const { ratio, interval, observed, rounds: counted } = found;
  assert.is(ratio.toFixed(3), "1.993");
  assert.equal(observed.map((value) => value.toFixed(2)), ["1.80", "2.20"]);
  // t(0.975; 2) = 4.303, standard error of the logarithms 0.05797.
  assert.equal(interval!.map((value) => value.toFixed(2)), ["1.55", "2.56"]);
  assert.is(counted, 3);
  assert.is(differs(found), true);
});

test("what a ratio can't be taken of", () => {
  assert.is(ratioOf([]), undefined);
  assert.is(ratioOf([[1, 0], [0, 1]]), undefined);
  const once = ratioOf([[3, 2], [0, 1]])!;
  assert.equal([once.ratio.toFixed(3), once.interval, once.rounds, differs(once)], [
    "1.500",
    null,
    1,
    undefined,
  ]);
  assert.is(differs(ratioOf([[1, 1], [1, 1]])!), false);
  // More rounds than the table has degrees of freedom.
  assert.is(differs(ratioOf(Array.from({ length: 100 }, (_, n) => [2 + n % 2 / 10, 1]))!), true);
});

test("the quicker runtime is named, with its figures and how sure that is", () => {
  const node = rounds("node", [9_400, 9_500, 9_300], [0.25, 0.25, 0.26]);
  const bun = rounds("bun", [12_300, 12_400, 12_200], [0.21, 0.2, 0.21]);
  const expected =
    "pod-privileged: Bun serves 1.31 times what Node does at 32 connections (12,300 and 9,400 a second; " +
    "1.30 to 1.32 with 95% confidence, 3 rounds); at 1 connection p50 is 0.21 and 0.25 ms.";
  assert.equal(story([...node, ...bun]), [expected]);
  const other = story([
    ...rounds("bun", [9_400, 9_500, 9_300], [0.25, 0.25, 0.26]),
    ...rounds("node", [12_300, 12_400, 12_200], [0.21, 0.2, 0.21]),
  ]);
  assert.match(other[0]!, /^pod-privileged: Node serves 1\.31 times what Bun does at 32 connections /);
});

test("differences within noise are said to be that", () => {
  assert.equal(
    story([
      ...rounds("node", [9_400, 9_900, 9_000], [0.25, 0.2, 0.3]),
      ...rounds("bun", [9_600, 9_500, 9_400], [0.2, 0.3, 0.24]),
    ]),
    [
      "pod-privileged: Bun and Node do not differ by more than noise at 32 connections (9,500 and 9,400 a second; " +
      "0.96 to 1.04 times in 3 rounds); at 1 connection p50 is 0.24 and 0.25 ms, no more than noise.",
    ],
  );
});

test("one round can't tell what is noise", () => {
  assert.equal(story([...rounds("node", [1_000], [0.2]), ...rounds("bun", [2_000], [0.02])]), [
    "pod-privileged: Bun serves 2.00 times what Node does at 32 connections (2,000 and 1,000 a second; " +
    "one round can't tell this from noise); at 1 connection p50 is 0.020 and 0.20 ms.",
  ]);
});

test("a runtime alone is told with its share of the floor; without a server that is said", () => {
  const floor = rounds("floor-node", [20_000], [0.1]);
  assert.equal(story([...floor, ...rounds("node", [9_000], [0.25])]), [
    "pod-privileged: only Node was measured: 9,000 a second at 32 connections, 45% of its floor; " +
    "at 1 connection p50 is 0.25 ms.",
  ]);
  assert.match(
    story(rounds("bun", [9_000], [0.25]))[0]!,
    "only Bun was measured: 9,000 a second at 32 connections; at 1",
  );
  assert.equal(story(floor), ["pod-privileged: no policy server of ours was measured."]);
});

test("runtimes are compared with as many workers, and each with servers that run already", () => {
  const url = "https://127.0.0.1:3000";
  const lines = story([
    ...rounds("node", [4_000], [0.2], { workers: 1 }),
    ...rounds("node", [8_000], [0.2], { workers: 2 }),
    ...rounds("bun", [5_000], [0.2], { workers: 1 }),
    ...rounds(url, [2_000], [0.6]),
  ]);
  assert.equal(lines.map((line) => line.replace(/ at 32 .*$/, "")), [
    "pod-privileged: Bun with 1 worker serves 1.25 times what Node with 1 worker does",
    `pod-privileged: Node with 1 worker serves 2.00 times what ${url} does`,
    `pod-privileged: Node with 2 workers serves 4.00 times what ${url} does`,
    `pod-privileged: Bun with 1 worker serves 2.50 times what ${url} does`,
  ]);
});

test("each policy has a line, and Bun.serve is told beside node:https on Bun where both floors were measured", () => {
  const lines = story(["pod-privileged", "opa"].flatMap((policy) => [
    ...rounds("floor-bun", [40_000], [0.1], { policy }),
    ...rounds("floor-bun-serve", [60_000], [0.1], { policy }),
    ...rounds("bun", [9_000], [0.25], { policy }),
  ]));
  assert.equal(lines.map((line) => line.replace(/ (at 32|was) .*$/, "")), [
    "pod-privileged: only Bun",
    "pod-privileged: Bun.serve without a policy serves 1.50 times what node:https without a policy on Bun does",
    "opa: only Bun",
    "opa: Bun.serve without a policy serves 1.50 times what node:https without a policy on Bun does",
  ]);
});

test("a subject that answered nothing is compared with nothing", () => {
  assert.equal(story([...rounds("node", [0], [0]), ...rounds("bun", [9_000], [0.2])]), []);
});

test("with one number of connections it is told of that", () => {
  const lines = story([
    sample("node", 1, 100, { connections: 4 }),
    sample("bun", 1, 200, { connections: 4, p50Ms: 20 }),
  ]);
  assert.match(
    lines[0]!,
    /2\.00 times what Node does at 4 connections .*; at 4 connections p50 is 20\.0 and 1\.00 ms\.$/,
  );
});

/** 100 requests a second that cost so many microseconds each, with a number of workers. */
const worker = (workers: number, us: number | null, perSecond = 100) =>
  sample("node", 1, perSecond, { workers, requests: 100, processorMs: us === null ? null : us / 10 });
const scaling = (samples: readonly Sample[]) => scalingLines(summarize(samples));

test("whether a request costs the same with more cores: 10% up or down", () => {
  assert.equal(scaling([worker(1, 100), worker(2, 110, 190), worker(4, 111, 300)]), [
    "pod-privileged: Node: CPU per request at 32 connections stays flat: 100 us with 1 worker, 110 us with 2 (+10%); " +
    "it serves 1.90 times as much.",
    "pod-privileged: Node: CPU per request at 32 connections is not flat (more than 10%): 100 us with 1 worker, " +
    "111 us with 4 (+11%); it serves 3.00 times as much.",
  ]);
  assert.match(
    scaling([worker(2, 89), worker(1, 100)])[0]!,
    "is not flat (more than 10%): 100 us with 1 worker, 89 us with 2 (-11%)",
  );
  assert.match(scaling([worker(2, null), worker(1, 100)])[0]!, "isn't known here");
  assert.equal(scaling([worker(1, 100)]), []);
  assert.equal(scaling([sample("node", 1, 1), sample("bun", 1, 1)]), []);
});

test.run();
