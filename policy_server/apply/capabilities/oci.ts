/** The namespace `oci` (`spec/evaluator.md §5.4, §5.5`): manifests and signatures of images, through `artifact/`. */
import { createHash } from "node:crypto";
import { isObject } from "../../../program/types/json_object.ts";
import {
  type ArtifactOptions,
  DocumentError,
  manifestDigest,
  NO_TRUST_ROOT_WARNINGS,
  ociManifest,
  ociManifestAndConfig,
  readSigstoreRequest,
  type SigstoreRequest,
  sigstoreVerify,
} from "../../../artifact/mod.ts";
import type { Capabilities, Capability } from "../../../evaluator/apply/host_calls.ts";
import { HostCallError } from "../../../evaluator/types/evaluation.ts";
import { asJson, asString, readPayload } from "../../render/payload.ts";
import type { Log } from "../log.ts";
import type { TrustRootGetter } from "../trust_root.ts";
import { answerCache } from "./answer_cache.ts";

/** What images are asked for with. */
export interface OciOptions {
  /** Sources, credentials and the like: those that policies are fetched with. */
  readonly artifact: ArtifactOptions;
  /** Whom keyless signatures may come from; undefined: nobody. Asked for when the first signature is to be verified. */
  readonly trustRoot: TrustRootGetter;
  readonly log: Log;
}

/** `spec/evaluator.md §5.9`. */
const CACHE = { ttlMs: 60_000, maxEntries: 1_000, maxBytes: 16 * 1024 * 1024 };
/** A policy waits for seconds at most; what comes later still fills the cache for its next request. */
const LIMIT_MS = 60_000;
const LIMITS: ArtifactOptions["limits"] = {
  connectMs: 5_000,
  responseMs: 15_000,
  idleMs: 15_000,
  transferMs: 30_000,
  retries: 1,
};
/** What a policy that leaves the name out may not know (`spec/evaluator.md`, sharp edge 18). */
const REKOR_OMITTED =
  "A policy verifies an image by certificate without saying `require_rekor_bundle`: taken as false, which lets signatures " +
  "pass that no transparency log has seen";

const encoder = new TextEncoder();
const encode = (answer: unknown): Uint8Array => encoder.encode(JSON.stringify(answer));

/** `registry://` is a scheme of policies; taken off, as for signatures (`spec/fetch-verify.md §12` rule 6). */
const withoutScheme = (image: string): string => image.replace(/^registry:\/\//, "");

/** The texts that are no fault of the payload's form. */
const REFUSALS = new Set([
  "Must provide at least one pub key",
  "Must provide keyless info",
  "Must provide owner info",
]);

/** The namespace's capabilities. */
export function ociCapabilities({ artifact, trustRoot, log }: OciOptions): Capabilities {
  const bounded = (): ArtifactOptions => ({
    ...artifact,
    limits: { ...LIMITS, ...artifact.limits },
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  const manifest = (ask: (image: string, options: ArtifactOptions) => Promise<unknown>): Capability => {
    const cache = answerCache(CACHE);
    return (payload) => {
      const image = asString(readPayload(payload));
      return cache(image, async () => encode(await ask(withoutScheme(image), bounded())));
    };
  };

  const rekorOmitted = warnedOnce((policy) => log.warn(REKOR_OMITTED, { policy }));
  const root = warnedRoot(trustRoot, log);
  const cache = answerCache(CACHE);
  const verify = (version: "v1" | "v2"): Capability => (payload, { policy }) => {
    const request = readRequest(version, payload, () => rekorOmitted(policy));
    // The payload's parts in the order of their names, so that the order in which an SDK writes them does not matter.
    const key = createHash("sha256").update(JSON.stringify(request, sorted)).digest("base64");
    return cache(key, async () => encode(await sigstoreVerify(request, await root(), bounded())));
  };

  return {
    "oci/v1/manifest_digest": manifest(async (image, options) => ({
      digest: await manifestDigest(image, options),
    })),
    "oci/v1/oci_manifest": manifest(ociManifest),
    "oci/v1/oci_manifest_config": manifest(ociManifestAndConfig),
    "oci/v1/verify": verify("v1"),
    "oci/v2/verify": verify("v2"),
  };
}

/** Reads the question; an absent `require_rekor_bundle` counts as false (spec/evaluator.md, sharp edge 17). */
function readRequest(version: "v1" | "v2", payload: Uint8Array, rekorOmitted: () => void): SigstoreRequest {
  const value = readPayload(payload);
  let json = asJson(value) as Record<string, unknown>;
  if (version === "v2" && json?.["type"] === "SigstoreCertificateVerify") {
    if (json["require_rekor_bundle"] === undefined || json["require_rekor_bundle"] === null) {
      json = { ...json, require_rekor_bundle: false };
      rekorOmitted();
    }
  }
  try {
    return readSigstoreRequest(version, json);
  } catch (error) {
    if (!(error instanceof DocumentError) || REFUSALS.has(error.message)) throw error;
    // The place is that of the whole: the reader below knows no better.
    throw new HostCallError(`${error.message} at line 1 column ${value.end}`);
  }
}

/** Warns of a policy the first time; again once many others have been warned of. */
function warnedOnce(warn: (policy: string) => void): (policy: string) => void {
  const warned = new Set<string>();
  return (policy) => {
    if (warned.size > 1_000) warned.clear();
    if (!warned.has(policy)) warn(policy);
    warned.add(policy);
  };
}

/** The trust root; that there is none is told once. */
function warnedRoot(trustRoot: TrustRootGetter, log: Log): TrustRootGetter {
  let warned = false;
  return async () => {
    const found = await trustRoot();
    if (!found && !warned) {
      warned = true;
      for (const warning of NO_TRUST_ROOT_WARNINGS) log.warn(warning);
    }
    return found;
  };
}

/** JSON of maps and of objects with sorted members. */
function sorted(_key: string, value: unknown): unknown {
  if (value instanceof Map) return [...value].sort(([a], [b]) => (a < b ? -1 : 1));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
