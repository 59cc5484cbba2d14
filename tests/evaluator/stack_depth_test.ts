/**
 * How deep guests may call themselves: recursive descent over a request's object, a Rego walk, a parser. The
 * original gives up after 15,600 to 31,700 calls. Where a guest wants more than there is, that ends its own request, and nothing else.
 *
 * Calls that fit, measured (instrumented guests, 64-bit values that each call keeps; Node 26.10, Bun 1.4.5, x86-64):
 *
 * | values | Node, threads of 4 MiB (before) | Node, threads of 16 MiB | Node's main thread | Bun's threads (4 MiB) | Bun's main thread |
 * | ------ | ------------------------------- | ----------------------- | ------------------ | --------------------- | ----------------- |
 * | 0      | 70,900                          | 294,600                 | 17,800             | 7,800 to 24,100       | 9,900 to 31,900   |
 * | 8      | 33,100                          | 137,800                 | 8,300              | 6,200 to 25,900       | 7,900 to 26,000   |
 * | 64     | 6,990                           | 29,000                  | 1,760              | 2,600 to 3,400        | 3,300 to 4,300    |
 *
 * Bun's figures depend on which of its compilers made the code: frames of the quick one take 530 bytes and 17 for each value, of its
 * interpreter 160 and 17. Its threads have 4 MiB: `resourceLimits.stackSizeMb` is not read (oven-sh/bun#31411), neither is the limit
 * of the process (`ulimit -s`), and `BUN_JSC_maxPerThreadStackUsage` can't give more than there is. 15,600 calls with 64 values take
 * 20 MB there in the interpreter. So Bun has a floor of its own here, below what was measured by
 * what host code needs ({@link needStackRoom}).
 */
import process from "node:process";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadGuest } from "../load_guest.ts";
import { RUNTIMES } from "../../evaluator/apply/engine.ts";
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import { inPlace } from "../cli/place.ts";
import { ask, reviewOf } from "../policy_server/requests.ts";
import { serving } from "../policy_server/server_process.ts";
import { deepGuest, deepPolicy } from "./deep_guest.ts";
import { moduleFile } from "./module_file.ts";

const onBun = "bun" in process.versions;
/** Values that each call keeps, and the calls that must fit. */
const ROWS: readonly (readonly [values: number, calls: number])[] = onBun
  ? [[0, 6_500], [8, 5_000], [64, 2_000]]
  : [[0, 31_700], [8, 31_700], [64, 15_600]];
/** More than fits anywhere, with any compiler. */
const TOO_DEEP = 50_000_000;
const EXHAUSTED = /wasm trap: call stack exhausted$/;
const MODES = Object.keys(RUNTIMES) as readonly ExecutionMode[];

const REVIEW = reviewOf({}, { object: { apiVersion: "v1", kind: "Pod", metadata: { name: "a" } } });
const REQUEST = JSON.parse(REVIEW).request;
const SHALLOW = 10;

test("the policy server: deep guests are answered, too deep ones are refused by themselves", () =>
  serving({
    policies: {
      ...Object.fromEntries(ROWS.map(([values, calls]) => [
        `deep-${values}`,
        { module: pathToFileURL(moduleFile(`deep-${values}`, deepPolicy(values, calls))).href },
      ])),
      shallow: { module: pathToFileURL(moduleFile("shallow", deepPolicy(0, SHALLOW))).href },
      endless: { module: pathToFileURL(moduleFile("endless", deepPolicy(8, TOO_DEEP))).href },
    },
    flags: ["--workers", "1", "--policy-timeout", "10"],
  }, async (server) => {
    const judge = async (policy: string) => {
      const answer = await ask(server, { path: `/validate/${policy}`, body: REVIEW });
      assert.is(answer.status, 200, answer.body);
      return JSON.parse(answer.body).response as {
        allowed: boolean;
        status?: { message: string; code: number };
      };
    };
    for (const [values] of ROWS) {
      // As it is compiled at first, and later.
      for (let round = 0; round < 20; round++) {
        assert.equal((await judge(`deep-${values}`)).status, undefined, `${values} values, round ${round}`);
      }
    }
    for (let round = 0; round < 20; round++) {
      const [before, refused, behind] = await Promise.all(["shallow", "endless", "shallow"].map(judge));
      assert.ok(before!.allowed && behind!.allowed);
      assert.is(refused!.allowed, false);
      assert.match(refused!.status!.message, EXHAUSTED);
      assert.is(refused!.status!.code, 500);
    }
  }));

