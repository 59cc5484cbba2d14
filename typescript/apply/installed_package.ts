/** Packages that a user installs beside this one, because only some need them. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { PolicyBuildError } from "../types/build_error.ts";

/** Where `file` (`esbuild`, `typescript/package.json`) is, seen from a folder, or else from this package; undefined if nowhere. */
export function findInstalled(file: string, folder: string): string | undefined {
  for (const from of [join(folder, "policy.ts"), import.meta.url]) {
    try {
      return createRequire(from).resolve(file);
    } catch {
      // Looked for in the next place.
    }
  }
  return undefined;
}

/** The folder of an installed package. */
export function findPackage(name: string, folder: string): string | undefined {
  const manifest = findInstalled(`${name}/package.json`, folder);
  return manifest && dirname(manifest);
}

/** What to do about a package that is missing. */
export const missingPackage = (name: string, what: string) =>
  new PolicyBuildError(`${what} needs the package ${name}: npm install --save-dev ${name}`);
