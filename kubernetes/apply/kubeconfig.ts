/**
 * Finds and reads what says where the API server is: a given file, `KUBECONFIG`, the home folder's file, or a pod's service
 * account, in this order. Every error names the file and what to do about it.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { type KubeConfig, loadKubernetesClient } from "../../deps.ts";
import { homeFolder } from "../../program/apply/home.ts";

const SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/** Raised when a kubeconfig is absent or can't be used; the message names the file, the fault and the remedy. */
export class KubeconfigError extends Error {
  /** The name of the error. */
  override readonly name = "KubeconfigError";
}

/** Environment variables by name. */
type Environment = Readonly<Record<string, string | undefined>>;

/** Where a cluster is described. */
export type KubeconfigSource =
  | { readonly kind: "files"; readonly files: readonly string[] }
  | { readonly kind: "service account" };

const homeFile = (env: Environment): string => join(homeFolder(env), ".kube", "config");

/** Where the environment says that a cluster is described; undefined when it says nothing. Nothing is read yet. */
export function findKubeconfig(env: Environment = process.env): KubeconfigSource | undefined {
  const listed = (env["KUBECONFIG"] ?? "").split(delimiter).filter((file) => file !== "");
  if (listed.length > 0) return { kind: "files", files: listed };
  if (existsSync(homeFile(env))) return { kind: "files", files: [homeFile(env)] };
  if (env["KUBERNETES_SERVICE_HOST"] && existsSync(SERVICE_ACCOUNT_TOKEN)) return { kind: "service account" };
  return undefined;
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0]!.slice(0, 300);

/** Reads and merges files; of several, those that don't exist are passed over, as kubectl does. */
function readFiles(config: KubeConfig, create: () => KubeConfig, listed: readonly string[]): void {
  const files = listed.filter((file) => existsSync(file));
  if (files.length === 0) {
    throw new KubeconfigError(
      `the kubeconfig ${listed.join(delimiter)} does not exist: correct its path, or unset it`,
    );
  }
  files.forEach((file, index) => {
    const target = index === 0 ? config : create();
    try {
      target.loadFromFile(file);
    } catch (error) {
      throw new KubeconfigError(`the kubeconfig ${file} cannot be read: ${firstLine(error)}`);
    }
    if (index > 0) config.mergeConfig(target);
  });
}

/** Checks that the current context leads to a cluster with a usable address. */
function checkContext(config: KubeConfig, origin: string): void {
  const names = config.getContexts().map(({ name }) => name);
  const choose = names.length === 0 ? "it has no contexts" : `it has ${names.slice(0, 10).join(", ")}`;
  const current = config.getCurrentContext();
  if (!current) {
    throw new KubeconfigError(
      `${origin} names no current-context (${choose}): run kubectl config use-context`,
    );
  }
  const context = config.getContextObject(current);
  if (context === null) {
    throw new KubeconfigError(`${origin} has no context "${current}", its current-context (${choose})`);
  }
  const cluster = config.getCluster(context.cluster);
  if (cluster === null) {
    throw new KubeconfigError(
      `${origin}: context "${current}" names the cluster "${context.cluster}", which is absent`,
    );
  }
  if (context.user && config.getUser(context.user) === null) {
    throw new KubeconfigError(
      `${origin}: context "${current}" names the user "${context.user}", which is absent`,
    );
  }
  if (!URL.canParse(cluster.server) || !/^https?:$/.test(new URL(cluster.server).protocol)) {
    throw new KubeconfigError(
      `${origin}: the cluster "${cluster.name}" has the server "${cluster.server}", which is no http or https URL`,
    );
  }
}

/** A kubeconfig whose current context can be used, and how to name it in messages. */
export interface LoadedKubeconfig {
  readonly config: KubeConfig;
  /** Such as `context "dev" of the kubeconfig /home/me/.kube/config`. */
  readonly origin: string;
}

/**
 * Reads the kubeconfig at `file`, or the one that the environment tells of.
 *
 * @throws {KubeconfigError} when there is none, or it can't be used
 */
export async function loadKubeconfig(file: string | undefined): Promise<LoadedKubeconfig> {
  const source: KubeconfigSource | undefined = file ? { kind: "files", files: [file] } : findKubeconfig();
  if (source === undefined) {
    throw new KubeconfigError(
      "no Kubernetes cluster is known: give a kubeconfig (flag --kubeconfig or variable KUBECONFIG), or run in a pod " +
        `with a service account; neither ${homeFile(process.env)} nor ${SERVICE_ACCOUNT_TOKEN} exists`,
    );
  }
  const { KubeConfig } = await loadKubernetesClient();
  const config = new KubeConfig();
  if (source.kind === "service account") {
    config.loadFromCluster();
    return { config, origin: "the pod's service account" };
  }
  readFiles(config, () => new KubeConfig(), source.files);
  const named = `the kubeconfig ${source.files.join(delimiter)}`;
  checkContext(config, named);
  // The client refuses plain HTTP (`kubectl proxy`) unless it is told not to verify the certificate that is not there.
  config.clusters = config.clusters.map((cluster) =>
    cluster.server.startsWith("http:") ? { ...cluster, skipTLSVerify: true } : cluster
  );
  return { config, origin: `context "${config.getCurrentContext()}" of ${named}` };
}
