/**
 * Audits many ConfigMaps in a real API server: every one judged by the same policies, served by the project's own policy
 * server. Prints wall time, the processor time of every process that takes part, and the scanner's highest resident memory;
 * then a full rescan and an incremental one. In the end the floor: the reports that the scan wrote, written once more as the
 * original writes them (GET, then POST), while nothing else is done. A scan's wall time in floors says more on a busy machine
 * than seconds do.
 *
 * usage: node bench/audit.ts [--objects 2000] [--namespaces 20] [--policies 5] [--rounds 1] [--first-only] [--program dist/audit.js]
 *        needs: etcd and kube-apiserver (tests/cluster/binaries), Linux
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { reportResource } from "../audit/render/report.ts";
import { isNotFound } from "../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../kubernetes/types/object.ts";
import { moduleUrl, serving } from "../tests/policy_server/server_process.ts";
import { type Cluster, install, policy, served, startCluster } from "../tests/audit/cluster.ts";
import { listeningProcess } from "./apply/listening_process.ts";

const TICKS_PER_SECOND = 100;
const SAMPLE_MS = 20;
const built = fileURLToPath(new URL("../dist/audit.js", import.meta.url));
const source = fileURLToPath(new URL("../audit/main.ts", import.meta.url));

function argument(name: string, otherwise: string): string {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1] ?? otherwise;
}

/** Seconds of processor time that a process has used. */
function cpuOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return NaN;
  }
}

/** Megabytes (10^6) that a process had resident at most. */
function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024 / 1e6;
  } catch {
    return NaN;
  }
}

async function fill(cluster: Cluster, objects: number, namespaces: number): Promise<void> {
  for (let number = 0; number < namespaces; number++) {
    await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: `audited-${number}` } });
  }
  const numbers = Array.from({ length: objects }, (_, index) => index);
  await Promise.all(Array.from({ length: 16 }, async () => {
    for (let number = numbers.pop(); number !== undefined; number = numbers.pop()) {
      await cluster.create({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: {
          name: `settings-${String(number).padStart(6, "0")}`,
          namespace: `audited-${number % namespaces}`,
          labels: number % 2 === 0 ? { owner: "team-a" } : {},
        },
        data: { "settings.yml": `number: ${number}\n${"some: setting of an application\n".repeat(16)}` },
      });
    }
  }));
}

type Measured = {
  readonly wall: number;
  readonly scanner: number;
  readonly others: readonly number[];
  readonly peak: number;
  readonly summary: { readonly [name: string]: number };
};

/** A scan that takes longer hangs. */
const SCAN_LIMIT_MS = 20 * 60_000;

async function measure(
  cluster: Cluster,
  others: readonly number[],
  flags: readonly string[],
): Promise<Measured> {
  const before = others.map(cpuOf);
  const began = performance.now();
  const running = cluster.start(flags, {}, SCAN_LIMIT_MS);
  let scanner = 0;
  let peak = 0;
  const sample = setInterval(() => {
    scanner = Math.max(scanner, cpuOf(running.pid) || 0);
    peak = Math.max(peak, peakOf(running.pid) || 0);
  }, SAMPLE_MS);
  const result = await running.ended;
  const wall = (performance.now() - began) / 1000;
  clearInterval(sample);
  if (result.code !== 0) {
    throw new Error(`the scanner ended with ${result.code}:\n${result.stdout.slice(-2000)}${result.stderr}`);
  }
  return {
    wall,
    scanner,
    peak,
    others: others.map((pid, index) => cpuOf(pid) - before[index]!),
    summary: result.summary,
  };
}

/** Writes all reports anew, as the original does. Seconds, in all and of the API server's and etcd's processors. */
async function writeAsTheOriginal(cluster: Cluster, others: readonly number[]) {
  const resource = reportResource("openreports", true);
  const { items } = await cluster.client.list<KubeObject>(resource, undefined, {});
  for (const namespace of new Set(items.map(({ metadata }) => metadata.namespace))) {
    await cluster.client.removeAll(resource, namespace, {});
  }
  const reports = items.map((stored) => {
    const { name, namespace, labels, ownerReferences } = stored.metadata;
    return { ...stored, metadata: { name, namespace, labels, ownerReferences } } as KubeObject;
  });
  const before = others.map(cpuOf);
  const began = performance.now();
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let report = reports.pop(); report !== undefined; report = reports.pop()) {
      const { name, namespace } = report.metadata;
      await cluster.client.get(resource, namespace, name).catch((error) => {
        if (!isNotFound(error)) throw error;
      });
      await cluster.client.create(resource, report);
    }
  }));
  const wall = (performance.now() - began) / 1000;
  return { wall, reports: items.length, others: others.map((pid, index) => cpuOf(pid) - before[index]!) };
}

function show(name: string, { wall, scanner, others, peak, summary }: Measured): void {
  const [api, etcd, server] = others.map((seconds) => seconds.toFixed(1));
  console.log(
    `${name.padEnd(24)} ${wall.toFixed(2).padStart(7)} s   cpu: scanner ${
      scanner.toFixed(1)
    }, API server ${api}, ` +
      `etcd ${etcd}, policy server ${server}   RSS ${peak.toFixed(0)} MB   ` +
      `pass ${summary["pass"]}, fail ${summary["fail"]}, error ${summary["error"]}, written ${
        summary["written"]
      }, kept ${summary["kept"]}`,
  );
}

const objects = Number(argument("objects", "2000"));
const namespaces = Number(argument("namespaces", "20"));
const count = Number(argument("policies", "5"));
const rounds = Number(argument("rounds", "1"));
const rescans = !process.argv.includes("--first-only");
const program = argument("program", existsSync(built) ? built : source);

const cluster = await startCluster({ program });
try {
  const policies = Array.from(
    { length: count },
    (_, number) => policy("ClusterAdmissionPolicy", `owner-${number}`, { settings: { required: ["owner"] } }),
  );
  for (const one of policies) await install(cluster, one);
  await fill(cluster, objects, namespaces);
  console.log(`${objects} ConfigMaps in ${namespaces} namespaces by ${count} policies; ${program}`);
  await serving(
    { policies: served(policies, moduleUrl("policies/required-labels/policy.wasm")) },
    async (server) => {
      const api = listeningProcess(cluster.plane.url)!;
      const parent = readFileSync(`/proc/${api}/cmdline`, "utf8");
      const etcd = listeningProcess(/--etcd-servers=([^\0]+)/.exec(parent)![1]!)!;
      const flags = [
        "--report-kind",
        "openreports",
        "-u",
        `https://localhost:${server.port}`,
        "--extra-ca",
        join(server.folder, "tls.crt"),
      ];
      const others = [api, etcd, server.pid];
      let first = NaN;
      for (let round = 0; round < rounds; round++) {
        const scan = await measure(cluster, others, flags);
        if (round === 0) first = scan.wall;
        show(round === 0 ? "first scan" : "full rescan", scan);
        if (rescans) show("full rescan", await measure(cluster, others, flags));
        if (rescans) show("incremental rescan", await measure(cluster, others, [...flags, "--incremental"]));
      }
      const floor = await writeAsTheOriginal(cluster, others.slice(0, 2));
      const [apiSeconds, etcdSeconds] = floor.others.map((seconds) => seconds.toFixed(1));
      console.log(
        `floor: ${floor.reports} reports written, nothing judged: ${
          floor.wall.toFixed(2)
        } s   cpu: API server ${apiSeconds}, ` +
          `etcd ${etcdSeconds}   first scan: ${(first / floor.wall).toFixed(2)} floors`,
      );
    },
  );
} finally {
  await cluster.stop();
}
process.exit(0);
