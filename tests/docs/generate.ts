/**
 * Writes the pages that are made from what tests and programs hold.
 *
 * usage: npm run build:docs
 */
import "../../program/check_script.ts";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { docsMarkdown } from "../../policy_server/render/usage.ts";
import { compatibilityPage } from "./compatibility.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const pages = { "docs/compatibility.md": compatibilityPage(), "docs/policy_server_flags.md": docsMarkdown() };
const files = Object.entries(pages).map(([name, text]) => {
  const file = join(root, name);
  writeFileSync(file, text);
  return file;
});
const { status } = spawnSync(join(root, "node_modules/.bin/deno"), ["fmt", ...files], { stdio: "inherit" });
process.exitCode = status ?? 1;
