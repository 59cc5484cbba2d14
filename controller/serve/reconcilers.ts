/** All that is brought to what it should be while this controller leads: queues, what fills them, and looking at everything again. */
import type { World } from "../apply/world.ts";
import type { Metrics } from "../render/metrics.ts";
import { type StartedQueues, startQueues, triggersInto } from "./queues.ts";
import { connectTriggers, triggerAll } from "./triggers.ts";

const RESYNC_MS = 10 * 3_600_000;
const CERTIFICATES_MS = 12 * 3_600_000;

export type Reconcilers = Omit<StartedQueues, "queues"> & {
  /** Looks at everything again. */
  resync(): void;
  /** Resolves when no work is being done or due. */
  idle(): Promise<void>;
  /** Lets no further work begin and waits for what is being done. */
  stop(): Promise<void>;
};

/** Looks at everything, and from then on at what changes. */
export function startReconcilers(world: World, metrics: Metrics): Reconcilers {
  const { queues, refreshMetrics, certificateProblem } = startQueues(world, metrics);
  const all = Object.values(queues);
  const triggers = triggersInto(queues);
  const resync = () => triggerAll(world, triggers);
  connectTriggers(world, triggers);
  resync();
  const timers = [
    setInterval(resync, RESYNC_MS),
    setInterval(() => triggers.certificates(), CERTIFICATES_MS),
  ];
  return {
    refreshMetrics,
    certificateProblem,
    resync,
    async idle() {
      // Work on one queue adds to others.
      for (let round = 0; round < 2; round++) for (const queue of all) await queue.idle();
    },
    async stop() {
      for (const timer of timers) clearInterval(timer);
      await Promise.all(all.map((queue) => queue.stop()));
    },
  };
}
