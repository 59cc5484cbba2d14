/**
 * Finds and reads what says where the API server is and who we are to it: a given file, `KUBECONFIG`, the home folder's file, or a
 * pod's service account, in this order. Every error names the file and what to do about it.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { exempt } from "../../http/render/no_proxy.ts";
import { isLoopback } from "../../http/types/ip_address.ts";
import { readBounded } from "../../program/apply/bounded_file.ts";
import { homeFolder } from "../../program/apply/home.ts";
import { boundedText } from "../../program/types/bounded_text.ts";
import { decodedText } from "../../program/types/decoded_text.ts";
import { own } from "../../program/types/own.ts";
import {
  type ClusterEntry,
  mergeKubeconfigs,
  readCluster,
  readContext,
  readKubeconfigDocument,
} from "../types/kubeconfig.ts";
import type { Named } from "../types/kubeconfig_fields.ts";
import { parseKubeconfigText } from "../types/kubeconfig_text.ts";
import { readUser } from "../types/kubeconfig_user.ts";
import { entryName, KubeconfigError } from "../types/kubeconfig_fields.ts";
import { type Credentials, credentialsOf, type Identity } from "./credentials.ts";

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const SERVICE_ACCOUNT_TOKEN = `${SERVICE_ACCOUNT}/token`;

/** More than this is no kubeconfig. */
const MAX_BYTES = 8 * 1024 * 1024;

/** Environment variables by name. */
type Environment = Readonly<Record<string, string | undefined>>;

/** Where a cluster is described. */
export type KubeconfigSource =
  | { readonly kind: "files"; readonly files: readonly string[] }
  | { readonly kind: "service account" };

const homeFile = (env: Environment): string => join(homeFolder(env), ".kube", "config");

/** Where the environment says that a cluster is described; undefined when it says nothing. Nothing is read yet. */
export function findKubeconfig(env: Environment = process.env): KubeconfigSource | undefined {
  const variable = env["KUBECONFIG"] ?? "";
  // A list that names nothing (`$A:$B` of unset variables) is no leave to take the home folder's cluster: kubectl doesn't, either.
  if (variable !== "") {
    return {
      kind: "files",
      files: variable.split(delimiter).filter((file) => file !== ""),
    };
  }
  if (existsSync(homeFile(env))) return { kind: "files", files: [homeFile(env)] };
  if (env["KUBERNETES_SERVICE_HOST"] && existsSync(SERVICE_ACCOUNT_TOKEN)) return { kind: "service account" };
  return undefined;
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0]!.slice(0, 300);

/** A file's document; undefined when there is no such file. */
async function readOne(file: string) {
  try {
    const bytes = await readBounded(file, MAX_BYTES).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (bytes === undefined) return undefined;
    return readKubeconfigDocument(parseKubeconfigText(decodedText(bytes)), file);
  } catch (error) {
    throw new KubeconfigError(`the kubeconfig ${file} cannot be read: ${firstLine(error)}`);
  }
}

