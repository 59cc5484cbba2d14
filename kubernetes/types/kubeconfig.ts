/**
 * What a kubeconfig says, as `kubectl` reads it (client-go `tools/clientcmd/api/v1`). Null is the same as absent. What this code does
 * not know how to honour is an error that names the field: a field that is passed over would be another identity, another proxy, or
 * another server than the one that was configured.
 */
import { own } from "../../program/types/own.ts";
import {
  base64,
  type Fields,
  isFields,
  kindOf,
  KubeconfigError,
  readerOf,
  refuse,
  texts,
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
  readonly user: string;
  readonly namespace: string | undefined;
};

/** A named member of a list that is read when it is used: a broken one spoils nothing else. */
export type Named = {
  readonly name: string;
  /** Absent and null are an entry without fields, as they are for kubectl. */
  readonly value: unknown;
  /** What is wrong with the member of the list around it; undefined: nothing. */
  readonly fault?: string | undefined;
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

function namedList(document: Fields, list: string, member: string, file: string): readonly Named[] {
  const found = Object.hasOwn(document, list) ? document[list] ?? [] : [];
  if (!Array.isArray(found)) refuse(list, "a list", found);
  const seen = new Map<string, number>();
  return found.flatMap((item: unknown, index): Named[] => {
    if (!isFields(item)) return [];
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
    )?.[0];
    const where = `${list}[${index}]`;
    const fault = typeof given !== "string"
      ? `${where}.name must be a text, it is ${kindOf(given)}: put it in quotes`
      : unknown === undefined
      ? undefined
      // Fields of a user that stand beside its "user" are nobody's: kubectl is then somebody else, in silence.
      : `${where} has the field "${
        unknown.slice(0, 100)
      }" beside "name" and "${member}", which is not supported here: ` +
        `correct its name, or indent it below "${member}"`;
    return [{ name, value: own(item, member) ?? {}, fault, file }];
  });
}

/** Fields of clusters, users and contexts that say where to and who: at the top of a file they were indented too little. */
const INDENTED_TOO_LITTLE = [
  "as",
  "as-groups",
  "certificate-authority",
  "certificate-authority-data",
  "client-certificate",
  "client-certificate-data",
  "client-key",
  "client-key-data",
  "exec",
  "insecure-skip-tls-verify",
  "namespace",
  "password",
  "proxy-url",
  "server",
  "tls-server-name",
  "token",
  "tokenFile",
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
  if (!isFields(document)) refuse("it", "a map", document);
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
  const misplaced = INDENTED_TOO_LITTLE.find((name) => Object.hasOwn(document, name));
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
  const where = `context "${name}"`;
  const read = readerOf(value, where);
  read.member("extensions");
  const cluster = read.text("cluster");
  const user = read.text("user");
  const namespace = read.text("namespace");
  read.end();
  if (cluster === undefined) throw new KubeconfigError(`${where} names no cluster`);
  if (user === undefined) {
    throw new KubeconfigError(
      `${where} names no user: run kubectl config set-context ${name} --user=NAME (of a user without fields for none)`,
    );
  }
  return { cluster, user, namespace };
}

/** Data and a file for the same thing, which kubectl refuses. */
function eitherOf(where: string, data: string | undefined, file: string | undefined, field: string): void {
  if (data !== undefined && file !== undefined) {
    throw new KubeconfigError(
      `${where} has both ${field} and ${field}-data: kubectl refuses both together, remove one`,
    );
  }
}

/** Whether a text can be sent as a token. */
export const isToken = (text: string): boolean => /^[\x20-\x7e]+$/.test(text);
/** What is said of one that can't be. */
export const NO_TOKEN =
  "more than one line, or characters that no token has: write the token alone, in one line";

/** What a header can't have, and the names of those whom we act as are sent in headers. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;

const EXEC_EXTENSION = "client.authentication.k8s.io/exec";

export function readCluster({ name, value }: Named): ClusterEntry {
  const where = `cluster "${name}"`;
  const read = readerOf(value, where);
  const server = read.text("server");
  const extension = read.list("extensions").find((one) => isFields(one) && one["name"] === EXEC_EXTENSION);
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
    execConfig: isFields(extension) ? extension["extension"] : undefined,
  };
  read.end();
  if (server === undefined) throw new KubeconfigError(`${where} has no server`);
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

function readExec(value: unknown, where: string): ExecEntry {
  const read = readerOf(value, where);
  const apiVersion = read.text("apiVersion");
  const command = read.text("command");
  // Required in v1, and this one in v1beta1 when it is absent.
  const interactiveMode = read.text("interactiveMode") ??
    (apiVersion === "client.authentication.k8s.io/v1beta1" ? "IfAvailable" : "");
  const env = read.list("env").map((item, index) => {
    const one = readerOf(item, `${where}.env[${index}]`);
    const variable = one.text("name");
    if (variable === undefined) {
      throw new KubeconfigError(`${where}.env[${index}] has no name: name the variable, or remove it`);
    }
    const value = one.text("value") ?? "";
    one.end();
    return { name: variable, value };
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

/** What takes the place of the providers that kubectl had; `gcp` and `azure` it refuses itself since 1.26, `oidc` it still has. */
const PROVIDER_REMEDIES: ReadonlyMap<string, string> = new Map([
  [
    "gcp",
    "install gke-gcloud-auth-plugin and run gcloud container clusters get-credentials, which writes an exec plugin",
  ],
  ["azure", "run kubelogin convert-kubeconfig, which writes an exec plugin"],
  [
    "oidc",
    "use an exec plugin for OpenID Connect, such as kubectl oidc-login (kubelogin), or a token of a service account",
  ],
]);

