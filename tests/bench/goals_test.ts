/** The project's goals: what they are taken of, and that a busy machine is not judged. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { goalsOf, goalsTable } from "../../bench/render/goals.ts";
import { summarize } from "../../bench/render/summary.ts";
import { verdict } from "../../bench/render/surroundings.ts";
import type { Sample } from "../../bench/types/measurement.ts";
import type { Surroundings } from "../../bench/types/run.ts";
import { WORKLOADS } from "../../bench/types/workloads.ts";
import { sample } from "./_sample.ts";

const ORIGINAL = "https://127.0.0.1:3000";

/** The goals of samples, `text: held`. */
function goals(samples: readonly Sample[], original?: string): Record<string, boolean> {
  return Object.fromEntries(
    goalsOf(summarize(samples), WORKLOADS, original).map(({ text, held }) => [text, held]),
  );
}

/** 100 requests that cost so many microseconds each. */
const cost = (us: number) => ({ requests: 100, processorMs: us * 100 / 1000 });

test("at 32 connections: five times the original's requests, half its p99, and 110 us where the floor takes 30", () => {
  const held = (perSecond: number, p99Ms: number, us: number) =>
    goals([
      sample("floor-node", 1, 30_000, { ...cost(60) }),
      sample("bun", 1, perSecond, { p99Ms, ...cost(us) }),
      sample(ORIGINAL, 1, 2_500, { p99Ms: 16 }),
    ], ORIGINAL);
  const name = "pod-privileged on bun, 32 connections: ";
  assert.equal(held(12_500, 8, 220), {
    [`${name}times the original's requests, at least`]: true,
    [`${name}p99 as a share of the original's, at most`]: true,
    // The machine's own floor takes 60.
    [`${name}CPU us/req, at most`]: true,
  });
  assert.equal(Object.values(held(12_400, 8.1, 221)), [false, false, false]);
});

test("without the original, nothing is compared with it; a URL alone is not the original", () => {
  const samples = [
    sample("node", 1, 1),
    sample(ORIGINAL, 1, 2_500),
    sample("node", 1, 1, { connections: 1 }),
  ];
  assert.equal(goals(samples), {});
  assert.equal(goals(samples, "https://127.0.0.1:1"), {});
});

test("at 1 connection: p50 in floors of its own server, and beside the original", () => {
  const one = { connections: 1 };
  const samples = (p50Ms: number, p99Ms: number) => [
    sample("floor-node", 1, 1, { ...one, p50Ms: 99, rssMb: null }),
    sample("floor-bun", 1, 1, { ...one, p50Ms: 0.1, rssMb: null }),
    sample("floor-bun-serve", 1, 1, { ...one, p50Ms: 0.01, rssMb: null }),
    sample("bun", 1, 1, { ...one, p50Ms, p99Ms }),
    sample(ORIGINAL, 1, 1, { ...one, p50Ms: 0.6, p99Ms: 0.95 }),
  ];
  const name = "pod-privileged on bun, 1 connection: ";
  assert.equal(goals(samples(0.2, 0.95), ORIGINAL), {
    [`${name}p50 in floors, at most`]: true,
    [`${name}p50 as a share of the original's, at most`]: true,
    [`${name}p99 as a share of the original's, at most`]: true,
  });
  assert.equal(Object.values(goals(samples(0.21, 0.96), ORIGINAL)), [false, false, false]);
});

/** A workload's policy, connections, what is just enough and what isn't: requests per second beside a floor of 1000, p50 in ms. */
const OWN: readonly (readonly [string, number, readonly [number, number], readonly [number, number]])[] = [
  ["gatekeeper", 32, [450, 9], [449, 9]],
  ["opa", 32, [450, 9], [449, 9]],
  ["wasi-go", 8, [1000, 9], [999, 9]],
  ["wasi-go", 1, [1, 1.49], [1, 1.5]],
];

for (const [policy, connections, enough, missing] of OWN) {
  for (const runtime of ["node", "bun"]) {
    test(`the goal of ${policy} with ${connections} connections on ${runtime}`, () => {
      const held = ([perSecond, p50Ms]: readonly [number, number]) => {
        const load = { policy, connections, rssMb: null };
        return Object.values(goals([
          sample(`floor-${runtime}`, 1, 1000, load),
          sample(runtime, 1, perSecond, { ...load, p50Ms }),
        ]));
      };
      assert.equal([held(enough), held(missing)], [[true], [false]]);
    });
  }
}

