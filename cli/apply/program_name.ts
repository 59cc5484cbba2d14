/** What the tool was called: its users have scripts that know it as `kwctl`, and link that name to it. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";

/** The words that this process was started with; those of the runtime itself among them. */
function startedWith(): readonly string[] {
  try {
    return readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

/**
 * `kwctl` when the file, or the link to it, has that name. An executable is told it by its own name, a script by the word before
 * the user's: Bun hides in `process.argv` which link led to a script.
 */
export function programName(): "reeve" | "kwctl" {
  const { argv, argv0 } = process;
  const words = startedWith();
  const script = words[words.length - (argv.length - 2) - 1];
  const called = [argv0, argv[1] ?? "", script ?? ""].map((path) => basename(path).replace(/\.(ts|js)$/, ""));
  return called.includes("kwctl") ? "kwctl" : "reeve";
}