function refuseProvider(provider: unknown, where: string): never {
  const { name: kind } = isFields(provider) ? provider : { name: undefined };
  const remedy = typeof kind === "string" ? PROVIDER_REMEDIES.get(kind) : undefined;
  throw new KubeconfigError(
    `${where} has the field "auth-provider"${
      remedy === undefined ? "" : ` (${kind as string})`
    }, which is not supported here: ${remedy ?? "use an exec plugin of your cluster's provider"}`,
  );
}

function readExtra(extra: Fields, where: string): UserEntry["asUserExtra"] {
  return new Map(
    Object.entries(extra).map(([key, values]) => {
      const place = `${where}.${key}`;
      return [key, texts(Array.isArray(values) ? values : refuse(place, "a list", values), place)];
    }),
  );
}

/** Refuses what only makes sense together, or not together. */
function checkUser(entry: UserEntry, where: string): void {
  eitherOf(where, entry.clientCertificateData, entry.clientCertificate, "client-certificate");
  if ((entry.clientCertificateData ?? entry.clientCertificate) !== undefined) {
    eitherOf(where, entry.clientKeyData, entry.clientKey, "client-key");
    if ((entry.clientKeyData ?? entry.clientKey) === undefined) {
      throw new KubeconfigError(
        `${where} has a client certificate without its key: give client-key or client-key-data`,
      );
    }
  }
  if (
    (entry.clientCertificateData ?? entry.clientCertificate) === undefined &&
    (entry.clientKeyData ?? entry.clientKey) !== undefined
  ) {
    throw new KubeconfigError(
      `${where} has a client key without its certificate: give client-certificate or client-certificate-data`,
    );
  }
  if (entry.username === undefined && entry.password !== undefined) {
    throw new KubeconfigError(`${where} has a password without a username: give both, or remove it`);
  }
  if ((entry.token ?? entry.tokenFile) !== undefined && (entry.username ?? entry.password) !== undefined) {
    throw new KubeconfigError(
      `${where} has a token and a password: only one way to log in is allowed, remove the other`,
    );
  }
  const { as, asUid, asGroups, asUserExtra } = entry;
  if (as === undefined && (asUid !== undefined || asGroups.length > 0 || asUserExtra.size > 0)) {
    throw new KubeconfigError(
      `${where} has as-uid, as-groups or as-user-extra without "as": name whom to act as`,
    );
  }
}

/** Refuses what no header can have: tokens, and the names of those whom we act as, are sent in headers. */
function checkSent(entry: UserEntry, where: string): void {
  if (entry.token !== undefined && !isToken(entry.token)) {
    throw new KubeconfigError(`${where}.token holds ${NO_TOKEN}`);
  }
  for (
    const [field, values] of [
      ["as", [entry.as ?? ""]],
      ["as-uid", [entry.asUid ?? ""]],
      ["as-groups", entry.asGroups],
      ["as-user-extra", [...entry.asUserExtra.values()].flat()],
    ] as const
  ) {
    if (values.some((one) => CONTROL.test(one))) {
      throw new KubeconfigError(
        `${where}.${field} has the end of a line in it, or another control character`,
      );
    }
  }
}

export function readUser({ name, value }: Named): UserEntry {
  const where = `user "${name}"`;
  const read = readerOf(value, where);
  read.member("extensions");
  const provider = read.member("auth-provider");
  if (provider !== undefined) refuseProvider(provider, where);
  const exec = read.member("exec");
  const extra = read.map("as-user-extra");
  const entry: UserEntry = {
    token: read.text("token"),
    tokenFile: read.text("tokenFile"),
    clientCertificate: read.text("client-certificate"),
    clientCertificateData: base64(read.text("client-certificate-data"), `${where}.client-certificate-data`),
    clientKey: read.text("client-key"),
    clientKeyData: base64(read.text("client-key-data"), `${where}.client-key-data`),
    username: read.text("username"),
    password: read.text("password"),
    exec: exec === undefined ? undefined : readExec(exec, `${where}.exec`),
    as: read.text("as"),
    asUid: read.text("as-uid"),
    asGroups: texts(read.list("as-groups"), `${where}.as-groups`),
    asUserExtra: readExtra(extra, `${where}.as-user-extra`),
  };
  read.end();
  checkUser(entry, where);
  checkSent(entry, where);
  return entry;
}
