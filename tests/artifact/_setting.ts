/** What most tests need around the code under test. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ArtifactEvent,
  type ArtifactOptions,
  loadTrustRoot,
  type TrustRoot,
} from "../../artifact/mod.ts";

/** Options whose events are kept, with the environment's proxies and credentials left out. */
export function listening(options: ArtifactOptions = {}) {
  const events: ArtifactEvent[] = [];
  return {
    events,
    options: {
      env: { HOME: "/nonexistent" },
      ...options,
      limits: { retryMs: 5, retryMaxMs: 50, ...options.limits },
      onEvent: (event: ArtifactEvent) => void events.push(event),
    } satisfies ArtifactOptions,
    /** All log lines, with their fields. */
    lines: () =>
      events.flatMap((event) =>
        event.kind === "log" ? [`${event.level} ${event.message} ${JSON.stringify(event.fields)}`] : []
      ),
  };
}

export function insecure(...hosts: readonly string[]) {
  return {
    insecureSources: new Set(hosts),
    sourceAuthorities: new Map<string, readonly string[]>(),
    proxies: undefined,
  };
}

export function trusting(host: string, ca: string) {
  return {
    insecureSources: new Set<string>(),
    sourceAuthorities: new Map([[host, [ca]]]),
    proxies: undefined,
  };
}

/** Runs a test with a directory of its own. */
export async function inDirectory<T>(test: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "portreeve-artifact-"));
  try {
    return await test(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The error of a call that must fail. */
export function refusalOf(attempt: () => unknown): Error {
  try {
    attempt();
  } catch (error) {
    return error as Error;
  }
  throw new Error("it should have failed");
}

/** The error of a promise that must fail. */
export async function failure(promise: Promise<unknown>): Promise<Error & { readonly code?: string }> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error("it should have failed");
}

/** A trust root loaded as users do, from a trust-config file. */
export function trustRootOf(trustedRoot: unknown): Promise<TrustRoot> {
  return inDirectory(async (directory) => {
    const path = join(directory, "trust.json");
    await writeFile(
      path,
      JSON.stringify({ mediaType: "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json", trustedRoot }),
    );
    return await loadTrustRoot({ kind: "file", path });
  });
}
