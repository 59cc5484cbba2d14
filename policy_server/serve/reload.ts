/** Builds the policies anew while the former ones are served. */
import type { Log } from "../apply/log.ts";
import type { PolicySet } from "../apply/policy_set.ts";
import type { Front } from "./front.ts";

/** What a reload needs of the server. */
export interface Reloading {
  readonly front: Pick<Front, "serve">;
  readonly build: () => Promise<PolicySet>;
  /** What takes the place of the first set, which may still wait for a registry. */
  readonly whole: Promise<PolicySet> | undefined;
  /** Whether the server is shutting down. */
  readonly stopping: () => boolean;
  readonly log: Log;
}

/**
 * Serves `whole` once it is there. Returns a function that builds the policies anew and serves them; the former ones keep serving when
 * they can't be built. Its promise never rejects.
 */
export function policiesReload({ front, build, whole, stopping, log }: Reloading): () => Promise<void> {
  const wholeServed = whole?.then((set) => front.serve(set));
  return merged(async () => {
    if (stopping()) return;
    await wholeServed;
    try {
      const next = await build();
      await front.serve(next);
      log.info("policies were reloaded", { policies_count: next.policies.size });
    } catch (error) {
      if (stopping()) return log.info("a reload of the policies was given up: the server is shutting down");
      log.error("policies could not be reloaded, the previous ones keep serving", {
        error: (error as Error).message,
      });
    }
  });
}

/** `work`, once more after the run that is under way, however often it is asked for meanwhile. */
function merged(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const run = () => {
    running = work().finally(() => running = undefined);
    return running;
  };
  return () => {
    if (running === undefined) return run();
    return next ??= running.then(() => {
      next = undefined;
      return run();
    });
  };
}
