// A check for CI: every manifest (YAML or JSON) below a folder against a policy. It ends with code 1 when one is rejected or can't be
// read, and when there was none to check.
//
// usage: npm install portreeve yaml && node check_manifests.mjs FOLDER
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { loadPolicy } from "portreeve";
import { parseAllDocuments } from "yaml";

const folder = process.argv[2] ?? ".";
// It ends with an error if the policy refuses its settings.
await using policy = await loadPolicy(process.env.POLICY ?? "policy.wasm", { settings: process.env.SETTINGS ?? "{}" });

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

/** The objects of a file, those of lists one by one. JSON is YAML, too. */
function objectsOf(text) {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    const value = document.toJS();
    return value?.kind === "List" ? value.items : [value];
  }).filter((value) => value !== null);
}

let checked = 0, rejected = 0, unread = 0;
for (const name of (await readdir(folder, { recursive: true })).sort()) {
  if (!/\.(json|ya?ml)$/.test(name) || /(^|[/\\])node_modules[/\\]/.test(name)) continue;
  let objects;
  try {
    objects = objectsOf(await readFile(join(folder, name), "utf8"));
  } catch (error) {
    unread++;
    console.log(`${name}: cannot be read: ${error.message.split("\n")[0]}`);
    continue;
  }
  for (const object of objects) {
    if (typeof object?.apiVersion !== "string" || typeof object.kind !== "string") {
      console.log(`${name}: skipped: no apiVersion and kind, so no manifest`);
      continue;
    }
    checked++;
    const { allowed, status, warnings } = await policy.validate(requestOf(object));
    for (const warning of warnings ?? []) console.log(`${name}: warning: ${warning}`);
    if (allowed) continue;
    rejected++;
    console.log(`${name}: ${object.kind} ${object.metadata?.name ?? ""}: ${status?.message ?? "rejected"}`);
  }
}
console.log(`${checked} checked, ${rejected} rejected, ${unread} not readable`);
if (checked === 0) console.log(`there is no manifest (.yaml, .yml, .json) below ${folder}`);
process.exitCode = rejected + unread > 0 || checked === 0 ? 1 : 0;
