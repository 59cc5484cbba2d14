/** The policies that are served just now, and the earlier ones that requests still use. */
import type { PolicySet } from "./policy_set.ts";

/** A set that somebody uses, or may use. */
export interface UsedSet {
  readonly set: Pick<PolicySet, "policies">;
  users: number;
  /** Called when it has been replaced and nobody uses it any more. */
  unused: (() => void) | undefined;
}

/** Whoever asks a set more than once, as a group does, keeps the one with which it began. */
export class CurrentPolicies {
  #current: UsedSet;

  constructor(set: UsedSet["set"]) {
    this.#current = { set, users: 0, unused: undefined };
  }

  /** The set for one request; to be given to {@link leave} when the request is done with it. */
  use(): UsedSet {
    this.#current.users++;
    return this.#current;
  }

  leave(used: UsedSet): void {
    if (--used.users === 0) used.unused?.();
  }

  /** Serves another set from now on. `unused` is called, at once or later, when the former one is in nobody's use. */
  replace(set: UsedSet["set"], unused: () => void): void {
    const former = this.#current;
    this.#current = { set, users: 0, unused: undefined };
    if (former.users === 0) unused();
    else former.unused = unused;
  }
}
