/** A working directory and a home of its own for a test, and what is put there. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Place, reeve, type Result } from "./reeve.ts";

export const root = fileURLToPath(new URL("../../", import.meta.url));
const recorded = join(root, "tests/vectors/cli/files");

/** The sample policy that most tests use; it carries metadata. */
export const POLICY = join(root, "policies/pod-privileged/policy.wasm");
/** A waPC module without metadata. */
export const PLAIN = join(recorded, "plain.wasm");

export interface TestPlace extends Place {
  readonly store: string;
  /** Runs a command line here. */
  readonly reeve: (...words: readonly string[]) => Promise<Result>;
  /** As {@link TestPlace.reeve}, otherwise than usual. */
  readonly reeveWith: (special: Partial<Place>, ...words: readonly string[]) => Promise<Result>;
  /** Writes a file below the working directory. */
  readonly file: (name: string, content: string | Uint8Array) => string;
  /** Takes files of the recordings (`tests/vectors/cli/files`) here. */
  readonly recorded: (...names: readonly string[]) => void;
  /** Puts a module into the store under its path there. */
  readonly stored: (path: string, content: Uint8Array) => void;
  /** All files below the store, by their paths there. */
  readonly inStore: () => readonly string[];
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

function filesBelow(folder: string, prefix = ""): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? filesBelow(join(folder, entry.name), `${prefix}${entry.name}/`)
      : [`${prefix}${entry.name}`]
  ).sort();
}

function put(path: string, content: string | Uint8Array): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** Runs a test in a place that is gone afterwards. */
export async function inPlace(test: (place: TestPlace) => Promise<void>): Promise<void> {
  const base = mkdtempSync(join(tmpdir(), "reeve-"));
  const [cwd, home] = [join(base, "work"), join(base, "home")];
  for (const folder of [cwd, home]) mkdirSync(folder);
  const store = join(home, ".cache/kubewarden/store");
  const place = { cwd, home };
  try {
    await test({
      ...place,
      store,
      reeve: (...words) => reeve(words, place),
      reeveWith: (special, ...words) => reeve(words, { ...place, ...special }),
      file: (name, content) => put(join(cwd, name), content),
      recorded: (...names) => names.forEach((name) => cpSync(join(recorded, name), join(cwd, name))),
      stored: (path, content) => void put(join(store, path), content),
      inStore: () => filesBelow(store),
    });
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}
