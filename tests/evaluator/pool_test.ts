// Threads and the tasks they share: nothing is lost, and nobody waits behind a policy that takes its time.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { OverloadedError } from "../../evaluator/apply/pool.ts";
import { TEXT } from "../../evaluator/types/evaluation.ts";
import { evaluation, testPolicy, told } from "./evaluation.ts";
import { policyText, wasm } from "./wasm_text.ts";

const LOOP = testPolicy("loop/policy.wasm");
const GOOD = wasm(policyText(""));

test("tasks that stand before and behind a slow one in the same message all get their outcome", () =>
  evaluation(async ({ load, threadErrors }) => {
    const loops = await load("loop", { wasm: LOOP, limitMs: 200 });
    // With a limit of its own, so that a busy machine stops none of these.
    const good = await load("good", { wasm: LOOP, limitMs: 60_000 });
    assert.ok((await good.judge(told({}))).allowed);
    for (let round = 0; round < 3; round++) {
      const told_ = ["", "", "tight", "", "tight", ""].map((way) =>
        (way === "" ? good : loops).judge(told({ do: way }))
      );
      const verdicts = await Promise.all(told_);
      assert.equal(verdicts.map(({ allowed }) => allowed), [true, true, false, true, false, true]);
    }
    assert.equal(threadErrors, []);
  }));

// However many requests of a policy come at once, and however quick it has been so far, it never has the last thread. It loops
// without a limit: who had to wait for it would wait for ever.
for (const proof of [0, 1, 100]) {
  test(`while a policy loops on all threads it may have, others are answered: ${proof} good requests before`, () =>
    evaluation(async ({ load, threadErrors }) => {
      const loops = await load("loop", { wasm: LOOP, limitMs: Infinity });
      const good = await load("good", { wasm: GOOD });
      for (let asked = 0; asked < proof; asked++) assert.ok((await loops.judge(told({}))).allowed);
      const abort = new AbortController();
      const endless = Array.from({ length: 12 }, () => loops.outcome(told({ do: "busy" }), abort));
      for (let answered = 0; answered < 1_000;) {
        const verdicts = await Promise.all(Array.from({ length: 20 }, () => good.judge("{}")));
        assert.ok(verdicts.every(({ allowed }) => allowed));
        answered += verdicts.length;
      }
      abort.abort();
      const ends = await Promise.allSettled(endless);
      assert.ok(ends.every(({ status }) => status === "rejected"), "all of them were under way until now");
      assert.equal(threadErrors, []);
    }, { threads: 2 }));
}

// A tenant may have several policies. What all threads are busy with is no reason for others to wait.
test("while several policies loop, quick ones and heavy ones are answered", () =>
  evaluation(async ({ load, threadErrors }) => {
    const hostile = await Promise.all(
      ["first", "second", "third"].map((name) => load(name, { wasm: LOOP, limitMs: Infinity })),
    );
    const good = await load("good", { wasm: GOOD });
    const heavy = await load("heavy", { wasm: testPolicy("busy-sleep/policy.wasm") });
    for (const policy of [...hostile, good]) assert.ok((await policy.judge(told({}))).allowed);
    // Until it counts as slow.
    for (let proof = 0; proof < 10; proof++) assert.ok((await heavy.judge(told({ ms: "30" }))).allowed);
    const abort = new AbortController();
    const endless = hostile.flatMap((policy) =>
      Array.from({ length: 4 }, () => policy.outcome(told({ do: "tight" }), abort))
    );
    for (let round = 0; round < 20; round++) {
      const verdicts = await Promise.all([
        ...Array.from({ length: 20 }, () => good.judge("{}")),
        heavy.judge(told({ ms: "30" })),
      ]);
      assert.ok(verdicts.every(({ allowed }) => allowed));
    }
    abort.abort();
    const ends = await Promise.allSettled(endless);
    assert.ok(ends.every(({ status }) => status === "rejected"), "all of them were under way until now");
    assert.equal(threadErrors, []);
  }, { threads: 2 }));

