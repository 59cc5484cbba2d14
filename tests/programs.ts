/**
 * The programs that tests start. `tests/run.ts` bundles them once, as the images hold them, because a bundle starts in a
 * third of the time that the source takes; a test file that is run by itself takes the source, or bundles what it needs.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type Component, COMPONENTS } from "../deploy/images/components.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Names the folder of the bundles. */
export const BUNDLES_VARIABLE = "PORTREEVE_TEST_BUNDLES";

const SOURCES = {
  policy_server: "policy_server/main.ts",
  audit: "audit/main.ts",
  controller: "controller/main.ts",
  reeve: "cli/main.ts",
  portreeve: "policies/demo/main.ts",
} as const;

type Program = keyof typeof SOURCES;

/** The image of each program. */
const IMAGES: { readonly [program in Exclude<Program, "portreeve">]: Component } = {
  policy_server: "policy-server",
  audit: "audit-scanner",
  controller: "controller",
  reeve: "cli",
};

/** The variables with which the image starts a program: Node's flags, or what Bun's engine reads. */
export function imageEnvironment(name: keyof typeof IMAGES): { readonly [variable: string]: string } {
  return imageEnvironmentOf(name, "bun" in process.versions ? "bun" : "node");
}

/** The same for a runtime that need not be this one. */
export function imageEnvironmentOf(
  name: keyof typeof IMAGES,
  runtime: "node" | "bun",
): { readonly [variable: string]: string } {
  return runtime === "bun"
    ? COMPONENTS[IMAGES[name]].bunEnvironment ?? {}
    : { NODE_OPTIONS: COMPONENTS[IMAGES[name]].nodeOptions.join(" ") };
}

/** Bundles all programs into a folder that is gone when this process is. Returns the folder. */
export function makeBundles(): string {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-bundles-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const { status, stderr } = spawnSync(process.execPath, ["build.ts", folder], {
    cwd: root,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`the programs cannot be bundled:\n${stderr}`);
  return folder;
}

/** The bundle of a program, made now where the runner has made none. */
export function bundleFile(name: Program): string {
  const bundle = join(process.env[BUNDLES_VARIABLE] ??= makeBundles(), `${name}.js`);
  if (!existsSync(bundle)) throw new Error(`${BUNDLES_VARIABLE}: ${bundle} is missing`);
  return bundle;
}

/** The file of a program: its bundle where there is one, else its source. */
export function programFile(name: Program): string {
  return process.env[BUNDLES_VARIABLE] === undefined ? join(root, SOURCES[name]) : bundleFile(name);
}
