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
  /** Lets the Lease go, so that the next controller need not wait for it to end. */
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

/** Waits to become the leader. Rejects only when `signal` ends the wait. */
export async function becomeLeader(options: ElectionOptions): Promise<Leadership> {
  const { client, namespace, identity, signal, log } = options;
  const { leaseSeconds = 15, renewSeconds = 10, retrySeconds = 2 } = options;
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

  /** Takes or renews the Lease; false when somebody else holds it. */
  async function attempt(): Promise<boolean> {
    const lease = await read();
    const holder = lease?.spec?.holderIdentity ?? "";
    if (lease !== undefined && holder !== "" && holder !== identity) {
      const version = lease.metadata.resourceVersion;
      if (seen?.version !== version) seen = { version, at: performance.now() };
      const seconds = lease.spec?.leaseDurationSeconds ?? leaseSeconds;
      if (performance.now() - seen!.at < seconds * 1000) return false;
    }
    try {
      await write(lease, identity);
      return true;
    } catch (error) {
      if (isConflict(error)) return false;
      throw error;
    }
  }

  const tryOnce = () =>
    attempt().catch((error) => {
      log("error", "cannot read or write the leader's Lease", { error: String(error) });
      return false;
    });
  while (!await tryOnce()) {
    await sleep(retrySeconds * 1000, signal);
    if (signal.aborted) throw new Error("stopped before becoming the leader");
  }
  log("info", "became the leader", { identity });

  const released = new AbortController();
  void (async () => {
    let renewed = performance.now();
    const end = AbortSignal.any([signal, released.signal]);
    for (;;) {
      await sleep(retrySeconds * 1000, end);
      if (released.signal.aborted) return;
      if (await tryOnce()) renewed = performance.now();
      else if (performance.now() - renewed > renewSeconds * 1000) {
        log("error", "lost the leader's Lease", { identity });
        return lost.abort();
      }
    }
  })();
  return {
    lost: lost.signal,
    async release() {
      released.abort();
      const lease = await read().catch(() => undefined);
      if (lease?.spec?.holderIdentity === identity) await write(lease, "").catch(() => {});
    },
  };
}
