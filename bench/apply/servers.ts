/** Policy servers and floors, each a process of its own on a runtime of its own. */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { loopbackCertificate } from "./certificate.ts";
import { isReady } from "./client.ts";
import { freePorts, type Running, start, temporaryFolder, untilReady } from "./processes.ts";

/** The repository's folder. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

const BUNDLE = join(ROOT, "dist/policy_server.js");

export type Runtime = "node" | "bun";

/** Far more than a start takes; a server that isn't ready by then hangs. */
const START_LIMIT_MS = 120_000;

/** The runtimes that the repository pins, whatever this machine has of its own. */
function executable(runtime: Runtime): string {
  const path = join(ROOT, "node_modules/.bin", runtime);
  if (!existsSync(path)) throw new Error(`${path} is missing: run npm ci`);
  return path;
}

/** The version of a runtime that servers are started with, without the `v`. */
export function runtimeVersion(runtime: Runtime): string {
  return spawnSync(executable(runtime), ["--version"], { encoding: "utf8" }).stdout.trim().replace(/^v/, "");
}

/** The files that all servers of a benchmark share. */
export type Bench = {
  readonly folder: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** The program that is measured. */
  readonly program: string;
};

/** Makes the certificate and chooses what is measured: `program`, else the bundle where there is one, else the source. */
export async function prepareBench(program: string | undefined): Promise<Bench> {
  const folder = temporaryFolder();
  const { cert, key } = await loopbackCertificate();
  const certFile = join(folder, "cert.pem");
  const keyFile = join(folder, "key.pem");
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key, { mode: 0o600 });
  const candidates = program === undefined
    ? [BUNDLE, join(ROOT, "policy_server/main.ts")]
    : [resolve(program)];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${candidates.at(-1)} does not exist`);
  return { folder, certFile, keyFile, program: found };
}

/** Whether the program is the repository's bundle and older than a source it was made from. */
export function isStale({ program }: Bench): boolean {
  if (program !== BUNDLE) return false;
  const built = statSync(program).mtimeMs;
  return globSync(["deps.ts", "policy_server/**/*.ts", "evaluator/**/*.ts"], { cwd: ROOT })
    .some((file) => statSync(join(ROOT, file)).mtimeMs > built);
}

/** One entry of a policies file. */
export type PolicyEntry = {
  readonly module: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly allowedToMutate?: boolean;
  readonly timeoutEvalSeconds?: number;
  readonly hostCapabilities?: readonly string[];
  readonly contextAwareResources?: readonly { readonly apiVersion: string; readonly kind: string }[];
};

/** Writes a policies file (JSON is YAML); modules are paths. */
export function writePolicies(file: string, entries: Readonly<Record<string, PolicyEntry>>): void {
  const policies = Object.entries(entries).map(([id, { module, ...rest }]) =>
    [id, { module: pathToFileURL(module).href, ...rest }] as const
  );
  writeFileSync(file, JSON.stringify(Object.fromEntries(policies), null, 2));
}

/** A server that serves. */
export type Serving = {
  readonly url: string;
  readonly running: Running;
  /** From the start of the process to readiness, in milliseconds. */
  readonly readyMs: number;
};

export type ServerStart = {
  readonly runtime: Runtime;
  readonly policiesFile: string;
  /** Further flags of the policy server. */
  readonly flags: readonly string[];
  /** Flags of the runtime. */
  readonly runtimeFlags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/** Starts the policy server and waits until its readiness probe says 200. */
export async function startServer(bench: Bench, options: ServerStart): Promise<Serving> {
  const [port, readinessPort] = await freePorts(2) as [number, number];
  const started = performance.now();
  const running = start({
    command: executable(options.runtime),
    args: [
      ...options.runtimeFlags ?? [],
      bench.program,
      ...["--addr", "127.0.0.1", "--port", String(port), "--readiness-probe-port", String(readinessPort)],
      ...["--cert-file", bench.certFile, "--key-file", bench.keyFile],
      ...["--policies", options.policiesFile],
      ...options.flags,
    ],
    env: options.env,
  });
  await untilReady(
    `the policy server on ${options.runtime}`,
    running,
    () => isReady(readinessPort),
    START_LIMIT_MS,
  );
  return { url: `https://127.0.0.1:${port}`, running, readyMs: performance.now() - started };
}

/** The HTTP floors, by the subject's name: a runtime and the program that it runs. */
const FLOORS = new Map<string, { readonly runtime: Runtime; readonly program: string }>([
  ["floor-node", { runtime: "node", program: "bench/floor.ts" }],
  ["floor-bun", { runtime: "bun", program: "bench/floor.ts" }],
  ["floor-bun-serve", { runtime: "bun", program: "bench/floor_bun_serve.ts" }],
]);

/** Starts an HTTP floor, which answers the reviews of each policy with the given bytes. */
export async function startFloor(
  bench: Bench,
  name: string,
  answers: Readonly<Record<string, string>>,
): Promise<Serving> {
  const floor = FLOORS.get(name);
  if (floor === undefined) throw new Error(`${name} is none of ${[...FLOORS.keys()].join(", ")}`);
  const [port] = await freePorts(1) as [number];
  const answersFile = join(bench.folder, "answers.json");
  writeFileSync(answersFile, JSON.stringify(answers));
  const started = performance.now();
  const running = start({
    command: executable(floor.runtime),
    args: [join(ROOT, floor.program), String(port), bench.certFile, bench.keyFile, answersFile],
  });
  await untilReady(`the floor ${name}`, running, () => listens(port), START_LIMIT_MS);
  return { url: `https://127.0.0.1:${port}`, running, readyMs: performance.now() - started };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
