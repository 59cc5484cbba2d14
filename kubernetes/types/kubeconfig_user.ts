/** Who a kubeconfig says that we are to the API server. */
import { isObject, type JsonObject } from "../../program/types/json_object.ts";
import {
  base64,
  eitherOf,
  entryName,
  KubeconfigError,
  type Named,
  readerOf,
  refuse,
  texts,
} from "./kubeconfig_fields.ts";

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

/** Whether a text can be sent as a token. */
export const isToken = (text: string): boolean => /^[\x20-\x7e]+$/.test(text);
/** What is said of one that can't be. */
export const NO_TOKEN =
  "more than one line, or characters that no token has: write the token alone, in one line";

/** What a header can't have, and the names of those whom we act as are sent in headers. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;

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
  const { name: kind } = isObject(provider) ? provider : { name: undefined };
  const remedy = typeof kind === "string" ? PROVIDER_REMEDIES.get(kind) : undefined;
  throw new KubeconfigError(
    `${where} has the field "auth-provider"${
      remedy === undefined ? "" : ` (${kind as string})`
    }, which is not supported here: ${remedy ?? "use an exec plugin of your cluster's provider"}`,
  );
}

function readExtra(extra: JsonObject, where: string): UserEntry["asUserExtra"] {
  return new Map(
    Object.entries(extra).map(([key, values], index) => {
      // The key may be a secret that stands in the wrong place.
      const place = `${where}, member ${index + 1},`;
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
  const where = entryName("user", name);
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
