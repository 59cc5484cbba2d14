/**
 * The programs that tests start. `tests/run.ts` bundles them once, as the images hold them, because a bundle starts in a
 * third of the time that the source takes; a test file that is run by itself takes the source.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Names the folder of the bundles. */
export const BUNDLES_VARIABLE = "PORTREEVE_TEST_BUNDLES";

const SOURCES = {
  policy_server: "policy_server/main.ts",
  audit: "audit/main.ts",
  controller: "controller/main.ts",
  reeve: "cli/main.ts",
} as const;

/** The file of a program. */
export function programFile(name: keyof typeof SOURCES): string {
  const folder = process.env[BUNDLES_VARIABLE];
  if (folder === undefined) return join(root, SOURCES[name]);
  const bundle = join(folder, `${name}.js`);
  if (!existsSync(bundle)) throw new Error(`${BUNDLES_VARIABLE}: ${bundle} is missing`);
  return bundle;
}
