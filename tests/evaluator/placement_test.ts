// Which evaluations run where their request is: a table of what happened, and what comes of it.
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  isInPlace,
  type Placement,
  placementAfter,
  type PlacementEvent,
  UNKNOWN,
} from "../../evaluator/render/placement.ts";

const QUICK: PlacementEvent = { kind: "pooled", costMs: 0.1 };
const SLOW: PlacementEvent = { kind: "pooled", costMs: 20 };
const STAYED: PlacementEvent = { kind: "stayed" };
const LEFT: PlacementEvent = { kind: "left" };
const times = (count: number, event: PlacementEvent) => Array.from({ length: count }, () => event);

/** What happened at moment 1,000, and when the policy is evaluated in place from then on (`Infinity`: not at all). */
const CASES: readonly (readonly [what: string, events: readonly PlacementEvent[], from: number])[] = [
  ["nothing is known", [], Infinity],
  ["the pool found it quick", [QUICK], 1_000],
  ["the pool found it slow", [SLOW], Infinity],
  ["slow at first, quick later", [SLOW, SLOW, QUICK], 1_000],
  ["it stays", [QUICK, STAYED, STAYED], 1_000],
  ["it leaves once", [QUICK, LEFT], 1_250],
  ["quick in the pool: no reason to come back earlier", [QUICK, LEFT, QUICK], 1_250],
  ["slow in the pool: it has to be quick there again", [QUICK, LEFT, SLOW], Infinity],
  ["slow, then quick again: no reason to come back earlier either", [QUICK, LEFT, SLOW, QUICK], 1_250],
  ["slow and quick by turns", [QUICK, LEFT, LEFT, SLOW, QUICK, SLOW, QUICK], 1_500],
  ["it leaves twice", [QUICK, LEFT, LEFT], 1_500],
  ["some stays between do not count", [QUICK, LEFT, ...times(99, STAYED), LEFT], 1_500],
  ["nor do many that took no time", [QUICK, LEFT, ...times(1_000, STAYED), LEFT], 1_500],
  ["it always leaves", [QUICK, ...times(40, LEFT)], 61_000],
];

for (const [what, events, from] of CASES) {
  test(`${what}: ${from === Infinity ? "the pool" : `in place from ${from} on`}`, () => {
    const placement = events.reduce<Placement>(
      (known, event) => placementAfter(known, event, 1_000),
      UNKNOWN,
    );
    assert.is(placement.inPlaceFrom, from);
    if (from === Infinity) return assert.not(isInPlace(placement, Number.MAX_VALUE));
    assert.ok(isInPlace(placement, from));
    assert.not(isInPlace(placement, from - 1));
  });
}

test("many stays do, once it has been in place for ten times as long as it was away", () => {
  const left = placementAfter(placementAfter(UNKNOWN, QUICK, 0), LEFT, 0);
  const after = (now: number) =>
    times(100, STAYED).reduce((known, event) => placementAfter(known, event, now), left);
  assert.is(placementAfter(after(2_749), LEFT, 3_000).inPlaceFrom, 3_500);
  assert.is(placementAfter(after(2_750), LEFT, 3_000).inPlaceFrom, 3_250);
});

test("what a policy that always leaves may take of its thread, all in all, grows by the logarithm of time", () => {
  let placement = placementAfter(UNKNOWN, QUICK, 0);
  let tried = 0;
  for (let now = 0; now < 3_600_000; now += 100) {
    if (!isInPlace(placement, now)) continue;
    tried++;
    placement = placementAfter(placement, LEFT, now);
  }
  assert.ok(tried < 80, `${tried} times in an hour`);
});

test("a policy that leaves as often as it can is there once in some seconds, whatever it does in between", () => {
  let placement = placementAfter(UNKNOWN, QUICK, 0);
  let tried = 0;
  for (let now = 0; now < 3_600_000; now += 100) {
    if (!isInPlace(placement, now)) {
      for (const event of [SLOW, QUICK]) placement = placementAfter(placement, event, now);
    }
    if (!isInPlace(placement, now)) continue;
    for (const event of times(200, STAYED)) placement = placementAfter(placement, event, now);
    // It waits until what it did is forgotten.
    if (placement.leaves > 0) continue;
    tried++;
    placement = placementAfter(placement, LEFT, now);
  }
  assert.ok(tried < 1_500, `${tried} times in an hour`);
});

test("a policy that is known is not made anew for each evaluation", () => {
  const known = placementAfter(UNKNOWN, QUICK, 0);
  assert.is(placementAfter(known, STAYED, 1), known);
});

test.run();
