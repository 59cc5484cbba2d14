// The fuzzer itself: it sees each kind of fault, makes inputs small, and gives the same inputs for the same seed.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { endWatch, execute, pollutedPrototypes, rememberPrototypes } from "./execute.ts";
import { minimise } from "./minimise.ts";
import { mutateBytes, mutateJson, mutateText } from "./mutate.ts";
import { randomOf } from "./random.ts";
import { inputOf } from "./session.ts";
import { elapsedMs, stopwatch } from "./stopwatch.ts";
import { Finding, type Target } from "./target.ts";
import { loadTarget, targetNames } from "./targets.ts";

class Declared extends Error {}

const target = (run: Target["run"], more: Partial<Target> = {}): Target => ({
  name: "test",
  seeds: () => [],
  generate: (random) => random.bytes(8),
  expected: [Declared],
  run,
  ...more,
});
const INPUT = new TextEncoder().encode("abc");
const kindOf = async (run: Target["run"], more?: Partial<Target>) => {
  const outcome = await execute(target(run, more), INPUT);
  return typeof outcome === "object" ? outcome.kind : outcome;
};
const fail = (error: Error) => () => {
  throw error;
};

test("what a run comes to is told apart", async () => {
  assert.is(await kindOf(() => {}), "accepted");
  assert.is(await kindOf(fail(new Declared("no"))), "refused");
  assert.is(await kindOf(() => Promise.reject(new Declared("no"))), "refused");
  assert.is(await kindOf(fail(new TypeError("x is undefined"))), "crash");
  assert.is(await kindOf(() => Promise.reject(new RangeError("Maximum call stack size exceeded"))), "crash");
  assert.is(await kindOf(fail(new Finding("difference", "a is not b"))), "difference");
  assert.is(await kindOf(fail(new Declared("é".repeat(3_000)))), "long error");
});

test("a run that is late each time is a fault, one that was late once is not", async () => {
  const busy = (milliseconds: number) => {
    const started = stopwatch();
    while (elapsedMs(started) < milliseconds);
  };
  assert.is(await kindOf(() => busy(30), { limitMs: 20 }), "late");
  let runs = 0;
  assert.is(await kindOf(() => busy(runs++ === 0 ? 250 : 0), { limitMs: 200 }), "accepted");
});

test("a promise that never settles is a fault", async () => {
  assert.is(await kindOf(() => new Promise(() => {})), "hang");
});

test("a member that every object inherits is a fault, and is taken away again", async () => {
  const polluting = () => {
    (Object.prototype as Record<string, unknown>)["polluted"] = 1;
  };
  assert.is(await kindOf(polluting), "pollution");
  assert.not("polluted" in {});
});

test("a changed method of a prototype is seen", () => {
  rememberPrototypes();
  assert.equal(pollutedPrototypes(), []);
  Object.defineProperty(Array.prototype, "fuzzed", { value: 1, configurable: true });
  assert.equal(pollutedPrototypes(), ["Array"]);
  delete (Array.prototype as unknown as Record<string, unknown>)["fuzzed"];
});

test("an input that shows a fault is made small", async () => {
  const fragile = target((input) => {
    const text = new TextDecoder().decode(input);
    if (text.includes("<") && text.includes(">")) throw new TypeError("brackets");
  });
  const input = new TextEncoder().encode(`${"x".repeat(500)}<${"y".repeat(300)}>${"z".repeat(200)}`);
  const outcome = await execute(fragile, input);
  assert.type(outcome, "object");
  const small = await minimise(fragile, input, (outcome as { signature: string }).signature);
  assert.is(new TextDecoder().decode(small), "<>");
});

for (const name of targetNames()) {
  const one = await loadTarget(name);
  const reason = await one.setUp?.();
  if (reason) {
    test.skip(`${name}: ${reason}`, () => {});
    continue;
  }
  test(`${name}: the same seed gives the same inputs, another seed others`, () => {
    assert.is(one.name, name, "a target is named as its file");
    const seeds = one.seeds();
    const inputs = (seed: number) =>
      Array.from(
        { length: 20 },
        (_, run) => Buffer.from(inputOf(one, seeds, seed, seeds.length + run)).toString("base64"),
      );
    assert.equal(inputs(1), inputs(1));
    assert.not.equal(inputs(1), inputs(2));
  });
}

test("mutations change and stay bounded", () => {
  const seeds = ['{"a":[1,{"b":"c"}],"d":null}', "a: 1\nb:\n  - c\n"].map((text) =>
    new TextEncoder().encode(text)
  );
  const seen = new Set<string>();
  for (let run = 0; run < 2_000; run++) {
    const random = randomOf(5, run);
    for (
      const made of [
        mutateBytes(random, seeds[0]!, seeds),
        mutateJson(random, seeds, ["x"]),
        mutateText(random, seeds, ["x"]),
      ]
    ) {
      assert.ok(made.length <= 3 * 65_536, `${made.length} bytes`);
      seen.add(Buffer.from(made).toString("base64"));
    }
  }
  assert.ok(seen.size > 3_000, `${seen.size} different inputs of 6,000`);
});

test.after(endWatch);
test.run();
