/**
 * One of several controllers writes: the one that holds the Lease (spec/controller.md §1.4). A holder that cannot renew it in
 * time stops before anybody else may take it.
 */
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { isConflict, isNotFound } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
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

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

/** How an attempt to hold the Lease ended. */
type Attempt = "held" | "held by another" | "failed";

/** What `attempt` resolves to, or "failed" when it takes longer than `limitMs`: a frozen connection may never answer. */
async function within(limitMs: number, attempt: Promise<Attempt>): Promise<Attempt> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Attempt>((resolve) => timer = setTimeout(resolve, limitMs, "failed"));
  try {
    return await Promise.race([attempt, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Waits to become the leader. Rejects only when `signal` ends the wait.
 *
 * The API server may receive a write long after it was sent, and others count from when they see it. So a Lease is counted
 * from the moment at which the attempt that wrote it began, and every attempt ends when the time since the last one is up.
 */
export async function becomeLeader(options: ElectionOptions): Promise<Leadership> {
  const { client, namespace, identity, signal, log } = options;
  const { leaseSeconds = 15, renewSeconds = 10, retrySeconds = 2 } = options;
  const limitMs = renewSeconds * 1000;
  const lost = new AbortController();
  /** The last change of the Lease that was seen, and when by our own clock: other machines' clocks are not trusted. */
  let seen: { readonly version: string | undefined; readonly at: number } | undefined;

  async function write(lease: Lease | undefined, holder: string): Promise<void> {
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

  async function read(): Promise<Lease | undefined> {
    try {
      return await client.get<Lease>(LEASES, namespace, LEASE_NAME);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Takes the Lease when nobody holds it, or its holder has not renewed it in time. */
  async function acquire(): Promise<Attempt> {
    const lease = await read();
    const holder = lease?.spec?.holderIdentity ?? "";
    if (lease !== undefined && holder !== "" && holder !== identity) {
      const version = lease.metadata.resourceVersion;
      if (seen?.version !== version) seen = { version, at: performance.now() };
      const seconds = lease.spec?.leaseDurationSeconds ?? leaseSeconds;
      if (performance.now() - seen!.at < seconds * 1000) return "held by another";
    }
    await write(lease, identity);
    return "held";
  }

  /** Renews the Lease that is ours. Who finds another's name on it has lost it, however soon that one lets it go. */
  async function renew(): Promise<Attempt> {
    const lease = await read();
    if (lease?.spec?.holderIdentity !== identity) return "held by another";
    await write(lease, identity);
    return "held";
  }

  const failed = (error: unknown): Attempt => {
    if (!isConflict(error)) log("error", "cannot read or write the leader's Lease", { error: String(error) });
    return "failed";
  };

  let heldFrom: number;
  for (;;) {
    heldFrom = performance.now();
    if (await within(limitMs, acquire().catch(failed)) === "held") break;
    await sleep(retrySeconds * 1000, signal);
    if (signal.aborted) throw new Error("stopped before becoming the leader");
  }
  log("info", "became the leader", { identity });

  const released = new AbortController();
  const remaining = () => heldFrom + limitMs - performance.now();
  void (async () => {
    const end = AbortSignal.any([signal, released.signal]);
    for (;;) {
      await sleep(Math.min(retrySeconds * 1000, Math.max(0, remaining())), end);
      if (end.aborted) return;
      const began = performance.now();
      const attempt = remaining() <= 0 ? "failed" : await within(remaining(), renew().catch(failed));
      if (attempt === "held" && remaining() > 0) {
        heldFrom = began;
        continue;
      }
      if (attempt === "failed" && remaining() > 0) continue;
      log("error", "lost the leader's Lease", {
        identity,
        why: attempt === "held by another"
          ? "another controller took it, or it was deleted"
          : "it could not be renewed in time",
      });
      lost.abort();
      return;
    }
  })();
  return {
    lost: lost.signal,
    holds: () => !lost.signal.aborted && remaining() > 0,
    async release() {
      released.abort();
      if (lost.signal.aborted) return;
      const lease = await read().catch(() => undefined);
      if (lease?.spec?.holderIdentity === identity) await write(lease, "").catch(() => {});
    },
  };
}
