/** Kubeconfigs as the tests of this folder write them: one cluster `k`, one user `u`, one context `c`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

let files = 0;

/** Writes a file below the context's folder, as JSON unless it is a text. Returns its path. */
export function put(
  { folder }: { readonly folder: string },
  content: unknown,
  name = `config-${++files}`,
): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** A kubeconfig with this cluster and this user. */
export const config = (cluster: unknown, user: unknown, more: Readonly<Record<string, unknown>> = {}) => ({
  apiVersion: "v1",
  kind: "Config",
  "current-context": "c",
  contexts: [{ name: "c", context: { cluster: "k", user: "u" } }],
  clusters: [{ name: "k", cluster }],
  users: [{ name: "u", user }],
  ...more,
});