/** An address without a name and password before its host. */
function withoutLogin(server: string): string {
  const [, scheme = "", rest = ""] = /^(https?:\/\/)?(.*)$/is.exec(server) ?? [];
  // A password may hold any character, and a URL that can't be read may have it anywhere before the last `@`.
  const host = rest.slice(rest.lastIndexOf("@") + 1).replace(/[?#].*$/s, "?…");
  return `${scheme}${rest.includes("@") ? "…@" : ""}${host}`.slice(0, 300);
}

/**
 * A cluster's server. A name without a scheme is one of plain HTTP to kubectl, whatever else says that TLS is meant; here it is that on
 * this machine alone (`kubectl proxy`), as a token would not be sent elsewhere, in silence.
 */
function serverUrl({ server, ...cluster }: ClusterEntry): URL | undefined {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(server);
  const whole = hasScheme ? server : `http://${server}`;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) return undefined;
  const secure = cluster.insecureSkipTlsVerify ||
    (cluster.certificateAuthority ?? cluster.certificateAuthorityData) !== undefined;
  return hasScheme || (isLoopback(url.hostname) && !secure) ? url : undefined;
}

/** Reads and merges files; of several, those that don't exist are passed over, as kubectl does. */
async function readFiles(listed: readonly string[]) {
  if (listed.length === 0) {
    throw new KubeconfigError("the variable KUBECONFIG names no file: name one, or unset it");
  }
  const read = await Promise.all([...new Set(listed)].map(readOne));
  const documents = read.filter((document) => document !== undefined);
  if (documents.length === 0) {
    throw new KubeconfigError(
      `the kubeconfig ${listed.join(delimiter)} does not exist: correct its path, or unset it`,
    );
  }
  return mergeKubeconfigs(documents);
}

/** Who and where: the current context, its cluster and its user. */
type Chosen = Identity & { readonly context: string; readonly namespace: string | undefined };

/** Reads an entry; what is wrong with it is told with its file. */
function entryOf<T>(named: Named, read: (named: Named) => T): T {
  try {
    if (named.fault !== undefined) throw new KubeconfigError(named.fault);
    return read(named);
  } catch (error) {
    if (!(error instanceof KubeconfigError)) throw error;
    throw new KubeconfigError(`the kubeconfig ${named.file}: ${error.message}`);
  }
}

/** The current context and what it names. */
function choose(document: ReturnType<typeof mergeKubeconfigs>, origin: string): Chosen {
  const names = document.contexts.map(({ name }) => name);
  const choice = names.length === 0
    ? "it has no contexts"
    : `it has ${names.slice(0, 10).map((name) => boundedText(name, 100)).join(", ")}`;
  const { currentContext: current } = document;
  if (current === undefined) {
    throw new KubeconfigError(
      `${origin} names no current-context (${choice}): run kubectl config use-context`,
    );
  }
  const found = document.contexts.find(({ name }) => name === current);
  if (found === undefined) {
    throw new KubeconfigError(
      `${origin} has no ${entryName("context", current)}, its current-context (${choice})`,
    );
  }
  const context = entryOf(found, readContext);
  const cluster = document.clusters.find(({ name }) => name === context.cluster);
  if (cluster === undefined) {
    throw new KubeconfigError(
      `${origin}: ${entryName("context", current)} names the ${
        entryName("cluster", context.cluster)
      }, which is absent`,
    );
  }
  const user = document.users.find(({ name }) => name === context.user);
  if (user === undefined) {
    throw new KubeconfigError(
      `${origin}: ${entryName("context", current)} names the ${
        entryName("user", context.user)
      }, which is absent`,
    );
  }
  const entry = entryOf(cluster, readCluster);
  const account = entryOf(user, readUser);
  const server = serverUrl(entry);
  if (server === undefined || server.username !== "" || server.password !== "") {
    throw new KubeconfigError(
      `${origin}: the ${entryName("cluster", context.cluster)} has the server "${
        withoutLogin(entry.server)
      }", which ${
        server === undefined
          ? "is no http or https URL: write https:// before it, if it is a name alone"
          : "has a name and a password in it, which is not supported here: write them as username and password of the user"
      }`,
    );
  }
  return {
    context: current,
    namespace: context.namespace,
    server: `${server.origin}${server.pathname.replace(/\/+$/, "")}`,
    cluster: entry,
    clusterFile: cluster.file,
    user: account,
    userName: context.user,
    userFile: user.file,
  };
}

/** A cluster that can be connected to, and how to name it in messages. */
export interface LoadedKubeconfig {
  /** Base URL. */
  readonly server: string;
  /** Such as `context "dev" of the kubeconfig /home/me/.kube/config`. */
  readonly origin: string;
  /** Of the context; undefined: it names none. */
  readonly namespace: string | undefined;
  /** An http or https URL; undefined: a direct connection. */
  readonly proxy: string | undefined;
  /**
   * Files are read again each time, and plugins asked when their answer expires; the caller keeps what it gets for a while.
   *
   * @param refused the API server took the last ones for nobody's: plugins are asked again
   */
  readonly credentials: (refused?: boolean) => Promise<Credentials>;
}

/** The proxy that a cluster is reached through: its own, else the environment's, which is never asked for this machine itself. */
function proxyOf(
  server: string,
  proxyUrl: string | undefined,
  origin: string,
  env: Environment,
): string | undefined {
  const target = new URL(server);
  const secure = target.protocol === "https:";
  const read = (name: string) => own(env, name.toUpperCase()) || own(env, name) || undefined;
  const port = target.port || (secure ? "443" : "80");
  const direct = isLoopback(target.hostname) || exempt(read("no_proxy"), target.hostname, port, "go");
  const variable = secure ? "https_proxy" : "http_proxy";
  const proxy = proxyUrl ?? (direct ? undefined : read(variable));
  if (proxy === undefined) return undefined;
  // A variable may name a host alone, the kubeconfig may not.
  const url = proxyUrl !== undefined || /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  if (URL.canParse(url) && /^(?:https?|socks5h?):\/\//i.test(url)) return url;
  const scheme = /^([a-z0-9+.-]{1,20}):\/\//i.exec(proxy)?.[1];
  const where = proxyUrl === undefined ? `the variable ${variable}` : `${origin}: proxy-url`;
  throw new KubeconfigError(
    `${where} ${
      scheme === undefined || URL.canParse(url) === false
        ? "is no URL of a proxy"
        : `names a ${scheme}:// proxy, which is not supported`
    }: ` +
      "give an http://, https:// or socks5:// one",
  );
}

/** The API server as a pod finds it. */
function inCluster(env: Environment): LoadedKubeconfig {
  const host = env["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = env["KUBERNETES_SERVICE_PORT"] ?? "443";
  const origin = "the pod's service account";
  const cluster: ClusterEntry = {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    certificateAuthority: `${SERVICE_ACCOUNT}/ca.crt`,
    certificateAuthorityData: undefined,
    disableCompression: false,
    insecureSkipTlsVerify: false,
    tlsServerName: undefined,
    proxyUrl: undefined,
    execConfig: undefined,
  };
  const nobody = readUser({ name: origin, value: {}, file: SERVICE_ACCOUNT });
  return {
    server: cluster.server,
    origin,
    namespace: undefined,
    proxy: proxyOf(cluster.server, undefined, origin, env),
    credentials: credentialsOf({
      server: cluster.server,
      cluster,
      clusterFile: SERVICE_ACCOUNT,
      user: { ...nobody, tokenFile: SERVICE_ACCOUNT_TOKEN },
      userName: origin,
      userFile: SERVICE_ACCOUNT,
    }),
  };
}

/**
 * Reads the kubeconfig at `file`, or the one that the environment tells of.
 *
 * @throws {KubeconfigError} when there is none, or it can't be used
 */
export async function loadKubeconfig(
  file: string | undefined,
  env: Environment = process.env,
): Promise<LoadedKubeconfig> {
  const source: KubeconfigSource | undefined = file ? { kind: "files", files: [file] } : findKubeconfig(env);
  if (source === undefined) {
    throw new KubeconfigError(
      "no Kubernetes cluster is known: give a kubeconfig (flag --kubeconfig or variable KUBECONFIG), or run in a pod " +
        `with a service account; neither ${homeFile(env)} nor ${SERVICE_ACCOUNT_TOKEN} exists`,
    );
  }
  if (source.kind === "service account") return inCluster(env);
  const named = `the kubeconfig ${source.files.join(delimiter)}`;
  const chosen = choose(await readFiles(source.files), named);
  const origin = `${entryName("context", chosen.context)} of ${named}`;
  const { server, cluster: { proxyUrl } } = chosen;
  return {
    server,
    origin,
    namespace: chosen.namespace,
    proxy: proxyOf(server, proxyUrl, origin, env),
    credentials: credentialsOf(chosen),
  };
}
