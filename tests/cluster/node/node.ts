/** The node as a whole: what is started in which order, when it is ready, and how it ends. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { HOW_TO_GET_NODE, nodeBinariesFolder } from "../binaries/locate.ts";
import { until } from "../control_plane.ts";
import {
  apiServerFlags,
  cniConfig,
  containerdConfig,
  containerdSocket,
  controllerManagerFlags,
  corefile,
  etcdFlags,
  kubeletConfig,
  kubeletFlags,
  PAUSE_IMAGE,
  type Places,
  proxyConfig,
  registryConfig,
  registryHosts,
  schedulerFlags,
} from "./configuration.ts";
import { createCredentials, REGISTRY_NAMES } from "./certificates.ts";
import { importBusybox } from "./image_archive.ts";
import { createNetwork, NODE_ADDRESS, removeNetwork } from "./network.ts";
import { inside, isAlive, run, startDetached } from "./shell.ts";

/** Where the node lives; one at a time. */
export const NODE_FOLDER = "/tmp/portreeve-node";
const NAMESPACE = "portreeve-node";
const NODE_NAME = "node1";
/** For pods of tests that do something: wait, ask, serve. */
export const BUSYBOX_IMAGE = "portreeve.test/busybox:1";

/** The order in which the processes must end: who uses another one first. */
const STOP_ORDER = [
  "kubelet",
  "kube-proxy",
  "coredns",
  "registry",
  "prometheus",
  "kube-scheduler",
  "kube-controller-manager",
  "kube-apiserver",
  "etcd",
  "containerd",
] as const;
type Part = (typeof STOP_ORDER)[number];
type Processes = { [part in Part]?: number };

/** A running node, used from outside of its network through its own tools. */
export interface ClusterNode {
  /** Runs a program in the node's network with KUBECONFIG set. Returns what it printed; throws when it fails. */
  run(command: string, ...args: readonly string[]): string;
  /** The same, while other things are done. */
  runBeside(command: string, ...args: readonly string[]): Promise<string>;
  kubectl(...args: readonly string[]): string;
  /** Applies manifests from text. */
  apply(...manifests: readonly object[]): string;
  helm(...args: readonly string[]): string;
  readonly socket: string;
  readonly credential: (name: string) => string;
}

const processesFile = join(NODE_FOLDER, "processes.json");
const readProcesses = (): Processes =>
  existsSync(processesFile) ? JSON.parse(readFileSync(processesFile, "utf8")) as Processes : {};

/** Whether a node is up. */
export const nodeIsUp = (): boolean => {
  const { kubelet } = readProcesses();
  return kubelet !== undefined && isAlive(kubelet);
};

/** The node that is up. Throws when there is none. */
export function currentNode(): ClusterNode {
  if (!nodeIsUp()) throw new Error("no node is up: npm run cluster:up");
  const binaries = nodeBinariesFolder()!;
  const tools = join(binaries, "..", "..", "bin");
  const kubeconfig = join(NODE_FOLDER, "credentials", "admin.kubeconfig");
  const env = [`KUBECONFIG=${kubeconfig}`, `PATH=${binaries}:${tools}:${process.env["PATH"]}`];
  const inNode = (command: string, args: readonly string[]) =>
    inside(NAMESPACE, "env", [...env, command, ...args]);
  const execute = (command: string, args: readonly string[], input?: string): string =>
    run("nsenter", inNode(command, args), input);
  return {
    runBeside: (command, ...args) =>
      new Promise((resolve, reject) =>
        execFile(
          "nsenter",
          [...inNode(command, args)],
          { maxBuffer: 64 * 1024 * 1024 },
          (error, stdout, stderr) =>
            error === null ? resolve(stdout) : reject(new Error(`${error.message}\n${stderr}`)),
        )
      ),
    run: (command, ...args) => execute(command, args),
    kubectl: (...args) => execute("kubectl", args),
    apply: (...manifests) =>
      execute(
        "kubectl",
        ["apply", "-f", "-"],
        JSON.stringify({ apiVersion: "v1", kind: "List", items: manifests }),
      ),
    helm: (...args) => execute("helm", args),
    socket: containerdSocket({ folder: NODE_FOLDER, node: NODE_NAME, credential: (name) => name }),
    credential: (name) => join(NODE_FOLDER, "credentials", name),
  };
}

