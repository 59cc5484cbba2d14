// No change is forgotten, in whatever order changes, retries and gathered passes meet in the queue.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createQueue } from "../../controller/serve/queue.ts";
import { type Queues, triggersInto } from "../../controller/serve/queues.ts";
import { until } from "./harness.ts";

const GATHER_MS = 20;

test("a change is seen by a pass after it, though the pass that it waits for was joined with an earlier one", async () => {
  let changes = 0;
  let passes = 0;
  let seen = -1;
  const servers = createQueue({
    workers: 1,
    work: () => {
      passes++;
      seen = changes;
      return Promise.resolve(undefined);
    },
  });
  const triggers = triggersInto({ servers } as unknown as Queues);
  const change = () => {
    changes++;
    triggers.server("s", GATHER_MS);
  };
  const caughtUp = (what: string) =>
    until(what, () => Promise.resolve(seen === changes), { limitMs: 10_000 });
  change();
  await caughtUp("the first change is seen");
  // A pass that asked for another one soon, and a change that is to wait for longer: they are joined.
  servers.add("s", GATHER_MS);
  change();
  const before = passes;
  await until("the earlier pass is over", () => Promise.resolve(passes > before), { limitMs: 10_000 });
  change();
  await caughtUp("the last change is seen");
  assert.is(seen, 3);
  await servers.stop();
});

test.run();
