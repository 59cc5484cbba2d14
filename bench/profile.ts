/**
 * Shows what a request's processor time is spent on: the parts of the main thread by a sampling profile under load, and what the
 * threads that evaluate take besides. Those have no inspector (`evaluator/apply/thread_powers.ts`), and Bun's main thread has another, so
 * this is for Node. See README.md.
 *
 * usage: npm run bench:profile -- [options]      (--help lists them)
 */
import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { basename, join, relative } from "node:path";
import process from "node:process";
import { commandLine } from "./apply/command_line.ts";
import { drive, findGenerator } from "./apply/load.ts";
import { profileMainThread } from "./apply/inspector.ts";
import { freePorts, processorMs } from "./apply/processes.ts";
import { prepareBench, ROOT, startServer, writePolicies } from "./apply/servers.ts";
import { prepare } from "./apply/subjects.ts";
import { type SourceOf, splitOf } from "./render/profile.ts";
import { table } from "./render/report.ts";
import { MAX_CONNECTIONS, MAX_SECONDS, oneOf, whole } from "./types/options.ts";
import { WORKLOADS } from "./types/workloads.ts";

const HELP = `usage: npm run bench:profile -- [options]

  --policy NAME        [default: pod-privileged]
  --connections N      [default: 32]
  --duration SECONDS   [default: 6]
  --server-flags TEXT  further flags of the server, e.g. --server-flags="--serving-threads 2"
`;

const { values } = commandLine({
  options: {
    policy: { type: "string", default: "pod-privileged" },
    connections: { type: "string", default: "32" },
    duration: { type: "string", default: "6" },
    "server-flags": { type: "string", default: "" },
    help: { type: "boolean", default: false },
  },
});

/** Finds the sources of the places in the bundles of a folder, by the maps beside them. */
function sourcesOf(folder: string): SourceOf {
  const maps = new Map<string, SourceMap | undefined>();
  const mapOf = (file: string) => {
    if (!maps.has(file)) {
      const path = join(folder, `${basename(file)}.map`);
      maps.set(file, existsSync(path) ? new SourceMap(JSON.parse(readFileSync(path, "utf8"))) : undefined);
    }
    return maps.get(file);
  };
  return (url, line, column) => {
    if (!/\.[cm]?js$/.test(url) || /^(?:node|bun):/.test(url)) return undefined;
    const entry = mapOf(url)?.findEntry(line, column);
    if (entry === undefined || !("originalSource" in entry)) return undefined;
    return relative(ROOT, join(folder, entry.originalSource)).replaceAll("\\", "/");
  };
}

async function run(): Promise<void> {
  const connections = whole("--connections", values.connections, MAX_CONNECTIONS);
  const seconds = whole("--duration", values.duration, MAX_SECONDS);
  const name = oneOf("--policy", values.policy, WORKLOADS.map(({ policy }) => policy));
  const workload = WORKLOADS.find(({ policy }) => policy === name)!;
  const bench = await prepareBench(join(ROOT, "dist/policy_server.js"));
  const prepared = prepare(bench, workload);
  const policiesFile = join(bench.folder, "policies.yml");
  const { policy, module, settings, allowedToMutate } = workload;
  writePolicies(policiesFile, { [policy]: { module: join(ROOT, module), settings, allowedToMutate } });
  const [inspector] = await freePorts(1) as [number];
  const server = await startServer(bench, {
    runtime: "node",
    policiesFile,
    flags: values["server-flags"].split(" ").filter((word) => word !== ""),
    runtimeFlags: [`--inspect=127.0.0.1:${inspector}`],
  });
  const load = {
    generator: findGenerator(),
    url: `${server.url}/validate/${policy}`,
    connections,
    threads: 1,
  };
  const { reviewFile, expectedFile } = prepared;
  await drive({ ...load, seconds: 2, reviewFile, expectedFile });
  const profile = await profileMainThread(inspector);
  const before = processorMs(server.running.pid);
  const { requests, errors, firstError } = await drive({ ...load, seconds, reviewFile, expectedFile });
  const after = processorMs(server.running.pid);
  const sampled = splitOf(await profile.stop(), sourcesOf(join(ROOT, "dist")));
  await server.running.stop();
  if (errors > 0) throw new Error(`${errors} answers were wrong or missing: ${firstError}`);
  print(sampled, requests, before === null || after === null ? undefined : (after - before) * 1000);
}

function print(
  parts: ReadonlyMap<string, number>,
  requests: number,
  processorUs: number | undefined,
): void {
  const sampled = parts.values().reduce((total, us) => total + us, 0);
  const rows = [
    ...[...parts].sort(([, one], [, other]) => other - one),
    ["the main thread", sampled] as const,
    ...processorUs === undefined ? [] : [["the other threads", processorUs - sampled] as const],
  ];
  console.log(`${requests} requests; microseconds a request\n`);
  console.log(table(["part", "us"], rows.map(([part, us]) => [part, (us / requests).toFixed(1)])));
}

if (values.help) console.log(HELP);
else {
  await run().catch((error) => {
    console.error(`Error: ${(error as Error).message}`);
    process.exitCode = 1;
  });
}
