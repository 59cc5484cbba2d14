// Issue 4: "The deadlines and the isolation of `Serve real Wasm policies over HTTPS` hold in every mode."
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RUNTIMES } from "../../evaluator/apply/engine.ts";
import { TEXT } from "../../evaluator/types/evaluation.ts";
import { evaluation } from "./evaluation.ts";
import { STATEFUL_MODES, statefulGuest } from "./stateful_guests.ts";

const REGO = ["opa", "gatekeeper"];
const request = (word: string) => JSON.stringify({ uid: "u", object: { word } });

test("there is a guest for every mode that can be run", () => {
  assert.equal(Object.keys(RUNTIMES).sort(), STATEFUL_MODES.toSorted());
});

for (const mode of STATEFUL_MODES) {
  test(`${mode}: no call sees what another one left, whatever ended that one`, () =>
    evaluation(async ({ load, threadErrors }) => {
      const wasm = statefulGuest(mode);
      const policy = await load("stateful", { wasm, limitMs: 300, raw: false });
      // Two policies of one module share its guest, too.
      const other = await load("other", { wasm, limitMs: 10_000, raw: false });
      const clean = async () => {
        for (const asked of [policy, other, policy]) {
          const verdict = await asked.judge(request("a"));
          assert.ok(verdict.allowed, JSON.stringify(verdict));
        }
      };
      await clean();
      for (const word of ["TRAP", "SPIN", "TRAP", "SPIN"]) {
        const { allowed, status } = await policy.judge(request(word));
        assert.not.ok(allowed);
        assert.is(status?.code, 500);
        const interrupted = REGO.includes(mode) ? TEXT.regoInterrupted : TEXT.interrupted;
        if (word === "SPIN") assert.is(status?.message, interrupted);
        await clean();
      }
      assert.equal(threadErrors, []);
    }));

  test(`${mode}: while it loops on all threads it may have, other policies are answered`, () =>
    evaluation(async ({ load, threadErrors }) => {
      const spinning = await load("spinning", { wasm: statefulGuest(mode), limitMs: Infinity, raw: false });
      const others = await Promise.all(
        STATEFUL_MODES.map((other) => load(other, { wasm: statefulGuest(other), raw: false })),
      );
      assert.ok((await spinning.judge(request("a"))).allowed);
      const abort = new AbortController();
      const endless = Array.from({ length: 3 }, () => spinning.outcome(request("SPIN"), abort));
      for (let round = 0; round < 2; round++) {
        for (const verdict of await Promise.all(others.map((other) => other.judge(request("a"))))) {
          assert.ok(verdict.allowed, JSON.stringify(verdict));
        }
      }
      // Without a limit: whoever had to wait for it would wait for ever.
      abort.abort();
      const ends = await Promise.allSettled(endless);
      assert.ok(ends.every(({ status }) => status === "rejected"));
      assert.equal(threadErrors, []);
    }, { threads: 2 }));
}

test.run();
