/**
 * Where the next evaluation of a policy runs: in the thread that has the request, which is quickest, or in the pool, where nothing
 * waits for it. Every policy begins in the pool. When it has proved quick there it is tried in place, and each time that it was no
 * good there it stays away for longer: others then wait for it now and then for as long as an evaluation in place may take, and hardly
 * ever once it has done so some times in a row.
 */

/** What is known of one policy in one thread. */
export interface Placement {
  /** It is evaluated in place from this moment on, in milliseconds of the thread; `Infinity`: not before the pool found it quick. */
  readonly inPlaceFrom: number;
  /** It stays away until this moment, however quick the pool finds it before. */
  readonly awayUntil: number;
  /** How often it had to leave. */
  readonly leaves: number;
  /** How often it stayed since it left last. */
  readonly stays: number;
}

/** What an evaluation has shown. */
export type PlacementEvent =
  /** The pool has evaluated it, and takes so many milliseconds for an evaluation of this policy. */
  | { readonly kind: "pooled"; readonly costMs: number }
  /** It was evaluated in place. */
  | { readonly kind: "stayed" }
  /** It began in place and had to be begun anew in the pool, or made its thread work for too long there, before or after its answer. */
  | { readonly kind: "left" };

/** A policy that nothing is known of. */
export const UNKNOWN: Placement = { inPlaceFrom: Infinity, awayUntil: -Infinity, leaves: 0, stays: 0 };

/** What the pool takes for a policy that may be tried in place, in milliseconds: less than it may take there. */
const QUICK_MS = 2;
/** For how long a policy stays away after it had to leave the first time, and at most, in milliseconds; each time doubles it. */
const FIRST_AWAY_MS = 250;
const MAX_AWAY_MS = 60_000;
/**
 * After so many stays, and so many times as long as it was away, it is as good as one that never had to leave. Stays alone are had for a
 * few milliseconds by who wants to leave again.
 */
const STAYS_TO_FORGET = 100;
const AWAYS_TO_FORGET = 10;

/** Whether the next evaluation runs in place, at the moment `now`. */
export function isInPlace({ inPlaceFrom }: Placement, now: number): boolean {
  return now >= inPlaceFrom;
}

const awayMs = (leaves: number): number => Math.min(FIRST_AWAY_MS * 2 ** (leaves - 1), MAX_AWAY_MS);

/** What is known after an evaluation that ended at the moment `now`. */
export function placementAfter(placement: Placement, event: PlacementEvent, now: number): Placement {
  const { inPlaceFrom, awayUntil, leaves, stays } = placement;
  switch (event.kind) {
    case "pooled":
      if (event.costMs > QUICK_MS) {
        return inPlaceFrom === Infinity ? placement : { ...placement, inPlaceFrom: Infinity };
      }
      return inPlaceFrom === Infinity ? { ...placement, inPlaceFrom: Math.max(now, awayUntil) } : placement;
    case "stayed":
      if (leaves === 0) return placement;
      return stays + 1 < STAYS_TO_FORGET || now < awayUntil + AWAYS_TO_FORGET * awayMs(leaves)
        ? { ...placement, stays: stays + 1 }
        : { ...UNKNOWN, inPlaceFrom };
    case "left": {
      const until = now + awayMs(leaves + 1);
      return { inPlaceFrom: until, awayUntil: until, leaves: leaves + 1, stays: 0 };
    }
  }
}
