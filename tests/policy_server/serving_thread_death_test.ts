// Serving threads that die or hang: others serve on, one takes its place, and no set of policies is kept or lost by that.
import process from "node:process";
import { BroadcastChannel } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EvaluatorPool } from "../../evaluator/apply/pool.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { WORKER_URL } from "../../evaluator/apply/worker_url.ts";
import { AT_ONCE, LIMITS } from "../../http/mod.ts";
import { createLog } from "../../policy_server/apply/log.ts";
import { createMetrics } from "../../policy_server/apply/metrics.ts";
import type { PolicySet } from "../../policy_server/apply/policy_set.ts";
import { ServingThreads } from "../../policy_server/serve/serving_threads.ts";
import { testPolicy } from "../evaluator/evaluation.ts";
import { CHANNEL, type Told } from "./mortal_thread.ts";
import { ask, client, reviewOf } from "./requests.ts";
import { freePort, ON_BUN, until } from "./server_process.ts";

const onLinux = process.platform === "linux" ? test : test.skip;
const THREADS = 3;

type Running = {
  readonly threads: ServingThreads;
  readonly port: number;
  readonly logged: () => string;
  /** A set of the one policy `p`; how often it was disposed of is counted. */
  readonly set: () => PolicySet & { disposed: number };
  /** The threads that answer the test. */
  readonly living: () => Promise<readonly number[]>;
  tell(told: Told): void;
};

async function running(use: (running: Running) => Promise<void>): Promise<void> {
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "text", output: (text) => (lines.push(text), 0) });
  const pool = new EvaluatorPool({ worker: WORKER_URL, threads: 1, ownProcess: true });
  const threads = new ServingThreads({
    worker: new URL("./mortal_thread.ts", import.meta.url),
    pool,
    log,
    metrics: createMetrics(),
    settings: {
      host: "127.0.0.1",
      maxBodyBytes: 1 << 20,
      threads: THREADS,
      logLevel: "info",
      logFormat: "text",
      alwaysAcceptNamespace: null,
      limits: LIMITS,
      memory: undefined,
    },
  });
  const channel = new BroadcastChannel(CHANNEL);
  const known = new Set<number>();
  channel.onmessage = (event) => {
    const { data } = event as { readonly data: unknown };
    if (typeof data === "object" && data !== null && "thread" in data && !("what" in data)) {
      known.add((data as { thread: number }).thread);
    }
  };
  try {
    const prepared = await prepareModule(testPolicy("leaky-state/policy.wasm"), { memoryMib: 64 });
    const module = threads.evaluators.addModule(prepared);
    const definition = { id: "p", module, settings: new TextEncoder().encode("{}"), limitMs: 5_000 };
    const policy = threads.evaluators.addPolicy(definition, () => ({ ok: false, error: "nobody" }));
    const entry = {
      kind: "policy",
      name: "p",
      module: "p",
      settingsJson: "{}",
      policyMode: "protect",
      allowedToMutate: false,
      message: null,
    };
    const set: Running["set"] = () => {
      const made = {
        policies: new Map([["p", {
          kind: "policy",
          entry,
          evaluable: { kind: "ready", policy, traced: {} },
        }]]),
        disposed: 0,
        dispose: () => void made.disposed++,
      };
      return made as never;
    };
    assert.ok(await threads.loaded());
    const port = await freePort();
    await threads.serve(set());
    await threads.listen(port, undefined);
    await use({
      threads,
      port,
      logged: () => {
        log.flush();
        return lines.join("");
      },
      set,
      async living() {
        known.clear();
        await until(() => {
          // A thread that takes the place of another hears it once it is there.
          channel.postMessage("who");
          return known.size === THREADS;
        }, () => `${known.size} threads answer`);
        return [...known];
      },
      tell: (told) => channel.postMessage(told),
    });
  } finally {
    channel.close();
    await threads.end(AT_ONCE);
    await pool.close();
  }
}

const review = { path: "/validate/p", body: reviewOf() };

/** Asks on a connection of its own each time; how many were answered rightly, and how many connections broke. */
async function asked(port: number, times: number): Promise<{ right: number; broken: number }> {
  const found = { right: 0, broken: 0 };
  await Promise.all(
    Array.from({ length: times }, async () => {
      const one = client({ port, tls: false }, { connections: 1 });
      try {
        const { status, body } = await one.ask(review);
        assert.is(status, 200, body);
        assert.is(JSON.parse(body).response.status.message, "nothing is left");
        found.right++;
      } catch (error) {
        if (!/ECONNRE|closed|hang up/i.test(String((error as NodeJS.ErrnoException).code ?? error))) {
          throw error;
        }
        found.broken++;
      } finally {
        one.close();
      }
    }),
  );
  return found;
}

for (const what of ["exit", "throw"] as const) {
  onLinux(
    `a thread that ends (${what}) is replaced; what others have is not touched`,
    () =>
      running(async ({ port, living, tell, logged }) => {
        for (let round = 1; round <= 3; round++) {
          const [thread] = await living();
          tell({ thread: thread!, what });
          const times = () => logged().match(/a serving thread was replaced/g)?.length ?? 0;
          await until(() => times() === round, () => `replaced ${times()} times of ${round}\n${logged()}`);
          const after = await living();
          assert.not(after.includes(thread!));
          assert.equal(await asked(port, 30), { right: 30, broken: 0 });
        }
      }),
  );
}

onLinux(
  "sets are disposed of once no thread uses them, also when one died with them",
  () =>
    running(async ({ threads, port, set, living, tell, logged }) => {
      const [first, second] = [set(), set()];
      await threads.serve(first);
      assert.is(first.disposed, 0);
      tell({ thread: (await living())[0]!, what: "exit" });
      await threads.serve(second);
      await until(() => first.disposed === 1, () => "the first set is let go of");
      await until(() => /was replaced/.test(logged()), logged);
      await living();
      assert.equal(await asked(port, 20), { right: 20, broken: 0 });
      assert.equal([first.disposed, second.disposed], [1, 0]);
    }),
);

// Bun can't end a thread that runs; there the process ends, to be started anew.
(ON_BUN ? test.skip : onLinux)(
  "a thread that a guest holds for ever is replaced",
  () =>
    running(async ({ port, living, tell, logged }) => {
      const [thread] = await living();
      tell({ thread: thread!, what: "hang" });
      await until(
        () => /a serving thread was replaced: its guest was over its time limit/.test(logged()),
        logged,
      );
      await living();
      assert.equal(await asked(port, 30), { right: 30, broken: 0 });
    }),
);

onLinux(
  "what threads are asked meanwhile is answered by those that are there",
  () =>
    running(async ({ port, living, tell, logged }) => {
      const [thread] = await living();
      let going = true;
      const total = { right: 0, broken: 0 };
      const asking = (async () => {
        while (going) {
          const { right, broken } = await asked(port, 6);
          total.right += right;
          total.broken += broken;
        }
      })();
      tell({ thread: thread!, what: "exit" });
      await until(() => /was replaced/.test(logged()), logged);
      await living();
      going = false;
      await asking;
      // Only connections of the one that died break, six at a time at most.
      assert.ok(total.broken <= 12, JSON.stringify(total));
      assert.is((await ask({ port, tls: false }, review)).status, 200);
    }),
);

test.run();