test("memory under load with one policy: the highest of a subject against its runtime's floor", () => {
  const samples = (rssMb: number, policies: readonly string[]) =>
    policies.flatMap((policy) => [
      sample("floor-node", 1, 1, { policy, connections: 8, rssMb: 90 }),
      sample("floor-node", 1, 1, { policy, connections: 16, rssMb: 100 }),
      sample("node", 1, 1, { policy, connections: 8, rssMb, workers: 2 }),
      sample("node", 1, 1, { policy, connections: 16, rssMb: 1, workers: 2 }),
    ]);
  const text = "required-labels on node, 2 workers: RSS in floors, at most";
  assert.equal(goals(samples(120, ["required-labels"])), { [text]: true });
  assert.equal(goals(samples(121, ["required-labels"])), { [text]: false });
  // It would be the memory of both.
  assert.equal(goals(samples(121, ["required-labels", "typescript"])), {});
});

test("each number of workers has goals of its own", () => {
  const samples = [
    sample("floor-node", 1, 1, { ...cost(30), rssMb: null }),
    sample("node", 1, 1, { ...cost(100), workers: 1 }),
    sample("node", 1, 1, { ...cost(120), workers: 2 }),
  ];
  assert.equal(goals(samples), {
    "pod-privileged on node, 1 worker, 32 connections: CPU us/req, at most": true,
    "pod-privileged on node, 2 workers, 32 connections: CPU us/req, at most": false,
  });
});

test("what answered nothing is compared with nothing", () => {
  const samples = [sample("node", 1, 10, { p99Ms: 0 }), sample(ORIGINAL, 1, 0, { p99Ms: 0 })];
  assert.equal(goals(samples, ORIGINAL), {});
});

test("a goal that is not reached is called missed, but not of a busy machine", () => {
  const list = [{ text: "more", measured: 1, limit: 1 / 3, held: true }, {
    text: "less",
    measured: 1,
    limit: 2,
    held: false,
  }];
  assert.match(goalsTable(list, true), /^more +0\.33 +1\.00 +held\nless +2 +1\.00 +MISSED$/m);
  assert.match(goalsTable(list, false), /^more +0\.33 +1\.00 +not judged\nless +2 +1\.00 +not judged$/m);
});

const IDLE: Surroundings = { loadBefore: 0.4, floors: [1000, 980], othersShare: 0.02 };

/** What was seen on two processors, and what is said of it. */
const SEEN: readonly (readonly [Partial<Surroundings>, string])[] = [
  [
    {},
    "the machine was idle (floors differ by 2%, load 0.4, other processes took 2% of the processors' time)",
  ],
  [
    { floors: [1000, 770], loadBefore: 5.1 },
    "the machine was busy (floors differ by 23%, load 5.1, other processes took 2% of the processors' time): " +
    "goals are not judged",
  ],
  // Each alone is enough, whichever floor was the slower one.
  [{ floors: [880, 1000] }, "the machine was busy (floors differ by 12%, "],
  [{ loadBefore: 2.1 }, "the machine was busy (floors differ by 2%, load 2.1, "],
  [{ othersShare: 0.31 }, "the machine was busy (floors differ by 2%, load 0.4, other processes took 31% "],
  // What isn't known is not said.
  [{ othersShare: null }, "the machine was idle (floors differ by 2%, load 0.4)"],
  [{ floors: null, othersShare: null }, "the machine was idle (load 0.4)"],
  // A floor that answered nothing in both runs tells nothing; in one, everything.
  [{ floors: [0, 0], othersShare: null }, "the machine was idle (load 0.4)"],
  [{ floors: [1000, 0] }, "the machine was busy (floors differ by 100%, "],
];

test("whether the machine was busy, and why", () => {
  for (const [seen, expected] of SEEN) {
    const { busy, text } = verdict({ ...IDLE, ...seen }, { processors: 2 });
    assert.is(text.slice(0, expected.length), expected);
    assert.is(busy, expected.includes("busy"));
  }
});

test.run();
