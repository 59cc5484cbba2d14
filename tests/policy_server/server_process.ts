/** A policy server as its users run it: a process of its own, on the runtime that runs the test. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { imageEnvironment, programFile } from "../programs.ts";
import { identity } from "./certificates.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Whether the tests run on Bun. */
export const ON_BUN = "bun" in process.versions;
/** Nothing here takes that long; what does has gone wrong. */
const LIMIT_MS = 60_000;

/** The URL of a committed module, given by its path in the repository. */
export function moduleUrl(path: string): string {
  return pathToFileURL(join(root, path)).href;
}

/** How a server is started. */
export interface ServerSetting {
  /** Entries of policies.yml, or its text; as a function where they are known when `prepare` has run. */
  readonly policies: string | Readonly<Record<string, unknown>> | (() => Readonly<Record<string, unknown>>);
  /** Further flags. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** With a certificate of its own unless false. */
  readonly tls?: boolean;
  /** How many files it may have open; as many as the test unless given. */
  readonly descriptors?: number;
  /** The program; the sources' own unless given. */
  readonly program?: string;
  /** Puts files into the folder in which the server is started. */
  readonly prepare?: (folder: string) => void;
  /** Characters of each output that are kept; all unless given. What comes later is read and thrown away. */
  readonly maxOutput?: number;
  /** The words that start the program, of those that would. */
  readonly wrap?: (command: readonly string[]) => readonly string[];
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A running server, or one that has ended. */
export interface ServerProcess {
  readonly pid: number;
  readonly port: number;
  readonly readinessPort: number;
  readonly tls: boolean;
  /** Holds policies.yml, and tls.crt and tls.key. */
  readonly folder: string;
  /** What came out so far. */
  stdout(): string;
  stderr(): string;
  /** Log lines that hold `text`. */
  lines(text: string): readonly string[];
  /** Resolves when `times` log lines hold `text`. */
  logged(text: string, times?: number): Promise<void>;
  signal(name: NodeJS.Signals): void;
  readonly exited: Promise<Exit>;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves when `condition` holds. */
export async function until(condition: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

let serverIdentity: ReturnType<typeof identity> | undefined;

async function start(
  setting: ServerSetting,
  folder: string,
): Promise<ServerProcess & { child: ChildProcess }> {
  const { flags = [], env = {}, tls = true, maxOutput = Infinity } = setting;
  setting.prepare?.(folder);
  const policies = typeof setting.policies === "function" ? setting.policies() : setting.policies;
  const policiesPath = join(folder, "policies.yml");
  writeFileSync(policiesPath, typeof policies === "string" ? policies : JSON.stringify(policies));
  const readinessPort = await freePort();
  const args = ["--addr", "127.0.0.1", "--port", "0", "--readiness-probe-port", String(readinessPort)];
  args.push("--policies", policiesPath);
  if (tls) {
    const { cert, key } = await (serverIdentity ??= identity("localhost"));
    writeFileSync(join(folder, "tls.crt"), cert);
    writeFileSync(join(folder, "tls.key"), key);
    args.push("--cert-file", join(folder, "tls.crt"), "--key-file", join(folder, "tls.key"));
  }
  // A flag given by the test takes the place of the one here.
  const given = new Set(flags.filter((flag) => flag.startsWith("--")));
  const kept = args.filter((arg, index) =>
    !given.has(arg) && !(index % 2 === 1 && given.has(args[index - 1]!))
  );
  const command = [process.execPath, setting.program ?? programFile("policy_server"), ...kept, ...flags];
  if (setting.descriptors !== undefined) {
    command.unshift("prlimit", `--nofile=${setting.descriptors}:${setting.descriptors}`);
  }
  const [file = "", ...words] = setting.wrap?.(command) ?? command;
  const child = spawn(file, words, {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...imageEnvironment("policy_server"),
      PATH: process.env["PATH"],
      HOME: folder,
      PORTREEVE_TERMINATION_LOG: join(folder, "none"),
      ...env,
    },
  });
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += stdout.length < maxOutput ? text : "");
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += stderr.length < maxOutput ? text : "");
  let ended = false;
  const exited = new Promise<Exit>((resolve) =>
    child.once("close", (code, signal) => {
      ended = true;
      resolve({ code, signal });
    })
  );
  const lines = (text: string) => stdout.split("\n").filter((line) => line.includes(text));
  const logged = (text: string, times = 1) =>
    until(() => lines(text).length >= times || ended, () => `${text}\n${stdout}${stderr}`).then(() => {
      if (lines(text).length < times) throw new Error(`ended without: ${text}\n${stdout}${stderr}`);
    });
  return {
    child,
    pid: child.pid!,
    get port() {
      return Number(/policy server is ready.*\/\/[^"]*:(\d+)"/.exec(stdout)?.[1]);
    },
    readinessPort,
    tls,
    folder,
    stdout: () => stdout,
    stderr: () => stderr,
    lines,
    logged,
    signal: (name) => void child.kill(name),
    exited,
  };
}

async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "policy-server-"));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts a server, gives it to `use` once it is ready, and ends it. */
export function serving<T>(setting: ServerSetting, use: (server: ServerProcess) => Promise<T>): Promise<T> {
  return starting(setting, async (server) => {
    await server.logged("policy server is ready");
    return await use(server);
  });
}

/** Starts a server, gives it to `use` at once, and ends it. */
export function starting<T>(setting: ServerSetting, use: (server: ServerProcess) => Promise<T>): Promise<T> {
  return withFolder(async (folder) => {
    const server = await start(setting, folder);
    try {
      return await use(server);
    } finally {
      server.child.kill("SIGKILL");
      await server.exited;
    }
  });
}

/** What a server that can't start leaves behind. */
export interface FailedStart extends Exit {
  readonly stdout: string;
  readonly stderr: string;
  readonly folder: string;
}

/** Starts a server that must not come up, and looks at what it says. */
export function failing(
  setting: ServerSetting,
  look: (failed: FailedStart) => void | Promise<void>,
): Promise<void> {
  return withFolder(async (folder) => {
    const server = await start(setting, folder);
    const limit = setTimeout(() => server.child.kill("SIGKILL"), LIMIT_MS);
    const exit = await server.exited;
    clearTimeout(limit);
    await look({ ...exit, stdout: server.stdout(), stderr: server.stderr(), folder });
  });
}
