/** Where the API server that the tests run is found. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

export const KUBERNETES_VERSION = "1.36.3";
export const ETCD_VERSION = "3.7.3";

export const BINARIES = [
  { name: "etcd", module: "etcd", source: "go.etcd.io/etcd/server/v3" },
  { name: "kube-apiserver", module: "kube_apiserver", source: "k8s.io/kubernetes/cmd/kube-apiserver" },
] as const;

/** The folder in the user's cache into which `build.ts` builds. */
export function cacheFolder(): string {
  const base = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  return join(base, "portreeve", "control-plane", `kubernetes-${KUBERNETES_VERSION}-etcd-${ETCD_VERSION}`);
}

/** The folder that holds both programs, from `KUBEBUILDER_ASSETS` or the cache; `undefined` when there is none. */
export function binariesFolder(): string | undefined {
  const folders = [process.env["KUBEBUILDER_ASSETS"], cacheFolder()];
  return folders.find((folder) =>
    folder !== undefined && folder !== "" && BINARIES.every(({ name }) => existsSync(join(folder, name)))
  );
}

/** What to put into the name of a test that is skipped for want of an API server. */
export const HOW_TO_GET_BINARIES =
  "needs etcd and kube-apiserver: set KUBEBUILDER_ASSETS, or run tests/cluster/binaries/build.ts (Go 1.26, 5 minutes)";
