/** What a caller may set for every operation that talks to a registry or a file server. */
import type { OnEvent } from "./event.ts";
import type { Sources } from "./sources.ts";

/** Bounds on what a server may make us read, and on how long it may take. Every field has a default. */
export type Limits = {
  /** Bytes of a manifest or index. */
  readonly manifestBytes: number;
  /** Bytes of a Wasm module. */
  readonly moduleBytes: number;
  /** Bytes of a configuration blob, a signature layer or a bundle: they are held in memory. */
  readonly blobBytes: number;
  /** Signature layers and bundles looked at per image; the rest is ignored with a warning. */
  readonly signatures: number;
  /** Manifests fetched per image to see whether they hold signatures, where the registry does not say what they are. */
  readonly signatureManifests: number;
  /** Milliseconds for reading all signatures of one image; what was not read by then does not count. */
  readonly signaturesMs: number;
  /** Milliseconds for a connection to be made (Node; on Bun it counts towards `responseMs`). */
  readonly connectMs: number;
  /** Milliseconds from sending a request to the head of its answer. */
  readonly responseMs: number;
  /** Milliseconds without a byte while a body is read. */
  readonly idleMs: number;
  /** Milliseconds for one module as a whole: a server that drips a byte at a time ends here. */
  readonly transferMs: number;
  /** The same for everything else: manifests, tokens, signatures, the texts of errors. */
  readonly documentMs: number;
  /** How often a request that failed for a passing reason is sent again. */
  readonly retries: number;
  /** Milliseconds before the first repetition; doubled each time, never more than `retryMaxMs`. */
  readonly retryMs: number;
  /** Also caps what a `Retry-After` header may ask for. */
  readonly retryMaxMs: number;
};

/** What counts where a caller sets nothing. */
export const DEFAULT_LIMITS: Limits = {
  manifestBytes: 4 * 1024 * 1024,
  moduleBytes: 512 * 1024 * 1024,
  blobBytes: 4 * 1024 * 1024,
  signatures: 100,
  signatureManifests: 1000,
  signaturesMs: 5 * 60_000,
  connectMs: 10_000,
  responseMs: 30_000,
  idleMs: 30_000,
  transferMs: 15 * 60_000,
  documentMs: 60_000,
  retries: 3,
  retryMs: 250,
  retryMaxMs: 10_000,
};

/** The names of environment variables and their values. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a caller may set for one call; nothing is remembered between calls. */
export type ArtifactOptions = {
  /** From `readSources`; default: nothing insecure, no private authorities, proxies from the environment. */
  readonly sources?: Sources;
  /** The directory that holds Docker's `config.json`; default `$DOCKER_CONFIG`, then `$HOME/.docker`. */
  readonly dockerConfigDir?: string;
  /** Default: the process's own. Proxies, certificate files, Docker's configuration and credential helpers. */
  readonly env?: Environment;
  readonly signal?: AbortSignal;
  readonly limits?: Partial<Limits>;
  readonly onEvent?: OnEvent;
};
