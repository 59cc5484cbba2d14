/** How a registry wants to be spoken to: its `WWW-Authenticate` header (`spec/fetch-verify.md §6.1`). */

export type Challenge =
  | { readonly scheme: "bearer"; readonly realm: string; readonly service: string | undefined }
  | { readonly scheme: "basic" };

/** Reads the header; a `Bearer` challenge that names no realm cannot be met and counts as `basic`. */
export function parseChallenge(header: string): Challenge {
  const bearer = /(?:^|,)\s*Bearer\s+/i.exec(header);
  if (bearer === null) return { scheme: "basic" };
  const parameters = new Map<string, string>();
  const rest = header.slice(bearer.index + bearer[0].length);
  for (const match of rest.matchAll(/([A-Za-z_]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))/g)) {
    const name = (match[1] ?? "").toLowerCase();
    if (!parameters.has(name)) parameters.set(name, match[2] ?? match[3] ?? "");
  }
  const realm = parameters.get("realm");
  return realm === undefined || realm === ""
    ? { scheme: "basic" }
    : { scheme: "bearer", realm, service: parameters.get("service") };
}

/** The URL that hands out a token for one repository. */
export function tokenUrl(challenge: Challenge & { scheme: "bearer" }, scope: string): string {
  const url = new URL(challenge.realm);
  url.searchParams.append("scope", scope);
  if (challenge.service !== undefined) url.searchParams.append("service", challenge.service);
  return url.href;
}
