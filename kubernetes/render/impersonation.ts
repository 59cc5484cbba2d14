/** The headers by which a request acts as somebody else (Kubernetes, "User impersonation"). */
import type { UserEntry } from "../types/kubeconfig_user.ts";

/** Characters that a header's name may not have, and `%` itself, are percent-encoded, as client-go does. */
function headerKey(key: string): string {
  return [...new TextEncoder().encode(key.toLowerCase())].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9!#$&'*+\-.^_`|~]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

/** A header's value is sent byte by byte; names are UTF-8 to an API server. */
const sent = (text: string): string =>
  [...new TextEncoder().encode(text)].map((byte) => String.fromCharCode(byte)).join("");

/** One entry a line: a group may have a comma in its name, so that values are never joined. */
export function impersonationHeaders(
  { as, asUid, asGroups, asUserExtra }: Pick<UserEntry, "as" | "asUid" | "asGroups" | "asUserExtra">,
): Readonly<Record<string, string | readonly string[]>> {
  const headers = new Map<string, string | readonly string[]>();
  if (as !== undefined) headers.set("Impersonate-User", sent(as));
  if (asUid !== undefined) headers.set("Impersonate-Uid", sent(asUid));
  if (asGroups.length > 0) headers.set("Impersonate-Group", asGroups.map(sent));
  for (const [key, values] of asUserExtra) {
    if (values.length > 0) headers.set(`Impersonate-Extra-${headerKey(key)}`, values.map(sent));
  }
  return Object.fromEntries(headers);
}
