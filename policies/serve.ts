/**
 * `npm start`: builds the programs where their sources are newer, and starts `portreeve` (`demo/`), which serves the sample
 * policies and says what to try.
 *
 * usage: serve.ts [--runtime node|bun] [--open] [flags of the policy server ...]
 */
import "../program/check_script.ts";
import { FLAGS } from "../policy_server/types/flags.ts";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
/** `build.ts` writes it last. */
const STAMP = "package.json";
/** What no program is made of. */
const NO_SOURCES = new Set([
  "node_modules",
  "dist",
  "tests",
  "bench",
  "docs",
  "target",
  ".git",
  ".cache",
  ".ci",
]);

function fail(message: string): never {
  process.stderr.write(`Error: ${message}\n`);
  process.exit(1);
}

/** When a file below `folder` was changed last, in milliseconds since 1970. */
function lastChange(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((latest, entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NO_SOURCES.has(entry.name) ? latest : Math.max(latest, lastChange(path));
    if (!/\.(ts|json|wasm)$/.test(entry.name)) return latest;
    return Math.max(latest, statSync(path).mtimeMs);
  }, 0);
}

function isBuilt(): boolean {
  try {
    return statSync(join(dist, STAMP)).mtimeMs >= lastChange(root);
  } catch {
    return false;
  }
}

/** Builds beside `dist` and puts it in its place: another run may be starting from there. */
function build(): void {
  const beside = `${dist}.${process.pid}`;
  const note = "Building the programs, which takes some seconds …";
  const terminal = process.stdout.isTTY;
  process.stdout.write(terminal ? note : `${note}\n`);
  const { status, stderr } = spawnSync(process.execPath, [join(root, "build.ts"), beside], {
    cwd: root,
    encoding: "utf8",
  });
  if (terminal) process.stdout.write("\r\u001b[2K");
  if (status !== 0) {
    if (existsSync(beside)) rmSync(beside, { recursive: true, force: true });
    const readOnly = /\b(?:EROFS|EACCES|EPERM)\b|read-only file system|permission denied/i.exec(stderr)?.[0];
    fail(
      readOnly === undefined
        ? `the programs cannot be built:\n${stderr.trimEnd()}`
        : `the programs are built in ${dist}, which cannot be written (${readOnly}): use a copy of this folder that you may write to`,
    );
  }
  rmSync(dist, { recursive: true, force: true });
  try {
    renameSync(beside, dist);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    // Another run was quicker.
    if (!isBuilt()) throw error;
  }
}

/** Flags that npm took for its own: it does with all that are not behind `--`, and says so in variables. */
const kept = ["--open", "--runtime", ...FLAGS.map(({ name }) => name)].filter((flag) =>
  process.env[`npm_config_${flag.slice(2).replaceAll("-", "_")}`] !== undefined
);
if (kept.length > 0) fail(`npm kept ${kept.join(", ")} for itself: write npm start -- in front of all flags`);

const words = process.argv.slice(2);
const at = words.indexOf("--runtime");
const [, named] = at < 0 ? [] : words.splice(at, 2);
if (at >= 0 && named !== "node" && named !== "bun") fail("--runtime takes node or bun");
if (!isBuilt()) build();
const runtime = named === undefined ? process.execPath : join(root, "node_modules/.bin", named);
const server = spawn(runtime, [join(dist, "portreeve.js"), ...words], { stdio: "inherit" });
// A terminal sends its signals to the server as well; other senders know this process only.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => process.stdin.isTTY && signal === "SIGINT" || server.kill(signal));
}
server.on(
  "error",
  (error) => fail(`${relative(process.cwd(), runtime)} cannot be started: ${error.message}`),
);
server.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
