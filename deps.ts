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
