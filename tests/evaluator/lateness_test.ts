// How late guests are stopped: one hostile guest for each family of instructions. What counts is the processor's time, so that a
// busy machine does not fail the test: a guest that runs on past its deadline uses it.
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HOSTILE_GUESTS, type HostileGuest, hostileText } from "../../bench/types/hostile_guests.ts";
import { InlineEvaluator } from "../../evaluator/apply/inline.ts";
import { wholeRequest } from "../../evaluator/apply/pool.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { TEXT } from "../../evaluator/types/evaluation.ts";
import { evaluation } from "./evaluation.ts";
import { MORE_FEATURES, policyText, wasm } from "./wasm_text.ts";

const LIMIT_MS = 300;
/** What the issue allows. */
const LATE_MS = 100;
/** What it takes to make the guest, and the grain of the processor's clock. */
const ELSE_MS = 60;
const MEMORY_MIB = 300;
const encoder = new TextEncoder();
const INTERRUPTED = { message: TEXT.interrupted, code: 500 };

const policyOf = (guest: HostileGuest): Uint8Array =>
  wasm(policyText("(call $hostile)", hostileText(guest), guest.pages), MORE_FEATURES);

/** Milliseconds that this thread has used a processor. */
function used(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

const request = () => wholeRequest({ json: encoder.encode("{}"), object: [0, 2] });

for (const [name, guest] of Object.entries(HOSTILE_GUESTS)) {
  test(`in the calling thread: ${name}`, async () => {
    const evaluator = new InlineEvaluator();
    const module = evaluator.addModule(await prepareModule(policyOf(guest), { memoryMib: MEMORY_MIB }));
    const policy = evaluator.addPolicy(
      { id: name, module, settings: encoder.encode("{}"), limitMs: LIMIT_MS },
      () => ({ ok: false, error: "no host calls" }),
    );
    // Makes the guest, which is not under the deadline. What it runs in for the first time is compiled then.
    assert.is((await evaluator.validateSettings(policy)).kind, "settings");
    const before = used();
    const outcome = await evaluator.validate(policy, request());
    const took = used() - before;
    assert.is(outcome.kind, "verdict", JSON.stringify(outcome));
    assert.equal(outcome.kind === "verdict" && outcome.verdict.status, INTERRUPTED);
    const late = took - LIMIT_MS;
    assert.ok(late <= LATE_MS + ELSE_MS, `${late.toFixed(0)} ms over the limit of ${LIMIT_MS} ms`);
    await evaluator.close();
  });
}

test("in the pool: each is stopped by its own payments, and the other policies are served meanwhile", () =>
  evaluation(async ({ load, threadErrors }) => {
    const good = await load("good", { wasm: wasm(policyText("")) });
    assert.ok((await good.judge("{}")).allowed);
    for (const [name, guest] of Object.entries(HOSTILE_GUESTS)) {
      const hostile = await load(name, { wasm: policyOf(guest), limitMs: LIMIT_MS, memoryMib: MEMORY_MIB });
      const verdict = hostile.judge("{}");
      for (let served = 0; served < 5; served++) assert.ok((await good.judge("{}")).allowed, name);
      assert.equal((await verdict).status, INTERRUPTED, name);
      assert.equal(threadErrors, [], name);
    }
  }));

/** Answers at once, but turns hostile when its request is longer than `{}`. */
const turning = (guest: HostileGuest): Uint8Array =>
  wasm(
    policyText(
      "(if (i32.gt_u (local.get $length) (i32.const 40)) (then (call $hostile)))",
      hostileText(guest),
      guest.pages,
    ),
    MORE_FEATURES,
  );

test("a policy that was quick and turns hostile holds up other policies for its time slice only", () =>
  evaluation(async ({ load, threadErrors }) => {
    const good = await load("good", { wasm: wasm(policyText("")) });
    assert.ok((await good.judge("{}")).allowed);
    for (
      const name of [
        "table.fill of 255 elements",
        "memory.fill of 256 MiB",
        "chained loads",
        "throw and catch",
      ]
    ) {
      const policy = await load(name, {
        wasm: turning(HOSTILE_GUESTS[name]!),
        limitMs: 2_000,
        memoryMib: MEMORY_MIB,
      });
      for (let proof = 0; proof < 5; proof++) assert.ok((await policy.judge("{}")).allowed, name);
      let stopped = false;
      const verdict = policy.judge(JSON.stringify({ turn: "x".repeat(100) })).finally(() => stopped = true);
      // All of them are sent at once: some share the hostile one's thread until it gives them back.
      const others = await Promise.all(Array.from({ length: 200 }, () => good.judge("{}")));
      assert.not.ok(stopped, `${name}: the other policy's requests waited for it`);
      assert.ok(others.every(({ allowed }) => allowed));
      assert.equal((await verdict).status, INTERRUPTED, name);
    }
    assert.equal(threadErrors, []);
  }, { threads: 2 }));

test.run();
