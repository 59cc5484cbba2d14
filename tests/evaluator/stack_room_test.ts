// A guest that leaves no stack to the host's code. What that code was about to do then must not be done by half: the messages
// that a thread receives while a guest runs hold the requests of other policies.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { evaluation } from "./evaluation.ts";
import { policyText, wasm } from "./wasm_text.ts";

/** Calls `action` as many calls deep as the request's `depth` says. */
const deep = (action: string): Uint8Array =>
  wasm(policyText(
    "(call $request (i32.const 900) (i32.const 2000)) (call $deep (call $number (i32.const 2021)))",
    `(data (i32.const 200) "kubewardennone")
    (func $action ${action})
    (func $deep (param $left i32)
      (if (local.get $left)
        (then (call $deep (i32.sub (local.get $left) (i32.const 1))))
        (else (call $action)))
      (i32.store (i32.const 1000) (local.get $left)))
    (func $number (param $at i32) (result i32)
      (local $number i32) (local $digit i32)
      (loop $next
        (local.set $number
          (i32.add
            (i32.mul (local.get $number) (i32.const 10))
            (i32.sub (i32.load8_u (i32.add (local.get $at) (local.get $digit))) (i32.const 48))))
        (local.set $digit (i32.add (local.get $digit) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $digit) (i32.const 8))))
      (local.get $number))`,
  ));

const HOST_CALL = `(drop (call $host_call (i32.const 200) (i32.const 10) (i32.const 210) (i32.const 4)
  (i32.const 210) (i32.const 4) (i32.const 0) (i32.const 4)))`;

const request = (depth: number) => JSON.stringify({ depth: String(depth).padStart(8, "0") });
const exhausted = /call stack exhausted$/;

/** What a guest has the host do at the end of its stack. */
const ACTIONS: readonly (readonly [what: string, action: string])[] = [
  ["a host call", HOST_CALL],
  ["a log entry", "(call $log (i32.const 200) (i32.const 10))"],
  ["random bytes", "(drop (call $random (i32.const 3000) (i32.const 64)))"],
  [
    "output",
    "(i32.store (i32.const 300) (i32.const 200)) (i32.store (i32.const 304) (i32.const 10)) (drop (call $write (i32.const 1) (i32.const 300) (i32.const 1) (i32.const 308)))",
  ],
  ["a response", "(call $respond (i32.const 64) (i32.const 17))"],
  ["more memory", "(drop (memory.grow (i32.const 1)))"],
  // Only the guest's own code, whose time is looked at by a host function.
  [
    "time",
    "(loop $next (i32.store (i32.const 1000) (i32.add (i32.load (i32.const 1000)) (i32.const 1))) (br_if $next (i32.lt_u (i32.load (i32.const 1000)) (i32.const 100000))))",
  ],
];

for (const [what, action] of ACTIONS) {
  test(`at the end of the stack no request of another policy is lost: ${what}`, () =>
    evaluation(async ({ load, threadErrors }) => {
      const good = await load("good", { wasm: wasm(policyText("")) });
      const bad = await load("bad", { wasm: deep(action), limitMs: 500 });
      const overflows = async (depth: number) =>
        exhausted.test((await bad.judge(request(depth))).status?.message ?? "");
      // So that its code is compiled as it will be.
      for (let round = 0; round < 30; round++) await bad.judge(request(20_000));
      const edge = async () => {
        let most = 0;
        let least = 8_000_000;
        while (least - most > 1) {
          const depth = (most + least) >> 1;
          if (await overflows(depth)) least = depth;
          else most = depth;
        }
        return most;
      };
      // The edge moves while the guest's code and the host's become smaller in the compilers: it is found when two searches agree, and
      // looked for again when it has moved beyond what was tried.
      const settled = async () => {
        let most = await edge();
        for (let again = await edge(); Math.abs(again - most) > 10; again = await edge()) most = again;
        return most;
      };
      let overflown = 0;
      for (let round = 0; overflown === 0 && round < 5; round++) {
        const most = await settled();
        for (let depth = most - 20; depth < most + 150; depth++) {
          // All of them are sent at once: some wait in the thread that the bad one runs in.
          const before = Array.from({ length: 3 }, () => good.outcome("{}"));
          const judged = overflows(depth);
          const behind = Array.from({ length: 20 }, () => good.outcome("{}"));
          for (const outcome of await Promise.all([...before, ...behind])) {
            assert.ok(outcome.kind === "verdict" && outcome.verdict.allowed, JSON.stringify(outcome));
          }
          if (await judged) overflown++;
        }
      }
      assert.ok(overflown > 0);
      assert.equal(threadErrors, []);
    }));
}

test.run();
