// A check for CI: every manifest (JSON) below a folder against a policy. Exit code 1 when one is rejected.
//
// usage: node check_manifests.mjs FOLDER
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { loadPolicy } from "portreeve";

const folder = process.argv[2] ?? ".";
await using policy = await loadPolicy(process.env.POLICY ?? "policy.wasm", { settings: process.env.SETTINGS ?? "{}" });

const settings = await policy.validateSettings();
if (!settings.valid) throw new Error(`the policy refuses its settings: ${settings.message}`);

/** What the API server would ask when the object is created. */
function requestOf(object) {
  const [version, group = ""] = object.apiVersion.split("/").reverse();
  return {
    uid: crypto.randomUUID(),
    kind: { group, version, kind: object.kind },
    // Good enough for policies that look at objects; an API server knows the plural.
    resource: { group, version, resource: `${object.kind.toLowerCase()}s` },
    operation: "CREATE",
    userInfo: { username: "ci" },
    namespace: object.metadata?.namespace ?? "default",
    object,
  };
}

let rejected = 0;
for (const name of (await readdir(folder, { recursive: true })).sort()) {
  if (!name.endsWith(".json")) continue;
  const { allowed, status, warnings } = await policy.validate(requestOf(JSON.parse(await readFile(join(folder, name), "utf8"))));
  for (const warning of warnings ?? []) console.log(`${name}: warning: ${warning}`);
  if (allowed) continue;
  rejected++;
  console.log(`${name}: ${status?.message ?? "rejected"}`);
}
console.log(`${rejected} rejected`);
process.exitCode = rejected > 0 ? 1 : 0;
