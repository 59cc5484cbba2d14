/**
 * The files in which docker, podman and Kubernetes' pull secrets keep logins: `config.json`, `auth.json`, `.dockerconfigjson`
 * (`spec/fetch-verify.md §5.2`). A member that is null, or of another type than the programs write, takes no other with it.
 */
import { own } from "../../program/types/own.ts";
import { isObject, type JsonObject } from "../../program/types/json_object.ts";
import { ArtifactError } from "./error.ts";
import { parseJson } from "./json_text.ts";

export type Credentials =
  | { readonly kind: "anonymous" }
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token, as `docker login` stores it for some registries. */
  | { readonly kind: "identity_token"; readonly token: string }
  /** A token that the registry itself takes, without one being asked for. */
  | { readonly kind: "registry_token"; readonly token: string };

export const ANONYMOUS: Credentials = { kind: "anonymous" };

export type DockerAuth = {
  readonly auth: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly identityToken: string | undefined;
  readonly registryToken: string | undefined;
};

export type DockerConfig = {
  readonly auths: ReadonlyMap<string, DockerAuth>;
  readonly credHelpers: ReadonlyMap<string, string>;
  readonly credsStore: string | undefined;
  /** What could not be read, and was left out. */
  readonly faults: readonly ArtifactError[];
};

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

const DEFAULT_ORIGIN = "Docker's config.json";

const fault = (origin: string, reason: string) => new ArtifactError("config", `${origin}: ${reason}`);

/** An object of the file. Whatever stands in its place is named by its kind alone: everything in this file may be a secret. */
function fields(value: unknown, what: string, origin: string): JsonObject {
  if (isObject(value)) return value;
  const kind = value === null ? "null" : Array.isArray(value) ? "a list" : `a ${typeof value}`;
  throw fault(origin, `${what} must be an object, it is ${kind}`);
}

/**
 * @param origin the file or the variable that has it, for messages
 * @throws {ArtifactError} `config`: no JSON object of the known shape. The message holds no value of the file
 */
export function parseDockerConfig(json: string, origin = DEFAULT_ORIGIN): DockerConfig {
  const root = fields(parseJson(json, origin, "config"), "it", origin);
  const faults: ArtifactError[] = [];
  const member = (name: string): JsonObject => {
    try {
      return fields(own(root, name) ?? {}, name, origin);
    } catch (error) {
      faults.push(error as ArtifactError);
      return {};
    }
  };
  const auths = Object.entries(member("auths")).flatMap(([server, entry]) =>
    isObject(entry)
      ? [
        [server, {
          auth: text(entry["auth"]),
          username: text(entry["username"]),
          password: text(entry["password"]),
          identityToken: text(entry["identitytoken"]),
          registryToken: text(entry["registrytoken"]),
        }] as const,
      ]
      : []
  );
  const helpers = Object.entries(member("credHelpers")).flatMap(
    ([server, name]) => text(name) === undefined ? [] : [[server, name as string] as const],
  );
  if (isOldConfig(root)) {
    faults.push(fault(origin, "it has no `auths`, as the older .dockercfg: put what it holds into `auths`"));
  }
  return {
    auths: new Map(auths),
    credHelpers: new Map(helpers),
    credsStore: text(root["credsStore"]),
    faults,
  };
}

/** Whether registries stand where `auths` should: so was the file before Docker 1.7, and the kubelet still knows it (`.dockercfg`). */
function isOldConfig(root: JsonObject): boolean {
  const members = Object.values(root);
  return members.length > 0 &&
    members.every((member) => isObject(member) && text(own(member, "auth")) !== undefined);
}

/** The name under which `docker login` keeps the credentials of Docker Hub. */
export const DOCKER_HUB_SERVER = "https://index.docker.io/v1/";

const DOCKER_HUB_HOSTS: readonly string[] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/** What a key of the file names: `https://host:port/v1/` is the host, `host/team` one part of it. */
type Scope = {
  readonly host: string;
  /** Path segments that a repository must begin with. */
  readonly path: readonly string[];
  /** The same without the address of the registry's interface: `https://host/v2/team` means what `host/team` does to the kubelet. */
  readonly below: readonly string[] | undefined;
};

function scopeOf(key: string): Scope {
  const scheme = /^(https?):\/\//i.exec(key);
  const [named = "", ...segments] = key.slice(scheme?.[0].length ?? 0).split("/");
  const host = scheme?.[1]?.toLowerCase() === "https" ? named.replace(/:443$/, "") : named;
  const path = segments.filter((segment) => segment !== "");
  // The addresses of the registry's interface, which older clients wrote into the key.
  const isInterface = path[0] === "v1" || path[0] === "v2";
  return {
    host: DOCKER_HUB_HOSTS.includes(host.toLowerCase()) ? "docker.io" : host.toLowerCase(),
    path: isInterface && path.length === 1 ? [] : path,
    below: isInterface && path.length > 1 ? path.slice(1) : undefined,
  };
}

