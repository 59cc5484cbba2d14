/**
 * What a kubeconfig says, as `kubectl` reads it (client-go `tools/clientcmd/api/v1`). Null is the same as absent. What this code does
 * not know how to honour is an error that names the field: a field that is passed over would be another identity, another proxy, or
 * another server than the one that was configured.
 */
import { PortreeveError } from "../../program/types/error.ts";
import { own } from "../../program/types/own.ts";

/** A kubeconfig, or a part of it, can't be used; the message names the place, and never a value that may be a secret. */
export class KubeconfigError extends PortreeveError {
  /** Always this one. */
  override readonly code = "invalid_kubeconfig";
  /** The name of the error. */
  override readonly name = "KubeconfigError";
}

/** Where the API server is. */
export type ClusterEntry = {
  readonly server: string;
  readonly certificateAuthority: string | undefined;
  /** Base64 of PEM. */
  readonly certificateAuthorityData: string | undefined;
  readonly insecureSkipTlsVerify: boolean;
  readonly tlsServerName: string | undefined;
  readonly proxyUrl: string | undefined;
  /** What exec plugins are told of the cluster, from its extension `client.authentication.k8s.io/exec`. */
  readonly execConfig: unknown;
};

/** A program that gives credentials (client.authentication.k8s.io). */
export type ExecEntry = {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly installHint: string | undefined;
  readonly provideClusterInfo: boolean;
  readonly interactiveMode: "Never" | "IfAvailable" | "Always";
};

/** Who we are to it. */
export type UserEntry = {
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  readonly clientCertificate: string | undefined;
  readonly clientCertificateData: string | undefined;
  readonly clientKey: string | undefined;
  readonly clientKeyData: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly exec: ExecEntry | undefined;
  /** Whom we act as; headers of every request. */
  readonly as: string | undefined;
  readonly asUid: string | undefined;
  readonly asGroups: readonly string[];
  readonly asUserExtra: ReadonlyMap<string, readonly string[]>;
};

export type ContextEntry = {
  readonly cluster: string;
  readonly user: string | undefined;
  readonly namespace: string | undefined;
};

/** A named member of a list that is read when it is used: a broken one spoils nothing else. */
export type Named = {
  readonly name: string;
  readonly value: Fields;
  /** The file in which it stands. */
  readonly file: string;
};

/** The parts of one file, or of several merged. */
export type KubeconfigDocument = {
  readonly currentContext: string | undefined;
  readonly contexts: readonly Named[];
  readonly clusters: readonly Named[];
  readonly users: readonly Named[];
};

export type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "a map" : `a ${typeof value}`;
}

function refuse(where: string, expected: string, value: unknown): never {
  throw new KubeconfigError(`${where} must be ${expected}, it is ${kindOf(value)}`);
}

/** A reader of a map's members, none of which it takes from a prototype, that knows which it was asked for. */
function readerOf(value: unknown, where: string) {
  if (!isFields(value)) refuse(where, "a map", value);
  const asked = new Set<string>();
  const member = (name: string): unknown => {
    asked.add(name);
    return own(value, name) ?? undefined;
  };
  return {
    member,
    text(name: string): string | undefined {
      const found = member(name);
      if (found === undefined || found === "") return undefined;
      if (typeof found !== "string") refuse(`${where}.${name}`, "a text", found);
      return found;
    },
    flag(name: string): boolean {
      const found = member(name) ?? false;
      if (typeof found !== "boolean") refuse(`${where}.${name}`, "true or false", found);
      return found;
    },
    list(name: string): readonly unknown[] {
      const found = member(name) ?? [];
      if (!Array.isArray(found)) refuse(`${where}.${name}`, "a list", found);
      return found;
    },
    /** Refuses what was not asked for. */
    end(): void {
      const [unknown] =
        Object.entries(value).find(([name, held]) => !asked.has(name) && (held ?? null) !== null) ?? [];
      if (unknown !== undefined) {
        throw new KubeconfigError(
          `${where} has the field "${
            unknown.slice(0, 100)
          }", which is not supported here: remove it, or correct its name`,
        );
      }
    },
  };
}

function texts(values: readonly unknown[], where: string): readonly string[] {
  return values.map((value, index) =>
    typeof value === "string" ? value : refuse(`${where}[${index}]`, "a text", value)
  );
}

