/** How a request to a registry is authorized: `GET /v2/`, then a token or Basic (`spec/fetch-verify.md §6.1`). */
import { type Challenge, parseChallenge, tokenUrl } from "../render/challenge.ts";
import type { Credentials } from "../types/docker_config.ts";
import { namedAddress } from "../types/address.ts";
import { ArtifactError } from "../types/error.ts";
import { parseJson } from "../types/json_text.ts";
import { type HttpClient, type HttpRequest, readBytes } from "./http.ts";

const MAX_TOKEN_BYTES = 1024 * 1024;

export type AuthSettings = {
  /** `https://host[:port]` of the registry. */
  readonly base: string;
  readonly http: HttpClient;
  readonly credentials: Credentials;
  readonly access: "pull" | "push";
  /** Whether a host may be spoken to without TLS. */
  readonly plainAllowed: (hostAndPort: string) => boolean;
  readonly onRefused: (reason: string) => void;
};

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function tokenRequest(
  settings: AuthSettings,
  challenge: Challenge & { scheme: "bearer" },
  scope: string,
): HttpRequest {
  const { credentials } = settings;
  if (credentials.kind !== "identity_token") {
    return {
      method: "GET",
      url: tokenUrl(challenge, scope),
      headers: credentials.kind === "basic"
        ? { authorization: basic(credentials.username, credentials.password) }
        : {},
    };
  }
  const form = new URLSearchParams({
    grant_type: "refresh_token",
    service: challenge.service ?? "",
    scope,
    client_id: "portreeve",
    refresh_token: credentials.token,
  });
  return {
    method: "POST",
    url: challenge.realm,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new TextEncoder().encode(form.toString()),
  };
}

async function bearer(
  settings: AuthSettings,
  challenge: Challenge & { scheme: "bearer" },
  scope: string,
): Promise<string | undefined> {
  const realm = namedAddress(challenge.realm, undefined, `${settings.base} names as its token realm`);
  if (realm.protocol === "http:" && !settings.plainAllowed(realm.host)) {
    const what = settings.credentials.kind === "anonymous"
      ? "a token to be asked for at"
      : "credentials to be sent to";
    throw new ArtifactError(
      "protocol",
      `${settings.base} asks for ${what} ${realm.origin} without TLS: refused ` +
        `(list ${realm.host} in insecure_sources to allow it)`,
    );
  }
  const response = await settings.http.send(tokenRequest(settings, challenge, scope));
  if (response.status !== 200) {
    response.discard();
    settings.onRefused(`${realm.origin} gave no token: status ${response.status}`);
    return undefined;
  }
  const bytes = await readBytes(response, MAX_TOKEN_BYTES, "the token");
  try {
    const { token, access_token: accessToken } = parseJson(
      Buffer.from(bytes).toString("utf8"),
      "the token",
    ) as Readonly<Record<string, unknown>>;
    // Each of the two names may be there and empty.
    const value = [token, accessToken].find((given) =>
      typeof given === "string" && /^[\x21-\x7e]+$/.test(given)
    );
    if (value === undefined) throw new Error("no token in it");
    return `Bearer ${value}`;
  } catch {
    settings.onRefused(`${realm.origin} answered with no token`);
    return undefined;
  }
}

/** What a registry asks of everybody: its `WWW-Authenticate` header at `/v2/`, `undefined` for nothing. */
export async function askedAtBase(
  { http, base }: Pick<AuthSettings, "http" | "base">,
): Promise<string | undefined> {
  const ping = await http.send({ method: "GET", url: `${base}/v2/`, headers: {} });
  const header = ping.header("www-authenticate");
  ping.discard();
  return header || undefined;
}

/**
 * The `Authorization` header for one repository that answers `WWW-Authenticate`, `undefined` for none: also when no token is to be had,
 * as the request that follows says it better.
 */
export async function authorizationFor(
  settings: AuthSettings,
  repository: string,
  header: string,
): Promise<string | undefined> {
  const { base, credentials } = settings;
  const challenge = parseChallenge(header);
  if (challenge.scheme === "bearer" && credentials.kind === "registry_token") {
    return `Bearer ${credentials.token}`;
  }
  if (challenge.scheme === "basic") {
    if (credentials.kind === "identity_token") {
      settings.onRefused("IdentityToken credential not supported. Using anonymous instead");
    }
    if (credentials.kind === "registry_token") {
      settings.onRefused(`the registrytoken is not used: ${base} asks for a user name and a password`);
    }
    return credentials.kind === "basic" ? basic(credentials.username, credentials.password) : undefined;
  }
  const scope = `repository:${repository}:${settings.access === "push" ? "pull,push" : "pull"}`;
  return await bearer(settings, challenge, scope);
}
