/**
 * One of several controllers writes: the one that holds the Lease (spec/controller.md §1.4). A holder that cannot renew it in
 * time stops before anybody else may take it.
 */
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { isConflict, isNotFound } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { sleep } from "../../program/apply/sleep.ts";
import { within } from "../../program/apply/within.ts";
import { LEASES } from "../types/resources.ts";

export const LEASE_NAME = "a4ddbf36.kubewarden.io";

type Lease = KubeObject & {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
};

export type ElectionOptions = {
  readonly client: KubeClient;
  readonly namespace: string;
  /** What tells this controller from the others; must be unlike theirs. */
  readonly identity: string;
  /** Ends the wait. Once it leads, {@link Leadership.release} ends that. */
  readonly signal: AbortSignal;
  log(level: "info" | "error", message: string, fields?: { readonly [name: string]: unknown }): void;
  readonly leaseSeconds?: number;
  readonly renewSeconds?: number;
  readonly retrySeconds?: number;
};

export type Leadership = {
  /** Aborted when leadership is lost. */
  readonly lost: AbortSignal;
  /**
   * Whether it may write at this moment. It turns false by the clock alone, also when this process was stopped meanwhile and
   * `lost` could not be aborted in time.
   */
  holds(): boolean;
  /** Lets the Lease go, so that the next controller need not wait for it to end. Does nothing once leadership is lost. */
  release(): Promise<void>;
};

/** Microseconds, as a Lease's times have. */
function microTime(): string {
  return new Date().toISOString().replace(/Z$/, "000Z");
}

/** How an attempt to hold the Lease ended. */
type Attempt = "held" | "held by another" | "failed";

/**
 * Waits to become the leader. Rejects only when `signal` ends the wait.
 *
 * The API server may receive a write long after it was sent, and others count from when they see it. So a Lease is counted
 * from the moment at which the attempt that wrote it began, and every attempt ends when the time since the last one is up.
 */
export async function becomeLeader(options: ElectionOptions): Promise<Leadership> {
  const elector = new LeaderElector(options);
  await elector.acquire();
  void elector.renewUntilLost();
  return elector;
}

class LeaderElector implements Leadership {
  readonly #options: Required<ElectionOptions>;
  readonly #limitMs: number;
  readonly #retryMs: number;
  readonly #lost = new AbortController();
  readonly #released = new AbortController();
  /** When the attempt began that wrote the Lease last. */
  #heldFrom = -Infinity;
  /** The last change of the Lease that was seen, and when by our own clock: other machines' clocks are not trusted. */
  #seen: { readonly version: string | undefined; readonly at: number } | undefined;

  constructor(options: ElectionOptions) {
    this.#options = { leaseSeconds: 15, renewSeconds: 10, retrySeconds: 2, ...options };
    this.#limitMs = this.#options.renewSeconds * 1000;
    this.#retryMs = this.#options.retrySeconds * 1000;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  holds(): boolean {
    return !this.lost.aborted && this.#remainingMs() > 0;
  }

  async release(): Promise<void> {
    this.#released.abort();
    if (!this.lost.aborted) await within(this.#limitMs, this.#letGo().catch(() => {}), () => {});
  }

  async #letGo(): Promise<void> {
    const lease = await this.#read();
    if (lease?.spec?.holderIdentity !== this.#options.identity) return;
    try {
      await this.#write(lease, "");
    } catch (error) {
      // A renewal was on its way, the last one: there will be no other.
      if (!isConflict(error)) throw error;
      await this.#letGo();
    }
  }

  async acquire(): Promise<void> {
    const { identity, signal, log } = this.#options;
    for (;;) {
      const began = performance.now();
      const attempt = await this.#attempt(this.#limitMs, () => this.#tryAcquire());
      if (attempt === "held" && !signal.aborted) {
        this.#heldFrom = began;
        break;
      }
      if (!signal.aborted) await sleep(this.#retryMs, signal);
      if (!signal.aborted) continue;
      // The last attempt may have taken it, also where no answer came in time.
      await this.release();
      throw new Error("stopped before becoming the leader");
    }
    log("info", "became the leader", { identity });
  }

  /** Resolves when the Lease is lost, or need not be held any more. */
  async renewUntilLost(): Promise<void> {
    const { identity, log } = this.#options;
    const end = this.#released.signal;
    for (;;) {
      await sleep(Math.min(this.#retryMs, Math.max(0, this.#remainingMs())), end);
      if (end.aborted) return;
      const began = performance.now();
      const attempt = this.#remainingMs() <= 0
        ? "failed"
        : await this.#attempt(this.#remainingMs(), () => this.#tryRenew());
      if (attempt === "held" && this.#remainingMs() > 0) {
        this.#heldFrom = began;
        continue;
      }
      if (attempt === "failed" && this.#remainingMs() > 0) continue;
      log("error", "lost the leader's Lease", {
        identity,
        why: attempt === "held by another"
          ? "another controller took it, or it was deleted"
          : "it could not be renewed in time",
      });
      this.#lost.abort();
      return;
    }
  }

  #remainingMs(): number {
    return this.#heldFrom + this.#limitMs - performance.now();
  }

  /** What an attempt comes to; "failed" when it takes longer than `limitMs`: a frozen connection may never answer. */
  #attempt(limitMs: number, work: () => Promise<Attempt>): Promise<Attempt> {
    const attempt = work().catch((error): Attempt => {
      if (!isConflict(error)) {
        this.#options.log("error", "cannot read or write the leader's Lease", { error: String(error) });
      }
      return "failed";
    });
    return within(limitMs, attempt, () => "failed");
  }

  /** Takes the Lease when nobody holds it, or its holder has not renewed it in time. */
  async #tryAcquire(): Promise<Attempt> {
    const { identity, leaseSeconds } = this.#options;
    const lease = await this.#read();
    const holder = lease?.spec?.holderIdentity ?? "";
    if (lease !== undefined && holder !== "" && holder !== identity) {
      const version = lease.metadata.resourceVersion;
      if (this.#seen?.version !== version) this.#seen = { version, at: performance.now() };
      const seconds = lease.spec?.leaseDurationSeconds ?? leaseSeconds;
      if (performance.now() - this.#seen!.at < seconds * 1000) return "held by another";
    }
    await this.#write(lease, identity);
    return "held";
  }

  /** Renews the Lease that is ours. Who finds another's name on it has lost it, however soon that one lets it go. */
  async #tryRenew(): Promise<Attempt> {
    const { identity } = this.#options;
    const lease = await this.#read();
    if (lease?.spec?.holderIdentity !== identity) return "held by another";
    await this.#write(lease, identity);
    return "held";
  }

  async #read(): Promise<Lease | undefined> {
    const { client, namespace } = this.#options;
    try {
      return await client.get<Lease>(LEASES, namespace, LEASE_NAME);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #write(lease: Lease | undefined, holder: string): Promise<void> {
    const { client, namespace, leaseSeconds } = this.#options;
    const now = microTime();
    const same = lease?.spec?.holderIdentity === holder;
    const spec = {
      holderIdentity: holder,
      leaseDurationSeconds: holder === "" ? 1 : leaseSeconds,
      acquireTime: same ? lease?.spec?.acquireTime ?? now : now,
      renewTime: now,
      leaseTransitions: (lease?.spec?.leaseTransitions ?? 0) + (same || lease === undefined ? 0 : 1),
    };
    const metadata = { name: LEASE_NAME, namespace };
    const object = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", spec };
    if (lease === undefined) await client.create<Lease>(LEASES, { ...object, metadata });
    else await client.replace<Lease>(LEASES, { ...lease, ...object, metadata: lease.metadata });
  }
}