// Issue 16, fault 4: the first of the tasks without an outcome was failed as the one that the thread died of.
for (const way of ["END THE THREAD", "GET STUCK"]) {
  test(`requests that were judged before a thread's last one get their answers: ${way}`, () =>
    evaluation(async ({ load, threadErrors }) => {
      const policy = await load("good", { wasm: GOOD, limitMs: 100 });
      // Proven quick: what is sent in one turn goes to one thread, whose outcomes wait for each other.
      for (let proof = 0; proof < 50; proof++) assert.ok((await policy.judge("{}")).allowed);
      const outcomes = await Promise.all(
        ["{}", "{}", "{}", JSON.stringify(way), "{}", "{}"].map((request) => policy.outcome(request)),
      );
      assert.equal(outcomes.map(({ kind }) => kind), [
        "verdict",
        "verdict",
        "verdict",
        "error",
        "verdict",
        "verdict",
      ]);
      assert.is(threadErrors.length, 1);
    }, { worker: new URL("./unruly_worker.ts", import.meta.url) }));
}

// Without a limit nothing but the thread's end tells of it. More often than there may be threads: each leaves room for the next.
test("a thread that exits is noticed by its exit, and replaced", () =>
  evaluation(async ({ load, threadErrors }) => {
    const policy = await load("good", { wasm: GOOD, limitMs: Infinity });
    const exits = 10;
    for (let exit = 0; exit < exits; exit++) {
      const outcomes = await Promise.all(
        ["{}", '"END THE THREAD"', "{}"].map((request) => policy.outcome(request)),
      );
      assert.equal(outcomes.map(({ kind }) => kind), ["verdict", "error", "verdict"]);
    }
    // The end of its port and the thread's own end are two events, and either may come first.
    assert.is(threadErrors.length, exits);
    for (const error of threadErrors) {
      assert.match(error, /^an evaluating thread was replaced: it (exited|ended with exit code 1)$/);
    }
  }, { worker: new URL("./unruly_worker.ts", import.meta.url) }));

test("more than may wait is refused at once, by number and by size", () =>
  evaluation(async ({ load }) => {
    const policy = await load("loop", { wasm: LOOP });
    assert.ok((await policy.judge(told({}))).allowed);
    const refusal = (request: string) => policy.outcome(request).then(({ kind }) => kind, (error) => error);
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => refusal(told({}))));
    assert.is(outcomes.filter((outcome) => outcome === "verdict").length, 5);
    assert.is(outcomes.filter((outcome) => outcome instanceof OverloadedError).length, 15);
    assert.instance(await refusal(told({ padding: "x".repeat(1000) })), OverloadedError);
    assert.is(await refusal(told({})), "verdict");
  }, { maxTasks: 5, maxBytes: 1000 }));

test("policies and modules that are removed are forgotten once their tasks are done", () =>
  evaluation(async ({ pool, load }) => {
    const first = await load("first", { wasm: LOOP, limitMs: 300 });
    const running = first.judge(told({ do: "tight" }));
    pool.remove([2], [1]); // the numbers that `load` was given: module, then policy
    assert.is((await running).status?.message, TEXT.interrupted);
    const outcome = await first.outcome(told({}));
    assert.equal(outcome, { kind: "error", message: "the policy was removed" });
  }));

test("a closed pool answers what it was asked, and refuses what comes then", () =>
  evaluation(async ({ pool, load }) => {
    const policy = await load("loop", { wasm: LOOP, limitMs: 60_000 });
    const running = policy.outcome(told({ do: "tight" }));
    await new Promise((resolve) => setImmediate(resolve));
    await pool.close();
    assert.equal(await running, { kind: "error", message: "the evaluator was closed" });
    let refused = "";
    await policy.outcome("{}").catch((error: Error) => refused = error.message);
    assert.is(refused, "the evaluator was closed");
  }));

test.run();
