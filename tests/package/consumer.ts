/** Folders of users of the package: empty, but for what `npm install` of the packed package puts there. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const BIN = join(ROOT, "node_modules/.bin");
export const CACHE = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "portreeve");
/** Bundlers and frameworks (`tools/install.sh`). */
export const TOOLS = join(CACHE, "package-tools/node_modules");
export const MISSING_TOOLS = existsSync(TOOLS) ? undefined : "bash tests/package/tools/install.sh";
export const NODE_24 = join(CACHE, "node24/node_modules/.bin/node");

/** What became of a command. */
export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command as somebody who has npm and the runtimes, and nothing of this checkout, in the way. */
export function run(
  folder: string,
  command: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Ran {
  const { status, stdout, stderr, error } = spawnSync(command, words, {
    cwd: folder,
    encoding: "utf8",
    maxBuffer: 64 << 20,
    timeout: 600_000,
    env: {
      PATH: `${BIN}:${process.env["PATH"] ?? ""}`,
      HOME: process.env["HOME"] ?? folder,
      NO_COLOR: "1",
      NODE_NO_WARNINGS: "1",
      ...env,
    },
  });
  if (error) throw error;
  return { status, stdout, stderr };
}

/** The same, which must succeed. Returns what it printed. */
export function succeed(folder: string, command: string, ...words: readonly string[]): string {
  const { status, stdout, stderr } = run(folder, command, words);
  if (status !== 0) {
    throw new Error(`${command} ${words.join(" ")} ended with ${status}:\n${stdout}\n${stderr}`);
  }
  return stdout;
}

/** Folders that are no part of what is packed. */
const NOT_PACKED = new Set([
  "node_modules",
  "npm",
  "npm-maps",
  "dist",
  "tests",
  "docs",
  "bench",
  ".git",
  "target",
]);

function sourcesDigest(): string {
  const hash = createHash("sha256");
  const add = (folder: string) => {
    for (
      const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => a.name < b.name ? -1 : 1)
    ) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!NOT_PACKED.has(entry.name)) add(path);
      } else if (/\.(ts|json|md|wasm)$/.test(entry.name)) hash.update(path).update(readFileSync(path));
    }
  };
  add(ROOT);
  return hash.digest("hex").slice(0, 24);
}

/** Copies what `npm pack` needs of this checkout, so that test files that run at the same time don't build into one folder. */
export function copyCheckout(to: string): string {
  cpSync(ROOT, to, {
    recursive: true,
    filter: (path) => !/\/(node_modules|npm|npm-maps|dist|\.git|target|tests|bench)$/.test(path),
  });
  symlinkSync(join(ROOT, "node_modules"), join(to, "node_modules"));
  return to;
}

/** The packed package: what `npm pack` makes of the sources as they are. Made once for all test files. */
export function tarball(): string {
  const file = join(tmpdir(), "portreeve-package", sourcesDigest(), "portreeve.tgz");
  if (existsSync(file)) return file;
  const folder = mkdtempSync(join(tmpdir(), "portreeve-pack-"));
  try {
    const copy = copyCheckout(join(folder, "checkout"));
    const packed = succeed(copy, "npm", "pack", "--silent", "--pack-destination", folder).trim().split("\n")
      .at(-1)!;
    mkdirSync(dirname(dirname(file)), { recursive: true });
    // Earlier sources' packages are of no use any more.
    for (const old of readdirSync(dirname(dirname(file)))) {
      rmSync(join(dirname(dirname(file)), old), { recursive: true, force: true });
    }
    mkdirSync(dirname(file), { recursive: true });
    renameSync(join(folder, packed), file);
    return file;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A folder with the package installed, gone when the process is. `files` by their names. */
export function consumer(
  files: Readonly<Record<string, string>> = {},
  { type = "module", links = [] }: {
    readonly type?: "module" | "commonjs";
    readonly links?: readonly string[];
  } = {},
): string {
  const folder = mkdtempSync(join(tmpdir(), "portreeve-consumer-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  write(folder, { "package.json": JSON.stringify({ name: "consumer", private: true, type }), ...files });
  succeed(folder, "npm", "install", "--silent", "--offline", "--no-audit", "--no-fund", tarball());
  for (const name of links) {
    mkdirSync(dirname(join(folder, "node_modules", name)), { recursive: true });
    symlinkSync(join(TOOLS, name), join(folder, "node_modules", name));
  }
  return folder;
}

/** Writes files into a folder. */
export function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}
