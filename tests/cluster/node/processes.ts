/** The cluster's processes outlive who started them; a file says which there are. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { until } from "../control_plane.ts";
import { CLUSTER_NAME } from "./network.ts";
import { isAlive, startDetached } from "./shell.ts";

/** Where the cluster lives. */
export const NODE_FOLDER = `/tmp/${CLUSTER_NAME}`;

interface Started {
  readonly pid: number;
  readonly namespace: string;
  readonly command: string;
  readonly args: readonly string[];
}
type Processes = { readonly [name: string]: Started };

const file = join(NODE_FOLDER, "processes.json");
const read = (): Processes => existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) as Processes : {};

/** The order in which they must end, who uses another one first; any others go before them. */
const STOP_ORDER = [
  "kubelet-node2",
  "kubelet-node1",
  "kube-proxy-node2",
  "kube-proxy-node1",
  "coredns",
  "registry",
  "prometheus",
  "kube-scheduler",
  "kube-controller-manager",
  "kube-apiserver",
  "etcd",
  "containerd-node2",
  "containerd-node1",
];

/** Whether a process that was started under this name is there. */
export const isRunning = (name: string): boolean => {
  const started = read()[name];
  return started !== undefined && isAlive(started.pid);
};

/** Starts a program in a network namespace; its output goes to `logs/NAME`. */
export function startProcess(
  name: string,
  namespace: string,
  command: string,
  args: readonly string[],
): void {
  const pid = startDetached(namespace, join(NODE_FOLDER, "logs", name), command, args, process.env);
  writeFileSync(file, JSON.stringify({ ...read(), [name]: { pid, namespace, command, args } }));
}

/** Ends a process and waits until it is gone. A dying API server keeps its port. */
export async function stopProcess(name: string): Promise<void> {
  const started = read()[name];
  if (started === undefined || !isAlive(started.pid)) return;
  process.kill(started.pid, "SIGTERM");
  await until(`${name} ends`, () => !isAlive(started.pid), { limitMs: 20_000, pauseMs: 50 }).catch(() => {
    process.kill(started.pid, "SIGKILL");
  });
}

/** Ends a process and starts it again as it was started. */
export async function restartProcess(name: string): Promise<void> {
  await stopProcess(name);
  const { namespace, command, args } = read()[name]!;
  startProcess(name, namespace, command, args);
}

/** Ends all of them. */
export async function stopProcesses(): Promise<void> {
  const others = Object.keys(read()).filter((name) => !STOP_ORDER.includes(name));
  for (const name of [...others, ...STOP_ORDER]) await stopProcess(name);
}
