/** The policies that are served just now, and the earlier ones that requests still use. */
import type { PolicySet } from "./policy_set.ts";

/** What requests need of a set. */
export type ServedPolicies = Pick<PolicySet, "policies">;

/** A set for one request, which says when it is done with it. */
export interface UsedPolicies {
  readonly set: ServedPolicies;
  leave(): void;
}

/** A set, and who uses it. */
class Counted<T extends ServedPolicies> implements UsedPolicies {
  readonly set: T;
  #users = 0;
  #unused: ((set: T) => void) | undefined;

  constructor(set: T) {
    this.set = set;
  }

  use(): this {
    this.#users++;
    return this;
  }

  leave(): void {
    if (--this.#users === 0) this.#unused?.(this.set);
  }

  whenUnused(call: (set: T) => void): void {
    if (this.#users === 0) call(this.set);
    else this.#unused = call;
  }
}

/** Whoever asks a set more than once, as a group does, keeps the one with which it began. */
export class CurrentPolicies<T extends ServedPolicies> {
  #current: Counted<T>;

  constructor(set: T) {
    this.#current = new Counted(set);
  }

  /** The set for one request. */
  use(): UsedPolicies {
    return this.#current.use();
  }

  /** Serves another set from now on. `unused` is called with the former one, at once or later, when it is in nobody's use. */
  replace(set: T, unused: (former: T) => void): void {
    const former = this.#current;
    this.#current = new Counted(set);
    former.whenUnused(unused);
  }
}
