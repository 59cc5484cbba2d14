/** The server of a soak: started, watched from outside (`/proc`), ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import process from "node:process";
import { identity } from "../policy_server/certificates.ts";
import { freePort } from "../policy_server/server_process.ts";

/** What the process holds. */
export type Held = {
  readonly rssMib: number;
  readonly descriptors: number;
  readonly threads: number;
};

export type Observed = {
  readonly pid: number;
  readonly port: number;
  /** Resolves when it is ready; rejects when it ends before. */
  ready(): Promise<void>;
  /** Undefined when it is gone. */
  held(): Held | undefined;
  reload(): void;
  /** Puts a new certificate in the place of the old one. */
  swapCertificate(): Promise<void>;
  /** Asks it to end; resolves to how long that took and how it went. */
  stop(): Promise<{ readonly ms: number; readonly code: number | null; readonly signal: string | null }>;
  /** Whether it has ended without being asked. */
  ended(): boolean;
};

export type ObservedOptions = {
  readonly command: readonly string[];
  readonly folder: string;
  readonly policiesFile: string;
  readonly env?: Readonly<Record<string, string>>;
};

/** Kubernetes gives this long from SIGTERM to SIGKILL. */
const GRACE_MS = 30_000;
const READY_MS = 180_000;

async function writeIdentity(folder: string): Promise<void> {
  const { cert, key } = await identity("localhost");
  writeFileSync(join(folder, "tls.key"), key);
  writeFileSync(join(folder, "tls.crt"), cert);
}

const isReady = (port: number) =>
  new Promise<boolean>((resolve) => {
    const request = get({ host: "127.0.0.1", port, path: "/readiness", agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("error", () => resolve(false));
  });

/** Starts a server; its log goes to `server.log` in the folder. */
export async function startObserved(options: ObservedOptions): Promise<Observed> {
  const { command: [file, ...words], folder, policiesFile, env = {} } = options;
  await writeIdentity(folder);
  const port = await freePort();
  const readinessPort = await freePort();
  const log = openSync(join(folder, "server.log"), "a");
  const child: ChildProcess = spawn(file!, [
    ...words,
    ...["--addr", "127.0.0.1", "--port", String(port), "--readiness-probe-port", String(readinessPort)],
    ...["--cert-file", join(folder, "tls.crt"), "--key-file", join(folder, "tls.key")],
    ...["--policies", policiesFile, "--policies-download-dir", folder, "--workers", "2"],
  ], {
    cwd: folder,
    stdio: ["ignore", log, log],
    env: { PATH: process.env["PATH"], HOME: folder, ...env },
  });
  closeSync(log);
  process.once("exit", () => child.kill("SIGKILL"));
  let gone = false;
  const exit = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once("error", () => (gone = true, resolve({ code: null, signal: null })));
    child.once("exit", (code, signal) => (gone = true, resolve({ code, signal })));
  });
  const { pid = -1 } = child;
  return {
    pid,
    port,
    async ready() {
      for (const end = Date.now() + READY_MS; !await isReady(readinessPort);) {
        if (gone || Date.now() > end) {
          throw new Error(
            `the server did not become ready:\n${
              readFileSync(join(folder, "server.log"), "utf8").slice(-2000)
            }`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    held() {
      try {
        const status = readFileSync(`/proc/${pid}/status`, "utf8");
        const number = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)![1]);
        const descriptors = readdirSync(`/proc/${pid}/fd`).length;
        return { rssMib: number("VmRSS") / 1024, descriptors, threads: number("Threads") };
      } catch {
        return undefined;
      }
    },
    reload: () => void child.kill("SIGHUP"),
    swapCertificate: () => writeIdentity(folder),
    async stop() {
      const started = performance.now();
      child.kill("SIGTERM");
      const limit = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
      const ended = await exit;
      clearTimeout(limit);
      return { ms: performance.now() - started, ...ended };
    },
    ended: () => gone,
  };
}
