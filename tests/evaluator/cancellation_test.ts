// Issue 16, fault 5: work for clients that have gone. What waits is dropped, what runs is stopped wherever it is, and nothing of it
// is left behind. Policies have no limit here: what is not cancelled never ends.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { evaluation, type PolicyUnderTest, testPolicy, told } from "./evaluation.ts";
import { STATEFUL_MODES, statefulGuest } from "./stateful_guests.ts";
import { policyText, wasm } from "./wasm_text.ts";

const NO_LIMIT = Infinity;
/** So that what hangs ends as a failure. */
const HANGS_MS = 120_000;

async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not after ${HANGS_MS} ms`)), HANGS_MS);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** How many of the evaluations were cancelled for the reason given. */
const cancelled = async (evaluations: readonly Promise<unknown>[], reason: unknown): Promise<number> =>
  (await Promise.allSettled(evaluations))
    .filter((result) => result.status === "rejected" && result.reason === reason).length;

const request = (word: string) => JSON.stringify({ uid: "u", object: { word } });

for (const mode of STATEFUL_MODES) {
  test(`${mode}: what runs is stopped, and the next call sees nothing of it`, () =>
    evaluation(async ({ load, threadErrors }) => {
      const policy = await load("stateful", { wasm: statefulGuest(mode), limitMs: NO_LIMIT, raw: false });
      const other = await load("other", { wasm: wasm(policyText("")) });
      for (const warm of [policy, other]) assert.ok((await warm.judge(request("a"))).allowed);
      for (let round = 0; round < 3; round++) {
        const abort = new AbortController();
        const spinning = policy.outcome(request("SPIN"), abort);
        // Sent after it in the same turn: when this is answered, the other one runs.
        assert.ok((await other.judge("{}")).allowed);
        const reason = new Error(`client ${round} has gone`);
        abort.abort(reason);
        assert.is(await cancelled([spinning], reason), 1);
        // The policy may not take another thread meanwhile: this is answered by the one that ran the first.
        const verdict = await inTime("the next call", policy.judge(request("a")));
        assert.ok(verdict.allowed, JSON.stringify(verdict));
      }
      assert.equal(threadErrors, []);
    }));
}

const regoRequest = (builtin: string) =>
  JSON.stringify({ uid: "u", object: { metadata: { annotations: { do: builtin } } } });

/** Policies by where they are when they are stopped, each with a request that it is never done with and one that it answers. */
const PLACES: Readonly<
  Record<string, PolicyUnderTest & { readonly endless: string; readonly quick?: string }>
> = {
  "in a start function": { wasm: testPolicy("loop/start.wasm"), endless: "{}" },
  "in a function that catches traps' exceptions": {
    wasm: testPolicy("loop/catch.wasm"),
    endless: "{}",
  },
  "asleep": {
    wasm: testPolicy("busy-sleep/policy.wasm"),
    endless: told({ do: "sleep", ms: "100000000" }),
    quick: told({ ms: "0" }),
  },
  "in short calls of the host": {
    wasm: testPolicy("busy-sleep/policy.wasm"),
    endless: told({ do: "busy", ms: "100000000" }),
    quick: told({ ms: "0" }),
  },
  "in a builtin of Rego": {
    wasm: testPolicy("rego-hostile/policy.wasm"),
    memoryMib: 256,
    endless: regoRequest("yaml.unmarshal"),
    quick: regoRequest(""),
  },
};

for (const [place, { endless, quick, ...setting }] of Object.entries(PLACES)) {
  test(`what runs is stopped: ${place}`, () =>
    evaluation(async ({ load, threadErrors }) => {
      const policy = await load("endless", { ...setting, limitMs: NO_LIMIT });
      const other = await load("other", { wasm: wasm(policyText("")) });
      assert.ok((await other.judge("{}")).allowed);
      if (quick !== undefined) assert.ok((await policy.judge(quick)).allowed);
      for (let round = 0; round < 2; round++) {
        const abort = new AbortController();
        const running = policy.outcome(endless, abort);
        assert.ok((await other.judge("{}")).allowed);
        abort.abort();
        assert.is(await cancelled([running], abort.signal.reason), 1);
        if (quick !== undefined) assert.ok((await inTime("the next call", policy.judge(quick))).allowed);
      }
      assert.equal(threadErrors, []);
    }));
}

test("what waits for the answer to a host call is stopped", () => {
  let called = () => {};
  const answers = { "net/v1/dns_lookup_host": () => (called(), new Promise<Uint8Array>(() => {})) };
  return evaluation(async ({ load, threadErrors }) => {
    const policy = await load("caller", {
      wasm: testPolicy("host-caller/policy.wasm"),
      limitMs: NO_LIMIT,
      capabilities: ["*"],
      answers,
    });
    assert.ok((await policy.judge("{}")).allowed);
    for (let round = 0; round < 3; round++) {
      const abort = new AbortController();
      const begun = new Promise<void>((resolve) => called = resolve);
      const hostCall = { namespace: "net", operation: "v1/dns_lookup_host", payload: "kubewarden.io" };
      const waiting = policy.outcome(JSON.stringify({ uid: "u", hostCall }), abort);
      await begun;
      abort.abort();
      assert.is(await cancelled([waiting], abort.signal.reason), 1);
      assert.ok((await inTime("the next call", policy.judge("{}"))).allowed);
    }
    assert.equal(threadErrors, []);
  });
});

test("after 60 clients gave up on a slow policy a fresh request waits for nothing but what runs", () =>
  evaluation(async ({ load, logged, threadErrors }) => {
    // Logs as it begins, so that it is seen which requests it was given.
    const text = policyText(
      `(call $log (i32.const 200) (i32.const 5))
       (if (i32.gt_u (local.get $length) (i32.const 60)) (then (loop $forever (br $forever))))`,
      `(data (i32.const 200) "begun")`,
    );
    const policy = await load("slow", { wasm: wasm(text), limitMs: NO_LIMIT });
    const other = await load("other", { wasm: wasm(policyText("")) });
    for (const warm of [policy, other]) assert.ok((await warm.judge("{}")).allowed);
    const long = JSON.stringify({ padding: "x".repeat(100) });
    const clients = Array.from({ length: 60 }, () => new AbortController());
    const left = new Error("the client has closed the connection");
    const evaluations = clients.map((client) => policy.outcome(long, client));
    assert.ok((await other.judge("{}")).allowed);
    for (const client of clients) client.abort(left);
    const fresh = policy.judge("{}");
    assert.is(await cancelled(evaluations, left), 60);
    assert.ok((await inTime("the fresh request", fresh)).allowed);
    const begun = logged.filter(({ policy }) => policy === "slow").length;
    assert.ok(begun <= 2 + 2, `${begun - 2} of 60 were begun, by 2 threads`);
    assert.equal(threadErrors, []);
  }, { threads: 2 }));

test("what has not begun is not begun, and what is over stays as it is", () =>
  evaluation(async ({ load, logged, threadErrors }) => {
    const policy = await load("logs", {
      wasm: wasm(policyText("(call $log (i32.const 200) (i32.const 5))", `(data (i32.const 200) "begun")`)),
    });
    assert.ok((await policy.judge("{}")).allowed);
    const gone = AbortSignal.abort(new Error("gone before"));
    assert.is(await cancelled([policy.outcome("{}", { signal: gone })], gone.reason), 1);
    const abort = new AbortController();
    const inSameTurn = policy.outcome("{}", abort);
    abort.abort();
    assert.is(await cancelled([inSameTurn], abort.signal.reason), 1);
    const later = new AbortController();
    const done = await policy.outcome("{}", later);
    later.abort();
    assert.is(done.kind, "verdict");
    assert.ok((await policy.judge("{}")).allowed);
    assert.is(logged.length, 3);
    assert.equal(threadErrors, []);
  }));

test("cancelled evaluations make room for others at once", () =>
  evaluation(async ({ load }) => {
    const policy = await load("loop", { wasm: testPolicy("loop/policy.wasm"), limitMs: NO_LIMIT });
    assert.ok((await policy.judge(told({}))).allowed);
    for (let round = 0; round < 5; round++) {
      const abort = new AbortController();
      const all = Array.from({ length: 5 }, () => policy.outcome(told({ do: "tight" }), abort));
      const refused = await policy.outcome(told({})).catch((error: Error) => error.name);
      assert.is(refused, "OverloadedError");
      abort.abort();
      assert.is(await cancelled(all, abort.signal.reason), 5);
      assert.ok((await inTime("the next call", policy.judge(told({})))).allowed);
    }
  }, { maxTasks: 5, maxBytes: 10_000 }));

test.run();
