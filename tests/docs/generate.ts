/**
 * Writes the pages that are made from what tests hold.
 *
 * usage: npm run build:docs
 */
import "../../program/check_script.ts";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { compatibilityPage } from "./compatibility.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const page = join(root, "docs/compatibility.md");
writeFileSync(page, compatibilityPage());
const { status } = spawnSync(join(root, "node_modules/.bin/deno"), ["fmt", page], { stdio: "inherit" });
process.exitCode = status ?? 1;
