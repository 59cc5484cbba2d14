/** The headers by which a request acts as somebody else (Kubernetes, "User impersonation"). */
import type { UserEntry } from "../types/kubeconfig.ts";

/** Characters that a header's name may not have, and `%` itself, are percent-encoded, as client-go does. */
function headerKey(key: string): string {
  return [...new TextEncoder().encode(key.toLowerCase())].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9!#$&'*+\-.^_`|~]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

/** One entry a line: a group may have a comma in its name, so that values are never joined. */
export function impersonationHeaders(
  { as, asUid, asGroups, asUserExtra }: Pick<UserEntry, "as" | "asUid" | "asGroups" | "asUserExtra">,
): Readonly<Record<string, string | readonly string[]>> {
  const headers = new Map<string, string | readonly string[]>();
  if (as !== undefined) headers.set("Impersonate-User", as);
  if (asUid !== undefined) headers.set("Impersonate-Uid", asUid);
  if (asGroups.length > 0) headers.set("Impersonate-Group", asGroups);
  for (const [key, values] of asUserExtra) {
    if (values.length > 0) headers.set(`Impersonate-Extra-${headerKey(key)}`, values);
  }
  return Object.fromEntries(headers);
}