test("reeve: the calling thread's stack is not the end", () =>
  inPlace(async ({ reeve, file }) => {
    file("review.json", REVIEW);
    const run = async (module: string) => {
      const { exit, stdout, stderr } = await reeve("run", module, "-r", "review.json");
      assert.is(exit, 0, stderr);
      return { ...JSON.parse(stdout), logged: stderr.split("Guest module").length - 1 };
    };
    for (const [values, calls] of ROWS) {
      const { allowed, status, logged } = await run(moduleFile("deep", deepPolicy(values, calls)));
      assert.ok(allowed, `${values} values: ${JSON.stringify(status)}`);
      assert.is(logged, 1, "an evaluation that is begun anew says nothing twice");
    }
    const endless = await run(moduleFile("endless", deepPolicy(8, TOO_DEEP)));
    assert.is(endless.allowed, false);
    assert.match(endless.status.message, EXHAUSTED);
    assert.is(endless.logged, 1);
  }));

for (const threads of [1, 0]) {
  test(`the library with threads: ${threads}`, async () => {
    for (const [values, calls] of ROWS) {
      let logged = 0;
      await using policy = await loadGuest(deepPolicy(values, calls), { threads, onLog: () => logged++ });
      const verdict = await policy.validate(REQUEST);
      assert.ok(verdict.allowed, `${values} values: ${verdict.status?.message}`);
      assert.ok((await policy.validate(REQUEST)).allowed);
      assert.is(logged, 2);
    }
    await using endless = await loadGuest(deepPolicy(8, TOO_DEEP), { threads });
    await using shallow = await loadGuest(deepPolicy(8, SHALLOW), { threads });
    for (let round = 0; round < 3; round++) {
      const [refused, good] = await Promise.all([endless.validate(REQUEST), shallow.validate(REQUEST)]);
      assert.match(refused.status?.message ?? "", EXHAUSTED);
      assert.ok(good.allowed);
    }
  });

  for (const mode of MODES) {
    test(`every execution mode: ${mode}, with threads: ${threads}`, async () => {
      const [, calls] = ROWS[2]!;
      await using deep = await loadGuest(deepGuest(mode, 64, calls), { threads });
      const verdict = await deep.validate(REQUEST);
      assert.ok(verdict.allowed, verdict.status?.message);
      const said: string[] = [];
      await using endless = await loadGuest(deepGuest(mode, 64, TOO_DEEP), {
        threads,
        onLog: ({ message }) => said.push(message),
      });
      const refused = await endless.validate(REQUEST);
      assert.is(refused.allowed, false);
      // A WASI guest's verdict holds what the guest itself wrote; the trap is logged.
      assert.match(mode === "wasi" ? said.join("\n") : refused.status?.message ?? "", /call stack exhausted/);
    });
  }
}

const HOST_CALL = `(drop (call $host_call (i32.const 1500) (i32.const 10) (i32.const 1510) (i32.const 3)
  (i32.const 1513) (i32.const 21) (i32.const 1534) (i32.const 1)))`;
const NAMES = `(data (i32.const 1500) "kubewardennetv1/dns_lookup_host1")`;

/** What a host was asked by a guest that asks once, as deep as it is told, or before it goes there. */
async function askedBy(depth: number, where: "first" | "bottom", threads: number) {
  let asked = 0;
  const onHostCall = () => {
    asked++;
    return { ok: true as const, payload: new Uint8Array(0) };
  };
  const module = deepPolicy(64, depth, { [where]: HOST_CALL, declarations: NAMES });
  await using policy = await loadGuest(module, { threads, onHostCall });
  const { allowed, status } = await policy.validate(REQUEST);
  return { asked, allowed, message: status?.message };
}

test("host calls from deep in the stack are answered, and none is made a second time", async () => {
  const [, calls] = ROWS[2]!;
  for (const threads of [0, 1]) {
    for (const depth of [SHALLOW, calls]) {
      const answered = { asked: 1, allowed: true, message: undefined };
      assert.equal(await askedBy(depth, "bottom", threads), answered, `${depth} calls, threads: ${threads}`);
    }
    const { asked, allowed, message } = await askedBy(TOO_DEEP, "first", threads);
    assert.equal({ asked, allowed }, { asked: 1, allowed: false });
    assert.match(message ?? "", EXHAUSTED);
    assert.is((await askedBy(TOO_DEEP, "bottom", threads)).asked, 0);
  }
});

test.run();
