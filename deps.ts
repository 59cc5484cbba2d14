/**
 * The only file that names a third-party package. Everything is re-exported by name and grouped by what it is for;
 * groups that are heavy to load are given as types and a loader, so that only the process that calls it pays.
 */

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
