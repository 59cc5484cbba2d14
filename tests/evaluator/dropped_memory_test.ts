// Issue 13: after an attack the resident set returns. A guest that grew its memory is dropped, and the memory is given back while
// the server goes on, on both runtimes.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { attackPolicies, policyOf } from "../../bench/apply/attack_modules.ts";
import { attackReview, ATTACKS, INTERRUPTED, ORDINARY_REVIEW } from "../../bench/types/attacks.ts";
import { evaluation } from "./evaluation.ts";

const LIMIT_MIB = 256;
/** Half of one guest's memory: what a runtime's own garbage may take. */
const MAX_MORE_MB = LIMIT_MIB / 2;
/** Far more than it takes. */
const LATEST_MS = 60_000;

const residentMb = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]) / 1024;
const request = (review: string) => JSON.stringify(JSON.parse(review).request);

const attacks = ATTACKS.filter(({ family }) =>
  family === "grows to the limit" || family === "traps with all of its memory"
);

for (const attack of attacks) {
  test(`the memory is given back: ${attack.name}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "dropped-"));
    const module = readFileSync(attackPolicies([attack], folder)[policyOf(attack)]!.module);
    rmSync(folder, { recursive: true });
    return evaluation(async ({ load, threadErrors }) => {
      const policy = await load("hostile", { wasm: module, memoryMib: LIMIT_MIB, raw: false });
      assert.ok((await policy.judge(request(ORDINARY_REVIEW))).allowed);
      const before = residentMb();
      for (let round = 0; round < 2; round++) {
        const verdicts = await Promise.all(
          Array.from({ length: 4 }, () => policy.judge(request(attackReview(attack)))),
        );
        for (const { allowed, status } of verdicts) {
          const message = status?.message ?? "";
          const right = attack.refused
            ? !allowed && attack.refused.test(message)
            : allowed || INTERRUPTED.test(message);
          assert.ok(right, JSON.stringify({ allowed, status }));
        }
      }
      const until = performance.now() + LATEST_MS;
      while (residentMb() > before + MAX_MORE_MB && performance.now() < until) {
        assert.ok((await policy.judge(request(ORDINARY_REVIEW))).allowed);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const after = residentMb();
      assert.ok(
        after <= before + MAX_MORE_MB,
        `${before.toFixed(0)} MB before, ${after.toFixed(0)} MB after`,
      );
      assert.equal(threadErrors, []);
    }, { threads: 2 });
  });
}

// A thread that was started because others were held up ends its work, and may be used again.
test("a thread can be confined again", async () => {
  const worker = new Worker(new URL("./confined_twice.ts", import.meta.url));
  const [message] = await once(worker, "message");
  assert.is(message, "confined");
  await worker.terminate();
});

test.run();
