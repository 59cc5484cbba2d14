/** Docker's `config.json`: the parts that say how to log in (`spec/fetch-verify.md §5.2`). */
import { ArtifactError } from "./error.ts";
import { parseJson } from "./json_text.ts";
import { quotedUri } from "./quoted.ts";

export type Credentials =
  | { readonly kind: "anonymous" }
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token, as `docker login` stores it for some registries. */
  | { readonly kind: "identity_token"; readonly token: string };

export const ANONYMOUS: Credentials = { kind: "anonymous" };

export type DockerAuth = {
  readonly auth: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly identityToken: string | undefined;
};

export type DockerConfig = {
  readonly auths: ReadonlyMap<string, DockerAuth>;
  readonly credHelpers: ReadonlyMap<string, string>;
  readonly credsStore: string | undefined;
};

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function refuse(reason: string): never {
  throw new ArtifactError("config", `Docker's config.json: ${reason}`);
}

/** An object of the file. Whatever stands in its place is named by its kind alone: everything in this file may be a secret. */
function fields(value: unknown, what: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  const kind = value === null ? "null" : Array.isArray(value) ? "a list" : `a ${typeof value}`;
  refuse(`${what} must be an object, it is ${kind}`);
}

/**
 * @throws {ArtifactError} `config`: no JSON object of the known shape. The message holds no value of the file
 */
export function parseDockerConfig(json: string): DockerConfig {
  const root = fields(parseJson(json, "Docker's config.json", "config"), "the file");
  const auths = Object.entries(fields(root["auths"] ?? {}, "auths")).map(([server, value]) => {
    const entry = fields(value, `auths[${JSON.stringify(quotedUri(server))}]`);
    return [server, {
      auth: text(entry["auth"]),
      username: text(entry["username"]),
      password: text(entry["password"]),
      identityToken: text(entry["identitytoken"]),
    }] as const;
  });
  const helpers = Object.entries(fields(root["credHelpers"] ?? {}, "credHelpers")).flatMap(
    ([server, name]) => text(name) === undefined ? [] : [[server, name as string] as const],
  );
  return { auths: new Map(auths), credHelpers: new Map(helpers), credsStore: text(root["credsStore"]) };
}

/** Two spellings of one server compare equal in this form. */
function normalised(server: string): string {
  const scheme = /^https?:\/\//.exec(server)?.[0];
  const host = scheme === undefined ? server : server.slice(scheme.length).split("/")[0] ?? "";
  return host === "docker.io" || host === "registry-1.docker.io" ? "index.docker.io" : host;
}

/** The entry of `auths` for a server: the exact key, else one that names the same host. */
export function authFor(config: DockerConfig, server: string): DockerAuth | undefined {
  const exact = config.auths.get(server);
  if (exact !== undefined) return exact;
  const wanted = normalised(server);
  for (const [key, auth] of config.auths) if (normalised(key) === wanted) return auth;
  return undefined;
}

const NOT_BASE64 = "`auth` is not base64 of user:password";

function decodedAuth(auth: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(
      Uint8Array.from(atob(auth.trim()), (character) => character.charCodeAt(0)),
    );
  } catch {
    // What engines say of it may quote it.
    return refuse(NOT_BASE64);
  }
}

/**
 * What an entry of `auths` says, `undefined` if it says nothing (`{}`: the password is in the credential store).
 *
 * @throws {ArtifactError} `config`: undecodable, or `auth` and `username`/`password` disagree
 */
export function credentialsOf(entry: DockerAuth): Credentials | undefined {
  if (entry.identityToken !== undefined) return { kind: "identity_token", token: entry.identityToken };
  const plain = entry.username !== undefined && entry.password !== undefined
    ? { kind: "basic", username: entry.username, password: entry.password } as const
    : undefined;
  if (entry.auth === undefined) return plain;
  const decoded = decodedAuth(entry.auth);
  const colon = decoded.indexOf(":");
  if (colon < 0) refuse(NOT_BASE64);
  const coded = {
    kind: "basic",
    username: decoded.slice(0, colon),
    password: decoded.slice(colon + 1),
  } as const;
  if (plain !== undefined && (plain.username !== coded.username || plain.password !== coded.password)) {
    refuse("`auth` and `username`/`password` disagree");
  }
  return coded;
}