function namedList(document: Fields, list: string, member: string, file: string): readonly Named[] {
  const found = Object.hasOwn(document, list) ? document[list] ?? [] : [];
  if (!Array.isArray(found)) refuse(list, "a list", found);
  return found.flatMap((item: unknown): Named[] => {
    if (!isFields(item) || typeof item["name"] !== "string") return [];
    const value = Object.hasOwn(item, member) ? item[member] : undefined;
    return isFields(value) ? [{ name: item["name"], value, file }] : [];
  });
}

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
  if (!isFields(document)) refuse("it", "a map", document);
  const kind = document["kind"] ?? "Config";
  if (kind !== "Config") {
    throw new KubeconfigError(
      `it is a ${typeof kind === "string" ? kind.slice(0, 60) : kindOf(kind)}, no Config`,
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
  const where = `context "${name}"`;
  const read = readerOf(value, where);
  read.member("extensions");
  const cluster = read.text("cluster");
  const entry = { user: read.text("user"), namespace: read.text("namespace") };
  read.end();
  if (cluster === undefined) throw new KubeconfigError(`${where} names no cluster`);
  return { cluster, ...entry };
}

const EXEC_EXTENSION = "client.authentication.k8s.io/exec";

export function readCluster({ name, value }: Named): ClusterEntry {
  const where = `cluster "${name}"`;
  const read = readerOf(value, where);
  const server = read.text("server");
  const extension = read.list("extensions").find((one) => isFields(one) && one["name"] === EXEC_EXTENSION);
  // Whether bodies are compressed makes no difference to what they say.
  read.flag("disable-compression");
  const entry = {
    certificateAuthority: read.text("certificate-authority"),
    certificateAuthorityData: read.text("certificate-authority-data"),
    insecureSkipTlsVerify: read.flag("insecure-skip-tls-verify"),
    tlsServerName: read.text("tls-server-name"),
    proxyUrl: read.text("proxy-url"),
    execConfig: isFields(extension) ? extension["extension"] : undefined,
  };
  read.end();
  if (server === undefined) throw new KubeconfigError(`${where} has no server`);
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

function readExec(value: unknown, where: string): ExecEntry {
  const read = readerOf(value, where);
  const apiVersion = read.text("apiVersion");
  const command = read.text("command");
  const interactiveMode = read.text("interactiveMode") ?? "IfAvailable";
  const env = read.list("env").map((item, index) => {
    const one = readerOf(item, `${where}.env[${index}]`);
    return { name: one.text("name") ?? "", value: one.text("value") ?? "" };
  });
  const entry = {
    args: texts(read.list("args"), `${where}.args`),
    env,
    installHint: read.text("installHint"),
    provideClusterInfo: read.flag("provideClusterInfo"),
  };
  read.end();
  if (command === undefined) throw new KubeconfigError(`${where} names no command`);
  if (
    !["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"].includes(apiVersion ?? "")
  ) {
    throw new KubeconfigError(
      `${where}.apiVersion must be client.authentication.k8s.io/v1 or v1beta1 (run the login of your cluster's provider again, ` +
        "which writes it anew)",
    );
  }
  if (!["Never", "IfAvailable", "Always"].includes(interactiveMode)) {
    throw new KubeconfigError(`${where}.interactiveMode must be Never, IfAvailable or Always`);
  }
  return {
    apiVersion: apiVersion!,
    command,
    interactiveMode: interactiveMode as ExecEntry["interactiveMode"],
    ...entry,
  };
}

export function readUser({ name, value }: Named): UserEntry {
  const where = `user "${name}"`;
  const read = readerOf(value, where);
  read.member("extensions");
  if (read.member("auth-provider") !== undefined) {
    throw new KubeconfigError(
      `${where} has the field "auth-provider", which is not supported here: use an exec plugin, as kubectl does since 1.26`,
    );
  }
  const exec = read.member("exec");
  const extra = read.member("as-user-extra") ?? {};
  if (!isFields(extra)) refuse(`${where}.as-user-extra`, "a map", extra);
  const entry: UserEntry = {
    token: read.text("token"),
    tokenFile: read.text("tokenFile"),
    clientCertificate: read.text("client-certificate"),
    clientCertificateData: read.text("client-certificate-data"),
    clientKey: read.text("client-key"),
    clientKeyData: read.text("client-key-data"),
    username: read.text("username"),
    password: read.text("password"),
    exec: exec === undefined ? undefined : readExec(exec, `${where}.exec`),
    as: read.text("as"),
    asUid: read.text("as-uid"),
    asGroups: texts(read.list("as-groups"), `${where}.as-groups`),
    asUserExtra: new Map(
      Object.entries(extra).map(([key, values]) => [
        key,
        texts(
          Array.isArray(values) ? values : refuse(`${where}.as-user-extra.${key}`, "a list", values),
          `${where}.as-user-extra.${key}`,
        ),
      ]),
    ),
  };
  read.end();
  if (
    entry.as === undefined &&
    (entry.asUid !== undefined || entry.asGroups.length > 0 || entry.asUserExtra.size > 0)
  ) {
    throw new KubeconfigError(
      `${where} has as-uid, as-groups or as-user-extra without "as": name whom to act as`,
    );
  }
  return entry;
}
