/** Counts what a run does, while it does it. */
import type { Outcome } from "../types/report.ts";
import type { PolicyTally, Tally, Totals } from "../types/tally.ts";

export type Counter = {
  add(name: keyof Totals, by?: number): void;
  /** Counts what a policy said of an object; nothing where it does not look at it. */
  judged(policy: string, outcome: Outcome | undefined): void;
  /** Policies that are audited appear in the tally even where they judged nothing. */
  policy(id: string): void;
  tally(): Tally;
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A counter at zero. */
export function createCounter(): Counter {
  const policies = new Map<string, Mutable<PolicyTally>>();
  const totals: Mutable<Totals> = {
    resources: 0,
    written: 0,
    kept: 0,
    removed: 0,
    unwritten: 0,
    unlisted: 0,
    namespaces: 0,
    failedNamespaces: 0,
  };
  const of = (id: string) => {
    let tally = policies.get(id);
    if (tally === undefined) policies.set(id, tally = { pass: 0, fail: 0, error: 0 });
    return tally;
  };
  return {
    add: (name, by = 1) => void (totals[name] += by),
    judged(policy, outcome) {
      if (outcome !== undefined) of(policy)[outcome]++;
    },
    policy: (id) => void of(id),
    tally: () => ({ policies, totals }),
  };
}
