/**
 * What a kubeconfig says, as `kubectl` reads it (client-go `tools/clientcmd/api/v1`). Null is the same as absent. What this code does
 * not know how to honour is an error that names the field: a field that is passed over would be another identity, another proxy, or
 * another server than the one that was configured.
 */
import { isObject, type JsonObject } from "../../program/types/json_object.ts";
import { ipAddress } from "../../http/types/ip_address.ts";
import { boundedText } from "../../program/types/bounded_text.ts";
import { own } from "../../program/types/own.ts";
import {
  base64,
  eitherOf,
  entryName,
  kindOf,
  KubeconfigError,
  type Named,
  readerOf,
  refuse,
  unsupportedField,
} from "./kubeconfig_fields.ts";

/** Where the API server is. */
export type ClusterEntry = {
  readonly server: string;
  readonly certificateAuthority: string | undefined;
  /** Base64 of PEM. */
  readonly certificateAuthorityData: string | undefined;
  readonly disableCompression: boolean;
  readonly insecureSkipTlsVerify: boolean;
  readonly tlsServerName: string | undefined;
  readonly proxyUrl: string | undefined;
  /** What exec plugins are told of the cluster, from its extension `client.authentication.k8s.io/exec`. */
  readonly execConfig: unknown;
};

export type ContextEntry = {
  readonly cluster: string;
  readonly user: string;
  readonly namespace: string | undefined;
};

/** The parts of one file, or of several merged. */
export type KubeconfigDocument = {
  readonly currentContext: string | undefined;
  readonly contexts: readonly Named[];
  readonly clusters: readonly Named[];
  readonly users: readonly Named[];
};

function namedList(document: JsonObject, list: string, member: string, file: string): readonly Named[] {
  const found = Object.hasOwn(document, list) ? document[list] ?? [] : [];
  if (!Array.isArray(found)) refuse(list, "a list", found);
  const seen = new Map<string, number>();
  return found.flatMap((item: unknown, index): Named[] => {
    if (!isObject(item)) return [];
    const given = item["name"];
    if (typeof given !== "string" && typeof given !== "number" && typeof given !== "boolean") return [];
    const name = String(given);
    const before = seen.get(name);
    if (before !== undefined) {
      throw new KubeconfigError(
        `${list}[${before}] and ${list}[${index}] have the same name "${
          name.slice(0, 100)
        }": remove or rename one`,
      );
    }
    seen.set(name, index);
    const unknown = Object.entries(item).find(([field, held]) =>
      field !== "name" && field !== member && (held ?? null) !== null
    );
    const where = `${list}[${index}]`;
    const fault = typeof given !== "string"
      ? `${where}.name must be a text, it is ${kindOf(given)}: put it in quotes`
      : unknown === undefined
      ? undefined
      // Fields of a user that stand beside its "user" are nobody's: kubectl is then somebody else, in silence.
      : unsupportedField(
        unknown,
        where,
        ` beside "name" and "${member}"`,
        `correct its name, or indent it below "${member}"`,
      );
    return [{ name, value: own(item, member) ?? {}, fault, file }];
  });
}

/** Fields of clusters, users and contexts that say where to and who: at the top of a file they were indented too little. */
const INDENTED_TOO_LITTLE = [
  "as",
  "as-groups",
  "as-uid",
  "as-user-extra",
  "auth-provider",
  "certificate-authority",
  "certificate-authority-data",
  "client-certificate",
  "client-certificate-data",
  "client-key",
  "client-key-data",
  "cluster",
  "disable-compression",
  "exec",
  "insecure-skip-tls-verify",
  "namespace",
  "password",
  "proxy-url",
  "server",
  "tls-server-name",
  "token",
  "tokenFile",
  "user",
  "username",
];

/**
 * The lists of a file.
 *
 * @param document the parsed file
 * @throws {KubeconfigError}
 */
