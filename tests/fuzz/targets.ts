/** The targets by name, each a file of `targets/`. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Target } from "./target.ts";

const folder = new URL("./targets/", import.meta.url);

/** The names of all targets. */
export function targetNames(): readonly string[] {
  return readdirSync(fileURLToPath(folder))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length).replaceAll("_", "-"))
    .sort();
}

/** Loads a target. Throws Error where there is none of this name. */
export async function loadTarget(name: string): Promise<Target> {
  if (!targetNames().includes(name)) {
    throw new Error(`there is no target "${name}"; there are: ${targetNames().join(", ")}`);
  }
  const file = new URL(`${name.replaceAll("-", "_")}.ts`, folder);
  const { target } = await import(file.href) as { readonly target: Target };
  return target;
}
