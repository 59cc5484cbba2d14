// Evaluating where the request is: what is done here, what is begun anew in the pool, and that nothing of it is seen twice.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PlacedEvaluator } from "../../evaluator/apply/placed.ts";
import { DEEP_THREADS, EvaluatorPool, wholeRequest } from "../../evaluator/apply/pool.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { WORKER_URL } from "../../evaluator/apply/worker_url.ts";
import { OverloadedError } from "../../evaluator/types/overloaded_error.ts";
import { testPolicy, told } from "./evaluation.ts";
import { policyText, wasm } from "./wasm_text.ts";

const encoder = new TextEncoder();

/** A thread's evaluator, which is this thread's here, with a real pool behind it; and what is asked of the pool. */
async function placed(
  use: (one: {
    readonly evaluator: PlacedEvaluator;
    readonly logged: string[];
    /** Evaluations that the pool was asked for. */
    readonly pooled: () => number;
    add(
      id: string,
      wasm: string | Uint8Array,
    ): Promise<(annotations: Record<string, string>, uid?: string) => Promise<string>>;
  }) => Promise<void>,
  { costMs = 0, budgetMs = 50 }: { readonly costMs?: number; readonly budgetMs?: number } = {},
): Promise<void> {
  const logged: string[] = [];
  const note = (policy: string, { message }: { readonly message: string }) =>
    void logged.push(`${policy}: ${message}`);
  const pool = new EvaluatorPool({ worker: WORKER_URL, threads: 1, onLog: note });
  let asked = 0;
  const evaluator = new PlacedEvaluator({
    // Far more than it is in a server: no test is to depend on how busy the machine is.
    budgetMs,
    memory: undefined,
    pooled: async (policy, request, options) => {
      asked++;
      return { outcome: await pool.validate(policy, request, options), costMs };
    },
    onLog: note,
    onRunning: () => {},
  });
  try {
    await use({
      evaluator,
      logged,
      pooled: () => asked,
      async add(id, wasm) {
        const bytes = typeof wasm === "string" ? testPolicy(wasm) : wasm;
        const prepared = await prepareModule(bytes, { memoryMib: 256 });
        const module = pool.addModule(prepared);
        evaluator.addModule(module, prepared);
        const policy = { id, module, settings: encoder.encode("{}"), limitMs: 5_000 };
        const number = pool.addPolicy(policy, () => ({ ok: false, error: "nobody answers" }));
        evaluator.addPolicy(number, policy);
        return async (annotations, uid) => {
          const json = encoder.encode(told(annotations, uid));
          const outcome = await evaluator.validate(number, wholeRequest({ json, object: [0, json.length] }));
          if (outcome.kind !== "verdict") return JSON.stringify(outcome);
          return outcome.verdict.status?.message ?? (outcome.verdict.allowed ? "allowed" : "rejected");
        };
      },
    });
  } finally {
    await pool.close();
  }
}

test("the first evaluation is the pool's; a quick policy is then evaluated in place", () =>
  placed(async ({ add, pooled }) => {
    const ask = await add("quick", "leaky-state/policy.wasm");
    const answers = [];
    for (let times = 0; times < 20; times++) answers.push(await ask({}, `u${times}`));
    assert.equal(new Set(answers), new Set(["nothing is left"]), "each begins from the same snapshot");
    assert.is(pooled(), 1);
  }));

test("what the pool takes long for stays there", () =>
  placed(async ({ add, pooled }) => {
    const ask = await add("quick", "leaky-state/policy.wasm");
    for (let times = 0; times < 5; times++) await ask({});
    assert.is(pooled(), 5);
  }, { costMs: 10 }));

/** What can't be answered here: the annotations that ask for it, and what the pool answers. */
const LEAVING: readonly (readonly [what: string, wasm: string, Record<string, string>, answer: RegExp])[] = [
  ["takes longer than it may", "busy-sleep/policy.wasm", { ms: "1000" }, /^took \d{4} ms$/],
  ["sleeps", "busy-sleep/policy.wasm", { ms: "40", do: "sleep" }, /^took \d+ ms$/],
  [
    "asks the host",
    "host-caller/policy.wasm",
    { "host-call": JSON.stringify({ namespace: "net", operation: "v1/dns_lookup_host", payload: "x" }) },
    /nobody answers/,
  ],
  ["never ends", "loop/policy.wasm", { do: "tight" }, /deadline exceeded|interrupted/],
  // Where the pool's threads have no more of it, what is found here is right.
  ...(DEEP_THREADS ? [["runs out of stack", "loop/policy.wasm", { do: "recurse" }, /./] as const] : []),
];

for (const [what, wasm, annotations, answer] of LEAVING) {
  test(`an evaluation that ${what} is begun anew in the pool, which answers`, () =>
    placed(async ({ add, pooled }) => {
      const ask = await add("p", wasm);
      await ask(wasm.startsWith("host-caller") ? annotations : {});
      const before = pooled();
      assert.match(await ask(annotations), answer);
      assert.ok(pooled() > before, "the pool was asked");
      // Its neighbours do not notice, and it is quick again when it is.
      const other = await add("other", "leaky-state/policy.wasm");
      assert.is(await other({}), "nothing is left");
    }));
}

test("what an evaluation logged before it had to leave is logged once", () =>
  placed(async ({ add, logged }) => {
    const ask = await add("logs", "logger/policy.wasm");
    await ask({});
    const once = logged.length;
    assert.ok(once > 0);
    for (let times = 2; times <= 4; times++) {
      await ask({});
      assert.is(logged.length, once * times);
    }
  }, { budgetMs: 0.000_001 }));