/** Starts the node; resolves when it is Ready and its network works. */
export async function startNode(options: { readonly prometheus?: boolean } = {}): Promise<ClusterNode> {
  const binaries = nodeBinariesFolder();
  if (binaries === undefined) throw new Error(HOW_TO_GET_NODE);
  if (nodeIsUp()) throw new Error("a node is up already: npm run cluster:down ends it");
  await stopNode();
  for (const folder of ["credentials", "logs", "cni", "static-pods", "registry"]) {
    mkdirSync(join(NODE_FOLDER, folder), { recursive: true });
  }
  const { path: credential } = await createCredentials(join(NODE_FOLDER, "credentials"), NODE_NAME);
  const places: Places = { folder: NODE_FOLDER, node: NODE_NAME, credential };
  const write = (name: string, content: string) => {
    const path = join(NODE_FOLDER, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, content);
    return path;
  };
  createNetwork(NAMESPACE);
  const processes: Processes = {};
  const start = (part: Part, command: string, args: readonly string[]) => {
    processes[part] = startDetached(NAMESPACE, join(NODE_FOLDER, "logs", part), command, args, process.env);
    writeFileSync(processesFile, JSON.stringify(processes));
  };
  const binary = (name: string) => join(binaries, name);

  start("etcd", binary("etcd"), etcdFlags(places));
  start("containerd", "containerd", ["--config", write("containerd.toml", containerdConfig(places))]);
  start("registry", "docker-registry", ["serve", write("registry.json", registryConfig(places))]);
  for (const name of [...REGISTRY_NAMES, NODE_ADDRESS]) {
    write(`registries/${name}/hosts.toml`, registryHosts(places));
  }
  write("cni/10-pods.conflist", cniConfig);
  write("resolv.conf", `nameserver ${NODE_ADDRESS}\n`);
  start("kube-apiserver", binary("kube-apiserver"), apiServerFlags(places));
  writeFileSync(
    join(NODE_FOLDER, "env"),
    `export KUBECONFIG=${credential("admin.kubeconfig")} PATH=${binaries}:$PATH\n` +
      `kubectl() { nsenter --net=/run/netns/${NAMESPACE} ${binary("kubectl")} "$@"; }\n` +
      `helm() { nsenter --net=/run/netns/${NAMESPACE} helm "$@"; }\n`,
  );
  const kubectl = (...args: string[]) =>
    run(
      "nsenter",
      inside(NAMESPACE, binary("kubectl"), [`--kubeconfig=${credential("admin.kubeconfig")}`, ...args]),
    );
  const succeeds = (probe: () => unknown) => {
    try {
      probe();
      return true;
    } catch {
      return false;
    }
  };
  await until("the API server is ready", () => succeeds(() => kubectl("get", "--raw", "/readyz")), {
    limitMs: 120_000,
    pauseMs: 300,
  });
  const socket = containerdSocket(places);
  await until("containerd answers", () => succeeds(() => run("ctr", ["--address", socket, "version"])), {
    limitMs: 60_000,
    pauseMs: 200,
  });
  await importBusybox(socket, PAUSE_IMAGE, ["sleep", "2147483647"]);
  await importBusybox(socket, BUSYBOX_IMAGE, ["sleep", "2147483647"]);
  start("kube-controller-manager", binary("kube-controller-manager"), controllerManagerFlags(places));
  start("kube-scheduler", binary("kube-scheduler"), schedulerFlags(places));
  write("kubelet.json", kubeletConfig(places));
  start("kubelet", binary("kubelet"), kubeletFlags(places));
  start("kube-proxy", binary("kube-proxy"), [`--config=${write("proxy.json", proxyConfig(places))}`]);
  start("coredns", binary("coredns"), ["-conf", write("Corefile", corefile(places))]);
  if (options.prometheus === true) {
    const config = write("prometheus.yml", "global: {scrape_interval: 5s}\nscrape_configs: []\n");
    start("prometheus", "prometheus", [
      `--config.file=${config}`,
      `--storage.tsdb.path=${NODE_FOLDER}/prometheus`,
    ]);
  }
  await until(
    "the node is Ready",
    () =>
      succeeds(() => {
        kubectl("wait", "--for=condition=Ready", `node/${NODE_NAME}`, "--timeout=1s");
        kubectl("get", "serviceaccount", "default");
      }),
    { limitMs: 120_000, pauseMs: 300 },
  );
  return currentNode();
}

/** Ends the node and removes all that it left. Waits for each process: a dying API server keeps its port. */
export async function stopNode(): Promise<void> {
  const processes = readProcesses();
  if (processes.kubelet !== undefined && isAlive(processes.kubelet)) removePods();
  for (const part of STOP_ORDER) {
    const pid = processes[part];
    if (pid === undefined || !isAlive(pid)) continue;
    process.kill(pid, "SIGTERM");
    await until(`${part} ends`, () => !isAlive(pid), { limitMs: 20_000, pauseMs: 50 }).catch(() => {
      process.kill(pid, "SIGKILL");
    });
  }
  endContainers();
  removeNetwork(NAMESPACE);
  for (const mount of mountsBelow(NODE_FOLDER)) run("umount", ["--lazy", mount]);
  rmSync(NODE_FOLDER, { recursive: true, force: true });
}

/** Ends what runs in pods while there is still somebody to do it. */
function removePods(): void {
  const { socket } = currentNode();
  const ctr = (...args: string[]) => run("ctr", ["--address", socket, "-n", "k8s.io", ...args]);
  try {
    for (const id of ctr("tasks", "list", "-q").trim().split("\n").filter(Boolean)) {
      ctr("tasks", "kill", "-s", "SIGKILL", id);
    }
  } catch {
    // A container that ended by itself meanwhile is what is wanted.
  }
}

/** Containers' keepers outlive containerd; those of this node are known by their folder. */
function endContainers(): void {
  const list = run("sh", ["-c", `pgrep -f 'containerd-shim.*${NODE_FOLDER}' || true`]);
  for (const pid of list.trim().split("\n").filter(Boolean)) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has just ended.
    }
  }
}

function mountsBelow(folder: string): readonly string[] {
  return readFileSync("/proc/self/mounts", "utf8").split("\n").map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${folder}/`)).reverse();
}
