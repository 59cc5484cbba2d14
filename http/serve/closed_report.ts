/** Reports why connections were closed: one line for many, as the log must not grow with the number of bad clients. */
import type { ClosedReason } from "../types/listener.ts";

/** How often a reason is reported. */
const REPORT_MS = 10_000;

/** What was closed, and what of it has been reported. */
export class ClosedReport {
  readonly #onClosed: (reason: ClosedReason, connections: number) => void;
  readonly #counts = new Map<ClosedReason, number>();
  /** When each reason was last reported. */
  readonly #sentAt = new Map<ClosedReason, number>();

  constructor(onClosed: (reason: ClosedReason, connections: number) => void) {
    this.#onClosed = onClosed;
  }

  /** Whether all has been reported. */
  get empty(): boolean {
    return this.#counts.size === 0;
  }

  /** Counts one more connection. */
  count(reason: ClosedReason): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  /** Reports what has not been reported for a while; with `all`, the rest too. */
  send(all: boolean): void {
    for (const [reason, count] of this.#counts) {
      const last = this.#sentAt.get(reason);
      const now = performance.now();
      if (last !== undefined && now - last < REPORT_MS && !all) continue;
      this.#sentAt.set(reason, now);
      this.#counts.delete(reason);
      this.#onClosed(reason, count);
    }
  }
}
