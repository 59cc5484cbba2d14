/** Whom keyless signatures may come from, got when the first one is to be verified (`spec/policy-server.md §3.1`). */
import { type ArtifactOptions, loadTrustRoot, type TrustRoot } from "../../artifact/mod.ts";
import type { ServerOptions } from "../types/options.ts";
import type { Log } from "./log.ts";

/** A trust root is got anew after so many milliseconds: Sigstore turns its keys, servers live for months. */
const REFRESH_MS = 24 * 60 * 60_000;
/** A failure is not repeated sooner than this, so that a server without network does not try for every request. */
const RETRY_MS = 60_000;

/** Gives the trust root; undefined as long as none can be had. Never rejects. */
export type TrustRootGetter = () => Promise<TrustRoot | undefined>;

/** The trust root that the flags name. The log hears why there is none. */
export function trustRootSource(
  { sigstoreTrustConfigPath: path, sigstoreCacheDir: cacheDir }: Pick<
    ServerOptions,
    "sigstoreTrustConfigPath" | "sigstoreCacheDir"
  >,
  options: ArtifactOptions,
  log: Log,
): TrustRootGetter {
  const source = path === null ? { kind: "tuf", cacheDir } as const : { kind: "file", path } as const;
  let current: Promise<TrustRoot | undefined> | undefined;
  let last: TrustRoot | undefined;
  let until = 0;
  const load = async () => {
    try {
      last = await loadTrustRoot(source, options);
      until = performance.now() + REFRESH_MS;
    } catch (error) {
      log.warn("Cannot create Sigstore trust root, verification relying on Rekor and Fulcio will fail", {
        error: (error as Error).message,
      });
      until = performance.now() + RETRY_MS;
    }
    return last;
  };
  return () => {
    if (!current || performance.now() > until) {
      until = Infinity;
      current = load();
    }
    return current;
  };
}
