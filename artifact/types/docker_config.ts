/** Docker's `config.json`: the parts that say how to log in (`spec/fetch-verify.md §5.2`). */
import { parseJson } from "./json_text.ts";
import { readMapping } from "./strict_document.ts";

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

/**
 * @throws {Error} no JSON object of the known shape
 */
export function parseDockerConfig(json: string): DockerConfig {
  const root = readMapping(parseJson(json, "it"), "a JSON object", "config.json");
  const auths = Object.entries(readMapping(root["auths"] ?? {}, "a map", "auths")).map(([server, value]) => {
    const entry = readMapping(value, "a map", `auths.${server}`);
    return [server, {
      auth: text(entry["auth"]),
      username: text(entry["username"]),
      password: text(entry["password"]),
      identityToken: text(entry["identitytoken"]),
    }] as const;
  });
  const helpers = Object.entries(readMapping(root["credHelpers"] ?? {}, "a map", "credHelpers")).flatMap(
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

/**
 * What an entry of `auths` says, `undefined` if it says nothing (`{}`: the password is in the credential store).
 *
 * @throws {Error} undecodable, or `auth` and `username`/`password` disagree
 */
export function credentialsOf(entry: DockerAuth): Credentials | undefined {
  if (entry.identityToken !== undefined) return { kind: "identity_token", token: entry.identityToken };
  const plain = entry.username !== undefined && entry.password !== undefined
    ? { kind: "basic", username: entry.username, password: entry.password } as const
    : undefined;
  if (entry.auth === undefined) return plain;
  const decoded = new TextDecoder("utf-8", { fatal: true }).decode(
    Uint8Array.from(atob(entry.auth.trim()), (character) => character.charCodeAt(0)),
  );
  const colon = decoded.indexOf(":");
  if (colon < 0) throw new Error("`auth` is not base64 of user:password");
  const coded = {
    kind: "basic",
    username: decoded.slice(0, colon),
    password: decoded.slice(colon + 1),
  } as const;
  if (plain !== undefined && (plain.username !== coded.username || plain.password !== coded.password)) {
    throw new Error("`auth` and `username`/`password` disagree");
  }
  return coded;
}
