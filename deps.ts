/**
 * The only file that names a third-party package. Everything is re-exported by name and grouped by what it is for;
 * groups that are heavy to load are given as types and a loader, so that only the process that calls it pays.
 */

// YAML, as written by people (policies.yml, settings, metadata).
export { parseAllDocuments, parseDocument, stringify as stringifyYaml } from "yaml";

// Policies from registries and file servers (`artifact/`): HTTP on Node; Bun has its own.
export type { Dispatcher as UndiciDispatcher } from "undici";
export const loadUndici = () => import("undici");

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
