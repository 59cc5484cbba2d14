/**
 * The only file that names a third-party package. Everything is re-exported by name and grouped by what it is for;
 * groups that are heavy to load are given as types and a loader, so that only the process that calls it pays.
 */

import process from "node:process";

// YAML, as written by people (policies.yml, settings, metadata).
export {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseAllDocuments,
  parseDocument,
  stringify as stringifyYaml,
} from "yaml";

// X.509 certificates made by ourselves (start-up without given ones, tests). Heavy: only who makes certificates loads it.
export type * as X509 from "@peculiar/x509";
export const loadX509 = async (): Promise<typeof import("@peculiar/x509")> => {
  // Its dependency injection refuses to load without this one.
  await import("reflect-metadata");
  return await import("@peculiar/x509");
};

/**
 * Loading and linking of WebAssembly modules. Extism imports `node:wasi` wherever it runs; guests here get the WASI of
 * `evaluator/apply/wasi.ts`, so Node's warning that its own is experimental would tell users of something that isn't used.
 */
export async function loadExtism(): Promise<typeof import("@extism/extism")> {
  const emitWarning = process.emitWarning;
  process.emitWarning = (...warning: unknown[]) => {
    if (!String(warning[0]).startsWith("WASI is an experimental")) {
      Reflect.apply(emitWarning, process, warning);
    }
  };
  try {
    return await import("@extism/extism");
  } finally {
    process.emitWarning = emitWarning;
  }
}

// Worker threads.
export { Tinypool } from "tinypool";

// Routing of HTTP requests.
export { Router } from "itty-router";

// Policies from registries and file servers (`artifact/`): HTTP on Node; Bun has its own.
export type { Dispatcher as UndiciDispatcher } from "undici";
/** A bundle has CommonJS packages as the default only. */
export const loadUndici = async (): Promise<typeof import("undici")> => {
  const { default: undici } = await import("undici");
  return undici as unknown as typeof import("undici");
};

// Signatures (`artifact/`).
export type { X509Certificate } from "@sigstore/core";
export type SigstoreCore = typeof import("@sigstore/core");
export const loadSigstoreCore = () => import("@sigstore/core");
export type { Bundle } from "@sigstore/bundle";
export type { SignedEntity, TrustMaterial } from "@sigstore/verify";
export type { TrustedRoot } from "@sigstore/protobuf-specs";
export const loadSigstoreBundle = () => import("@sigstore/bundle");
export const loadSigstoreVerify = () => import("@sigstore/verify");
export const loadSigstoreProtobuf = () => import("@sigstore/protobuf-specs");
/** The TUF client, and the root keys of the public Sigstore instance that it starts from. */
export type { Updater as TufUpdater } from "tuf-js";
export const loadTuf = () => import("tuf-js");
export const loadSigstoreSeeds = () => import("@sigstore/tuf/seeds.json", { with: { type: "json" } });
/** What the TUF client must see for a missing file; its front door does not export it. */
export const loadTufErrors = () => import("tuf-js/dist/error.js");

// Kubernetes: kubeconfig files, in-cluster credentials and exec plugins. Heavy (hundreds of generated API classes), so a loader.
export type { HttpLibrary as KubernetesHttpLibrary, KubeConfig } from "@kubernetes/client-node";
export const loadKubernetesClient = (): Promise<typeof import("@kubernetes/client-node")> =>
  import("@kubernetes/client-node");

// A load generator for benchmarks, where no better one is installed.
export const loadAutocannon = (): Promise<typeof import("autocannon")> => import("autocannon");

// Regular expressions with the syntax and the linear time of RE2, for Rego's builtins.
export type { RE2JS } from "re2js";
export const loadRe2 = () => import("re2js");

// CEL, for policies' matchConditions.
export type { Environment as CelEnvironment } from "@marcbachmann/cel-js";
export const loadCel = () => import("@marcbachmann/cel-js");