export function readKubeconfigDocument(document: unknown, file: string): KubeconfigDocument {
  if (document === null || document === undefined) {
    return { currentContext: undefined, contexts: [], clusters: [], users: [] };
  }
  if (typeof document === "string" && /^[A-Za-z0-9+/\s]{40,}={0,2}\s*$/.test(document)) {
    throw new KubeconfigError("it must be a map, it looks like base64: decode it, as `base64 -d` does");
  }
  if (!isObject(document)) refuse("it", "a map", document);
  const kind = document["kind"] ?? "Config";
  if (kind !== "Config") {
    throw new KubeconfigError(
      `it is a ${typeof kind === "string" ? kind.slice(0, 60) : kindOf(kind)}, no Config`,
    );
  }
  const apiVersion = document["apiVersion"] ?? "v1";
  if (apiVersion !== "v1" && apiVersion !== "") {
    throw new KubeconfigError(
      `its apiVersion must be v1, it is ${
        typeof apiVersion === "string" ? apiVersion.slice(0, 60) : kindOf(apiVersion)
      }`,
    );
  }
  const misplaced = INDENTED_TOO_LITTLE.find((name) => (own(document, name) ?? null) !== null);
  if (misplaced !== undefined) {
    throw new KubeconfigError(
      `it has the field "${misplaced}" at its top, where kubectl passes it over: indent it below the cluster, user or context it is of`,
    );
  }
  return {
    currentContext: readerOf(document, "it").text("current-context"),
    contexts: namedList(document, "contexts", "context", file),
    clusters: namedList(document, "clusters", "cluster", file),
    users: namedList(document, "users", "user", file),
  };
}

/** Of several files the first that says something counts: the current context, and each name of each list as a whole. */
export function mergeKubeconfigs(documents: readonly KubeconfigDocument[]): KubeconfigDocument {
  const first = (list: (document: KubeconfigDocument) => readonly Named[]) => {
    const byName = new Map<string, Named>();
    for (const entry of documents.flatMap(list)) if (!byName.has(entry.name)) byName.set(entry.name, entry);
    return [...byName.values()];
  };
  return {
    currentContext: documents.find(({ currentContext }) => currentContext !== undefined)?.currentContext,
    contexts: first(({ contexts }) => contexts),
    clusters: first(({ clusters }) => clusters),
    users: first(({ users }) => users),
  };
}

export function readContext({ name, value }: Named): ContextEntry {
  const where = entryName("context", name);
  const read = readerOf(value, where);
  read.member("extensions");
  const cluster = read.text("cluster");
  const user = read.text("user");
  const namespace = read.text("namespace");
  read.end();
  if (cluster === undefined) throw new KubeconfigError(`${where} names no cluster`);
  if (user === undefined) {
    throw new KubeconfigError(
      `${where} names no user: run kubectl config set-context ${
        boundedText(name, 100)
      } --user=NAME (of a user without fields for none)`,
    );
  }
  return { cluster, user, namespace };
}

const EXEC_EXTENSION = "client.authentication.k8s.io/exec";

export function readCluster({ name, value }: Named): ClusterEntry {
  const where = entryName("cluster", name);
  const read = readerOf(value, where);
  const server = read.text("server");
  const extension = read.list("extensions").find((one) => isObject(one) && one["name"] === EXEC_EXTENSION);
  const entry = {
    certificateAuthority: read.text("certificate-authority"),
    certificateAuthorityData: base64(
      read.text("certificate-authority-data"),
      `${where}.certificate-authority-data`,
    ),
    // Whether bodies are compressed makes no difference to what they say; plugins are told of it.
    disableCompression: read.flag("disable-compression"),
    insecureSkipTlsVerify: read.flag("insecure-skip-tls-verify"),
    tlsServerName: read.text("tls-server-name"),
    proxyUrl: read.text("proxy-url"),
    execConfig: isObject(extension) ? extension["extension"] : undefined,
  };
  read.end();
  if (server === undefined) throw new KubeconfigError(`${where} has no server`);
  const { tlsServerName = "" } = entry;
  if (/[\s/:]/.test(tlsServerName) && ipAddress(tlsServerName.replace(/^\[(.*)\]$/, "$1")) === undefined) {
    throw new KubeconfigError(
      `${where}.tls-server-name must be a name or an address alone: write it without scheme, port, path and blanks`,
    );
  }
  eitherOf(where, entry.certificateAuthorityData, entry.certificateAuthority, "certificate-authority");
  if (
    entry.insecureSkipTlsVerify &&
    (entry.certificateAuthority ?? entry.certificateAuthorityData) !== undefined
  ) {
    throw new KubeconfigError(
      `${where} has insecure-skip-tls-verify and a certificate authority: kubectl refuses both together, remove one`,
    );
  }
  return { server, ...entry };
}
