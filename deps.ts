/**
 * The only file that names a third-party package. Everything is re-exported by name and grouped by what it is for;
 * groups that are heavy to load are given as types and a loader, so that only the process that calls it pays.
 */

import process from "node:process";

/**
 * A CommonJS package by the names of what it holds: from a bundle it comes as a default alone. Every loader below goes through
 * it, because whether a package is CommonJS changes with its version (`tests/loaders_test.ts`).
 */
const byName = <T extends object>(loading: Promise<T>): Promise<T> =>
  loading.then((loaded) =>
    Object.keys(loaded).some((name) => name !== "default" && name !== "module.exports")
      ? loaded
      : (loaded as { readonly default?: T }).default ?? loaded
  );

// YAML, as written by people (policies.yml, settings, metadata).
export {
  Composer as YamlComposer,
  CST as yamlTokens,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer as YamlLexer,
  parseAllDocuments,
  parseDocument,
  Parser as YamlParser,
  stringify as stringifyYaml,
} from "yaml";

// X.509 certificates made by ourselves (start-up without given ones, tests). Heavy: only who makes certificates loads it.
export type * as X509 from "@peculiar/x509";
export const loadX509 = async (): Promise<typeof import("@peculiar/x509")> => {
  // Its dependency injection refuses to load without this one.
  await import("reflect-metadata");
  return await byName(import("@peculiar/x509"));
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
    return await byName(import("@extism/extism"));
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
export const loadUndici = () => byName(import("undici"));

// SOCKS5, by which a kubeconfig may have its API server reached (`kubernetes/`).
export const loadSocks = () => byName(import("socks"));

// Signatures (`artifact/`).
export type { X509Certificate } from "@sigstore/core";
export type SigstoreCore = typeof import("@sigstore/core");
export const loadSigstoreCore = () => byName(import("@sigstore/core"));
export type { Bundle } from "@sigstore/bundle";
export type { SignedEntity, TrustMaterial } from "@sigstore/verify";
export type { TrustedRoot } from "@sigstore/protobuf-specs";
export const loadSigstoreBundle = () => byName(import("@sigstore/bundle"));
export const loadSigstoreVerify = () => byName(import("@sigstore/verify"));
export const loadSigstoreProtobuf = () => byName(import("@sigstore/protobuf-specs"));
/** The TUF client, and the root keys of the public Sigstore instance that it starts from. */
export type { Updater as TufUpdater } from "tuf-js";
export const loadTuf = () => byName(import("tuf-js"));
export const loadSigstoreSeeds = () => import("@sigstore/tuf/seeds.json", { with: { type: "json" } });
/** What the TUF client must see for a missing file; its front door does not export it. */
export const loadTufErrors = () => byName(import("tuf-js/dist/error.js"));

/**
 * Telemetry over OTLP/gRPC (`telemetry/`). Only a process that is told to send it loads this: a third of a second and some 30 MB.
 */
export type OtelValueType = typeof import("@opentelemetry/api").ValueType;
export type { Span as OtelSpan, Tracer as OtelTracer } from "@opentelemetry/api";
export type * as Grpc from "@grpc/grpc-js";
export type * as OtelMetrics from "@opentelemetry/sdk-metrics";
export type OtelMetricsLibrary = typeof import("@opentelemetry/sdk-metrics");
export type {
  ReadableSpan as OtelReadableSpan,
  SpanProcessor as OtelSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
export type { Resource as OtelResource } from "@opentelemetry/resources";
export const loadGrpc = () => byName(import("@grpc/grpc-js"));
export const loadOtelApi = () => byName(import("@opentelemetry/api"));
export const loadOtelMetrics = () => byName(import("@opentelemetry/sdk-metrics"));
export const loadOtelTraces = () => byName(import("@opentelemetry/sdk-trace-base"));
export const loadOtelResources = () => byName(import("@opentelemetry/resources"));
/** Writes OTLP's messages. */
export const loadOtlp = () => byName(import("@opentelemetry/otlp-transformer"));

// Profiles in pprof's format.
export type PprofLibrary = typeof import("pprof-format");
export const loadPprof = () => byName(import("pprof-format"));

// Archives of policies (`cli/`).
export const loadTar = () => byName(import("tar-stream"));

// Regular expressions with the syntax and the linear time of RE2, for Rego's builtins.
// A value and no loader where Rego's builtins are, which are loaded on demand themselves: a top-level await would keep the
// library from being required, and from being bundled as CommonJS.
export { MatcherInput, RE2JS } from "re2js";
export const loadRe2 = () => byName(import("re2js"));

// CEL, for policies' matchConditions.
export type { Environment as CelEnvironment } from "@marcbachmann/cel-js";
export const loadCel = () => byName(import("@marcbachmann/cel-js"));
