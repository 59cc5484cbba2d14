/**
 * The time of day with parts of milliseconds. `performance.timeOrigin + performance.now()` would be as fine, but counts from the
 * time of day at the start of the process: it never learns that the system's clock was set.
 */

/** `Date.now()` has whole milliseconds: what differs from it by more is a step of the clock. */
const MAX_DRIFT_MS = 2;

/** Makes a clock of two others: `wall` is the time of day in whole milliseconds, `now` runs evenly. Milliseconds since 1970. */
export function fineClock(wall: () => number, now: () => number): () => number {
  let origin = wall() - now();
  return () => {
    const even = now();
    const day = wall();
    if (Math.abs(origin + even - day) > MAX_DRIFT_MS) origin = day - even;
    return origin + even;
  };
}

/** Milliseconds since 1970, by the system's clock as it is set now. */
export const wallClockMs: () => number = fineClock(() => Date.now(), () => performance.now());
