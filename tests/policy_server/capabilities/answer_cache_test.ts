import { test } from "uvu";
import * as assert from "uvu/assert";
import { answerCache } from "../../../policy_server/apply/capabilities/answer_cache.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (answer: Uint8Array) => new TextDecoder().decode(answer);

function counting(limits: { ttlMs?: number; maxEntries?: number; maxBytes?: number } = {}) {
  const clock = { now: 0 };
  let calls = 0;
  const cache = answerCache(
    { ttlMs: 100, maxEntries: 3, maxBytes: 1_000, ...limits },
    () => clock.now,
  );
  const ask = async (key: string) => text(await cache(key, () => Promise.resolve(bytes(`${key}${++calls}`))));
  return { clock, cache, ask };
}

test("an answer is given again until its time is up", async () => {
  const { clock, ask } = counting();
  assert.is(await ask("a"), "a1");
  clock.now = 99;
  assert.is(await ask("a"), "a1");
  clock.now = 100;
  assert.is(await ask("a"), "a2");
});

test("who asks for the same at the same time shares one computation, others don't wait for it", async () => {
  const { cache, ask } = counting();
  let finish = (_: Uint8Array): void => {};
  let computations = 0;
  const slow = () => {
    computations++;
    return new Promise<Uint8Array>((resolve) => finish = resolve);
  };
  const both = [cache("slow", slow), cache("slow", slow)];
  assert.is(await ask("other"), "other1");
  finish(bytes("done"));
  assert.equal((await Promise.all(both)).map(text), ["done", "done"]);
  assert.is(computations, 1);
});

test("a failure is told to all who wait, and not kept", async () => {
  const { cache, ask } = counting();
  const fail = () => Promise.reject(new Error("no"));
  const outcomes = await Promise.allSettled([cache("a", fail), cache("a", fail)]);
  assert.equal(outcomes.map(({ status }) => status), ["rejected", "rejected"]);
  assert.is(await ask("a"), "a1");
});

test("the oldest go when there are too many, or when they are too large", async () => {
  const { ask } = counting();
  for (const key of ["a", "b", "c", "d"]) await ask(key);
  assert.is(await ask("d"), "d4");
  assert.is(await ask("a"), "a5");
  const small = counting({ maxBytes: 20 });
  await small.ask("a".repeat(5));
  await small.ask("b".repeat(5));
  assert.is(await small.ask("bbbbb"), "bbbbb2");
  assert.is(await small.ask("aaaaa"), "aaaaa3");
  // What does not fit at all is given, but not kept.
  assert.is(await small.ask("c".repeat(50)), `${"c".repeat(50)}4`);
  assert.is(await small.ask("c".repeat(50)), `${"c".repeat(50)}5`);
});

test.run();
