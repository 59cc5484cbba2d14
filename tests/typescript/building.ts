/** Builds policies from TypeScript as `reeve build` does, in folders of their own. */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildPolicy } from "../../typescript/apply/build_policy.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Gives `use` a folder that sees the packages of this repository, and removes it afterwards. */
export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-typescript-"));
  try {
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A whole module of a policy whose `validate` has this body; `before` stands in front of it. */
export const validating = (body: string, before = "") =>
  `import { accept, definePolicy, mutate, reject } from "portreeve/policy";
${before}
export default definePolicy({
  validate(request, { settings, host }) {
    ${body}
  },
});
void [accept, mutate, reject];
`;

/** The module of a policy that is one file, or several by their names, of which `policy.ts` is the first. */
export function build(
  source: string | Readonly<Record<string, string>>,
  log: (line: string) => void = () => {},
): Promise<Uint8Array> {
  return inFolder(async (folder) => {
    const files = typeof source === "string" ? { "policy.ts": source } : source;
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return (await buildPolicy(join(folder, "policy.ts"), log)).module;
  });
}

/** A request for no Pod in particular. */
export const REQUEST = {
  uid: "1",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  operation: "CREATE",
  userInfo: {},
  object: {},
} as const;
