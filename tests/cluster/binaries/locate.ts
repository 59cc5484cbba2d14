/** Where the parts of Kubernetes that the tests run are found. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

export const KUBERNETES_VERSION = "1.36.3";
export const ETCD_VERSION = "3.7.3";

/** A program, the folder of the Go module that pins it, and its package. */
export type Binary = { readonly name: string; readonly module: string; readonly source: string };

const kubernetes = (name: string): Binary => ({
  name,
  module: "kubernetes",
  source: `k8s.io/kubernetes/cmd/${name}`,
});

/** What an API server needs. */
export const BINARIES: readonly Binary[] = [
  { name: "etcd", module: "etcd", source: "go.etcd.io/etcd/server/v3" },
  kubernetes("kube-apiserver"),
];

/** What a whole node needs besides (`../node/`). */
export const NODE_BINARIES: readonly Binary[] = [
  ...["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"].map(kubernetes),
  { name: "coredns", module: "coredns", source: "." },
];

/** API servers of before that the charts are tried on, each from the Go module `kubernetes-MINOR` beside this file. */
export const OLDER_VERSIONS = ["1.35.4", "1.34.4", "1.33.13"] as const;
export type OlderVersion = (typeof OLDER_VERSIONS)[number];

const controlPlanes = (): string =>
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "portreeve", "control-plane");

/** The folder in the user's cache into which `build.ts` builds. */
export function cacheFolder(): string {
  return join(controlPlanes(), `kubernetes-${KUBERNETES_VERSION}-etcd-${ETCD_VERSION}`);
}

/** Where `build.ts --api-server` puts the API server of an older version. */
export const olderApiServer = (version: OlderVersion): string =>
  join(controlPlanes(), `kube-apiserver-${version}`);

const holds = (folder: string, binaries: readonly Binary[]) =>
  binaries.every(({ name }) => existsSync(join(folder, name)));

/** The folder that holds an API server's programs, from `KUBEBUILDER_ASSETS` or the cache; `undefined` when there is none. */
export function binariesFolder(): string | undefined {
  const folders = [process.env["KUBEBUILDER_ASSETS"], cacheFolder()];
  return folders.find((folder) => folder !== undefined && folder !== "" && holds(folder, BINARIES));
}

/** The folder that holds all programs of a node; `undefined` when one is missing. */
export function nodeBinariesFolder(): string | undefined {
  return holds(cacheFolder(), [...BINARIES, ...NODE_BINARIES]) ? cacheFolder() : undefined;
}

/** What to put into the name of a test that is skipped for want of an API server. */
export const HOW_TO_GET_BINARIES =
  "needs etcd and kube-apiserver: set KUBEBUILDER_ASSETS, or run tests/cluster/binaries/build.ts (Go 1.26, 5 minutes)";

/** The same for a test that needs an API server of before. */
export const howToGetApiServer = (version: OlderVersion): string =>
  `needs kube-apiserver ${version}: run tests/cluster/binaries/build.ts --api-server ${version} (Go 1.26, 5 minutes)`;

/** The same for a test that needs a whole node. */
export const HOW_TO_GET_NODE =
  "needs a Kubernetes node: as root, run npm run cluster:build (Go 1.26, 15 minutes, and Debian's packages)";