test("long requests are the pool's, and don't change what is known of the policy", () =>
  placed(async ({ add, pooled }) => {
    const ask = await add("quick", "leaky-state/policy.wasm");
    await ask({});
    await ask({});
    assert.is(pooled(), 1);
    await ask({ long: "x".repeat(200_000) });
    assert.is(pooled(), 2);
    await ask({});
    assert.is(pooled(), 2);
  }));

test("several at once wait for each other, and each gets its own answer", () =>
  placed(async ({ add }) => {
    const asks = [
      await add("a", "leaky-state/policy.wasm"),
      await add("b", "busy-sleep/policy.wasm"),
    ] as const;
    for (const ask of asks) await ask({});
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => asks[index % 2]!(index % 2 ? { ms: "1" } : {}, `u${index}`)),
    );
    answers.forEach((answer, index) =>
      assert.match(answer, index % 2 ? /^took \d+ ms$/ : /^nothing is left$/, String(index))
    );
  }));

/** Runs `count` requests at once, and tells how many of them the pool was asked for. */
async function atOnce(count: number, ask: () => Promise<string>, pooled: () => number): Promise<number> {
  const before = pooled();
  await Promise.all(Array.from({ length: count }, ask));
  return pooled() - before;
}

test("of many that arrive together and are no good here, one is tried here", () =>
  placed(async ({ add, pooled }) => {
    const ask = await add("p", "busy-sleep/policy.wasm");
    const isInPlace = async () => {
      const before = pooled();
      await ask({});
      return pooled() === before;
    };
    await ask({});
    assert.ok(await isInPlace());
    assert.is(await atOnce(20, () => ask({ do: "sleep", ms: "1" }), pooled), 20);
    // Had all been tried it would stay away for a minute.
    const end = performance.now() + 20_000;
    while (!await isInPlace()) {
      assert.ok(performance.now() < end, "it is away for as long as after one");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }));

/** Takes some milliseconds of any processor. */
const WORKS = policyText(
  `(local.set $operation (i32.const 4000000))
   (loop $next (br_if $next (local.tee $operation (i32.sub (local.get $operation) (i32.const 1)))))`,
);

test("the evaluations of one policy that arrive together take no more than their share, the pool does the others", () =>
  placed(async ({ add, pooled }) => {
    const ask = await add("p", wasm(WORKS));
    for (let times = 0; times < 3; times++) assert.is(await ask({}), "allowed");
    const left = await atOnce(100, () => ask({}), pooled);
    assert.ok(left > 0, `${left} of 100`);
    // Others of the same turn have theirs.
    const other = await add("other", "leaky-state/policy.wasm");
    await other({});
    const before = pooled();
    await Promise.all([...Array.from({ length: 20 }, () => ask({})), other({})]);
    assert.ok(pooled() - before <= 20);
  }, { budgetMs: 20 }));

const PAGES = 2_000;
/** What is quick while it is measured, and has its thread work for long before or after. */
const HIDDEN: readonly (readonly [what: string, policy: string])[] = [
  [
    "writes all over a large memory, which is put back",
    policyText(
      `(local.set $operation (i32.const 0))
     (loop $next
       (i32.store8 offset=65536 (local.get $operation) (i32.const 9))
       (local.set $operation (i32.add (local.get $operation) (i32.const 65536)))
       (br_if $next (i32.lt_u (local.get $operation) (i32.const ${(PAGES - 1) * 65536}))))`,
      "",
      PAGES,
    ),
  ],
  [
    "grows beyond what is kept, which is collected",
    policyText(`(drop (memory.grow (i32.const 3000)))`),
  ],
];

for (const [what, policy] of HIDDEN) {
  test(`an evaluation that ${what}, goes to the pool`, () =>
    placed(async ({ add, pooled }) => {
      const ask = await add("p", wasm(policy));
      const COUNT = 40;
      for (let times = 0; times < COUNT; times++) {
        assert.is(await ask({}), "allowed");
        // What is done after the answer is done before the next request.
        for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
      }
      assert.ok(pooled() > COUNT / 2, `${pooled()} of ${COUNT}`);
    }, { budgetMs: 3 }));
}

test("what nobody waits for any more when its turn comes is not evaluated", () =>
  placed(async ({ evaluator, add, pooled }) => {
    const ask = await add("p", "leaky-state/policy.wasm");
    for (let times = 0; times < 3; times++) await ask({});
    const json = encoder.encode(told({}));
    const gone = new AbortController();
    const asked = evaluator.validate(2, wholeRequest({ json, object: [0, json.length] }), {
      signal: gone.signal,
    });
    gone.abort(new Error("gone"));
    try {
      await asked;
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).message, "gone");
    }
    assert.is(pooled(), 1);
  }));

test("after policies and modules are removed, the pool says what it says", () =>
  placed(async ({ add, evaluator }) => {
    const ask = await add("gone", "leaky-state/policy.wasm");
    for (let times = 0; times < 3; times++) await ask({});
    evaluator.remove([2], [1]);
    assert.is(await ask({}), "nothing is left");
  }));

test("when too much waits in the pool, whoever asks is told so", async () => {
  const evaluator = new PlacedEvaluator({
    budgetMs: 1,
    memory: undefined,
    pooled: () => Promise.reject(new OverloadedError("3 evaluations wait already")),
    onLog: () => {},
    onRunning: () => {},
  });
  try {
    await evaluator.validate(1, wholeRequest({ json: encoder.encode("{}"), object: undefined }));
    assert.unreachable();
  } catch (error) {
    assert.instance(error, OverloadedError);
  }
});

test.run();
