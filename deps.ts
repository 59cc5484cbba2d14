/**
 * The only file that names a third-party package. Everything is re-exported by name and grouped by what it is for;
 * groups that are heavy to load are given as types and a loader, so that only the process that calls it pays.
 */

// YAML, as written by people (policies.yml, settings, metadata).
export { parseAllDocuments, parseDocument, stringify as stringifyYaml } from "yaml";

// Kubernetes: kubeconfig files, in-cluster credentials and exec plugins. Heavy (hundreds of generated API classes), so a loader.
export type { HttpLibrary as KubernetesHttpLibrary, KubeConfig } from "@kubernetes/client-node";
export const loadKubernetesClient = (): Promise<typeof import("@kubernetes/client-node")> =>
  import("@kubernetes/client-node");

// X.509: certificate authorities and leaves.
export const loadX509 = async (): Promise<typeof import("@peculiar/x509")> => {
  await import("reflect-metadata"); // its dependency injection needs the polyfill first
  return await import("@peculiar/x509");
};
