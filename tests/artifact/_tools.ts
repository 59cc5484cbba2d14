/** The field's own tools, built from their Go modules by `tests/tools/build_*.sh`, and how they are run. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const cache = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");

export type BuiltTool = {
  /** Undefined: it was not built. */
  readonly binary: string | undefined;
  /** What a skipped test says. */
  readonly missing: string;
};

/** @param script what builds it, if that is not named for it */
export function builtTool(name: string, script = name): BuiltTool {
  const binary = join(cache, "portreeve", "bin", name);
  return {
    binary: existsSync(binary) ? binary : undefined,
    missing: `skipped: run tests/tools/build_${script}.sh (needs Go)`,
  };
}

/** Runs a tool with nothing of this machine's configuration; throws with all that it wrote if it fails. */
export function runTool(
  tool: BuiltTool,
  directory: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    if (tool.binary === undefined) return reject(new Error(tool.missing));
    const child = spawn(tool.binary, args, {
      cwd: directory,
      env: { PATH: "/usr/bin:/bin", HOME: directory, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 60_000,
      killSignal: "SIGKILL",
    });
    let output = "";
    child.stdout.on("data", (piece) => output += piece);
    child.stderr.on("data", (piece) => output += piece);
    child.on("error", reject);
    child.on(
      "close",
      (code) =>
        code === 0 ? resolve(output) : reject(new Error(`${tool.binary} ${args.join(" ")}: ${output}`)),
    );
  });
}
