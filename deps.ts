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
