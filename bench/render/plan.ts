/** What is measured in which order, and for how long. */

import type { PlannedSubject } from "../types/measurement.ts";

export type Plan = {
  readonly subjects: readonly PlannedSubject[];
  readonly policies: readonly string[];
  readonly connections: readonly number[];
  readonly rounds: number;
  readonly seconds: number;
};

/** One run of the load generator. */
export type Step = {
  readonly round: number;
  readonly policy: string;
  readonly connections: number;
  readonly subject: PlannedSubject;
};

/** `--quick` ends within 60 s: what remains after starts, checks, warm-ups and both runs of the floor, in runs of a second each. */
const QUICK_RUNS = 30;

/** Within each round every subject is measured once per load, one right after the other (A B A B). */
export function steps({ subjects, policies, connections, rounds }: Plan): Step[] {
  return Array.from({ length: rounds }, (_, index) => index + 1).flatMap((round) =>
    policies.flatMap((policy) =>
      connections.flatMap((count) =>
        subjects.map((subject) => ({ round, policy, connections: count, subject }))
      )
    )
  );
}

/** The plan with as many rounds of one second as fit. Throws an Error when not even one does. */
export function quick(plan: Plan): Plan {
  const once = steps({ ...plan, rounds: 1 }).length;
  if (once > QUICK_RUNS) {
    throw new Error(
      `--quick has time for ${QUICK_RUNS} runs, and ${once} are asked for: choose fewer with --subjects, --connections or --policies`,
    );
  }
  return { ...plan, seconds: 1, rounds: Math.min(3, Math.floor(QUICK_RUNS / once)) };
}