/** `*` and `?` within one label of the name, as the kubelet reads them: `*.azurecr.io`. Ports must be equal. */
function hostMatches(pattern: string, host: string): boolean {
  if (pattern === host) return true;
  if (!/[*?]/.test(pattern)) return false;
  const split = (text: string) => {
    const [name = "", port = ""] = text.split(":");
    return { labels: name.split("."), port };
  };
  const [wanted, given] = [split(pattern), split(host)];
  if (wanted.port !== given.port || wanted.labels.length !== given.labels.length) return false;
  return wanted.labels.every((label, index) => labelMatches(label, given.labels[index] ?? ""));
}

/** Without a regular expression: the pattern is somebody's file. */
function labelMatches(pattern: string, label: string): boolean {
  let reached = new Set([0]);
  for (const character of pattern) {
    const next = new Set<number>();
    for (const position of reached) {
      if (character === "*") { for (let end = position; end <= label.length; end++) next.add(end); }
      else if (position < label.length && (character === "?" || character === label[position])) {
        next.add(position + 1);
      }
    }
    reached = next;
  }
  return reached.has(label.length);
}

/** An entry of a file that holds for an image, with the key under which it stands. */
export type MatchingAuth = { readonly key: string; readonly auth: DockerAuth };

/**
 * The entries of `auths` for a repository, most specific first: the longest path (podman, kubelet), a host before a pattern, the
 * registry's own name before other spellings of it (docker), then as they stand in the file.
 *
 * @param registry `host[:port]` as in a normalised reference
 */
export function authsFor(
  config: DockerConfig,
  registry: string,
  repository: string,
): readonly MatchingAuth[] {
  const wanted = scopeOf(registry).host;
  const segments = repository.split("/");
  const holds = (path: readonly string[]) => path.every((segment, index) => segment === segments[index]);
  return [...config.auths].flatMap(([key, auth]) => {
    const { host, path, below } = scopeOf(key);
    const matching = [path, below].find((one) => one !== undefined && holds(one));
    return matching === undefined || !hostMatches(host, wanted)
      ? []
      : [{ key, auth, host, length: matching.length }];
  })
    .sort((a, b) =>
      b.length - a.length ||
      Number(b.host === wanted) - Number(a.host === wanted) ||
      Number(b.key === registry) - Number(a.key === registry)
    )
    .map(({ key, auth }) => ({ key, auth }));
}

/** The helper that the file names for a registry: by its name, or another spelling of it. */
export function helperFor(config: DockerConfig, registry: string): string | undefined {
  const exact = config.credHelpers.get(registry);
  if (exact !== undefined) return exact;
  const wanted = scopeOf(registry).host;
  for (const [key, helper] of config.credHelpers) {
    const { host, path } = scopeOf(key);
    if (host === wanted && path.length === 0) return helper;
  }
  return undefined;
}

/** Whether an entry only says that the credential store has the login, as `docker login` writes it. */
export function isEmpty(auth: DockerAuth): boolean {
  return [auth.auth, auth.username, auth.identityToken, auth.registryToken].every((one) => one === undefined);
}

const NOT_BASE64 = "`auth` is not base64 of user:password";

function decodedAuth(auth: string, origin: string): string {
  let binary: string;
  try {
    binary = atob(auth.trim());
  } catch {
    // What engines say of it may quote it.
    throw fault(origin, NOT_BASE64);
  }
  try {
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw fault(origin, "`auth` holds a user and a password that are not UTF-8: log in again");
  }
}

/**
 * What an entry of `auths` says, `undefined` if it says nothing (`{}`: the password is in the credential store). `auth` counts where
 * `username` and `password` say something else, as for docker and the kubelet.
 *
 * @param origin the file or the variable that has it, for messages
 * @throws {ArtifactError} `config`: `auth` is undecodable
 */
export function credentialsOf(entry: DockerAuth, origin = DEFAULT_ORIGIN): Credentials | undefined {
  if (entry.registryToken !== undefined && !/^[\x21-\x7e]+$/.test(entry.registryToken)) {
    throw fault(origin, "`registrytoken` is no token: it has blanks or other characters that no header has");
  }
  if (entry.registryToken !== undefined) return { kind: "registry_token", token: entry.registryToken };
  if (entry.identityToken !== undefined) return { kind: "identity_token", token: entry.identityToken };
  if (entry.auth === undefined) {
    return entry.username === undefined || entry.password === undefined
      ? undefined
      : { kind: "basic", username: entry.username, password: entry.password };
  }
  const decoded = decodedAuth(entry.auth, origin);
  const colon = decoded.indexOf(":");
  if (colon < 0) throw fault(origin, NOT_BASE64);
  // Old clients filled it up with zeros, which docker leaves out.
  const password = decoded.slice(colon + 1).replace(/^\0+|\0+$/g, "");
  return { kind: "basic", username: decoded.slice(0, colon), password };
}
