/** The node as a whole: what is started in which order, when it is ready, and how it ends. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { HOW_TO_GET_NODE, nodeBinariesFolder } from "../binaries/locate.ts";
import { until } from "../control_plane.ts";
import {
  admissionConfiguration,
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
  prometheusConfig,
  proxyConfig,
  registryConfig,
  registryHosts,
  schedulerFlags,
  webhookClientKubeconfig,
} from "./configuration.ts";
import { createCredentials, REGISTRY_NAMES } from "./certificates.ts";
import { importBusybox } from "./image_archive.ts";
import { createNetwork, NODE_ADDRESS, NODES, type NodeSpec, removeNetwork } from "./network.ts";
import {
  isRunning,
  NODE_FOLDER,
  restartProcess,
  startProcess,
  stopProcess,
  stopProcesses,
} from "./processes.ts";
import { inside, run } from "./shell.ts";

export { NODE_FOLDER };
const NAMESPACE = NODES[0].namespace;
/** For pods of tests that do something: wait, ask, serve. */
export const BUSYBOX_IMAGE = "portreeve.test/busybox:1";

/** A running cluster, used from outside of its network through its own tools. */
export interface ClusterNode {
  /** Runs a program in the node's network with KUBECONFIG set. Returns what it printed; throws when it fails. */
  run(command: string, ...args: readonly string[]): string;
  /** The same, while other things are done. */
  runBeside(command: string, ...args: readonly string[]): Promise<string>;
  kubectl(...args: readonly string[]): string;
  /** Applies manifests from text. */
  apply(...manifests: readonly object[]): string;
  helm(...args: readonly string[]): string;
  /** Starts a program that runs in the first node's network until it is ended, with the cluster at the latest. */
  start(name: string, command: string, ...args: readonly string[]): void;
  stop(name: string): Promise<void>;
  /** Ends the API server and starts it again; resolves when it is ready. */
  restartApiServer(): Promise<void>;
  /** The nodes' containerds. */
  readonly sockets: readonly string[];
  readonly credential: (name: string) => string;
}

const nodeFolder = ({ name }: NodeSpec) => join(NODE_FOLDER, name);
const placesOf = (node: NodeSpec): Places => ({
  folder: nodeFolder(node),
  node,
  credential: (name) => join(NODE_FOLDER, "credentials", name),
});
const nodesUp = () => NODES.filter(({ name }) => isRunning(`kubelet-${name}`));

/** Whether a cluster is up. */
export const nodeIsUp = (): boolean => nodesUp().length > 0;

const succeeds = (probe: () => unknown) => {
  try {
    probe();
    return true;
  } catch {
    return false;
  }
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
    start: (name, command, ...args) => startProcess(name, NAMESPACE, "env", [...env, command, ...args]),
    stop: stopProcess,
    async restartApiServer() {
      await restartProcess("kube-apiserver");
      await apiServerIsReady((...args) => execute("kubectl", args));
    },
    sockets: nodesUp().map((node) => containerdSocket(placesOf(node))),
    credential: (name) => join(NODE_FOLDER, "credentials", name),
  };
}

const apiServerIsReady = (kubectl: (...args: string[]) => string) =>
  until("the API server is ready", () => succeeds(() => kubectl("get", "--raw", "/readyz")), {
    limitMs: 120_000,
    pauseMs: 300,
  });

export interface NodeOptions {
  readonly prometheus?: boolean;
  /** With a second node, which has a kubelet, a containerd and a network of its own. */
  readonly nodes?: 1 | 2;
}

/** Starts the cluster; resolves when its nodes are Ready and their network works. */
export async function startNode(
  { prometheus = false, nodes: count = 1 }: NodeOptions = {},
): Promise<ClusterNode> {
  const binaries = nodeBinariesFolder();
  if (binaries === undefined) throw new Error(HOW_TO_GET_NODE);
  if (nodeIsUp()) throw new Error("a node is up already: npm run cluster:down ends it");
  await stopNode();
  const nodes = NODES.slice(0, count);
  for (
    const folder of [
      "credentials",
      "logs",
      "registry",
      "targets",
      ...nodes.map(({ name }) => `${name}/static-pods`),
    ]
  ) {
    mkdirSync(join(NODE_FOLDER, folder), { recursive: true });
  }
  await createCredentials(join(NODE_FOLDER, "credentials"), nodes);
  const places: Places = { ...placesOf(NODES[0]), folder: NODE_FOLDER };
  const { credential } = places;
  const write = (name: string, content: string) => {
    const path = join(NODE_FOLDER, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, content);
    return path;
  };
  createNetwork(count);
  const start = (name: string, command: string, args: readonly string[]) =>
    startProcess(name, NAMESPACE, command, args);
  const binary = (name: string) => join(binaries, name);

  start("etcd", binary("etcd"), etcdFlags(places));
  for (const node of nodes) {
    const own = placesOf(node);
    const config = write(`${node.name}/containerd.toml`, containerdConfig(own));
    startProcess(`containerd-${node.name}`, node.namespace, "containerd", ["--config", config]);
    write(`${node.name}/cni/10-pods.conflist`, cniConfig(own));
    write(`${node.name}/resolv.conf`, `nameserver ${NODE_ADDRESS}\n`);
    for (const name of [...REGISTRY_NAMES, NODE_ADDRESS]) {
      write(`${node.name}/registries/${name}/hosts.toml`, registryHosts(own));
    }
  }
  start("registry", "docker-registry", ["serve", write("registry.json", registryConfig(places))]);
  write("credentials/admission.json", admissionConfiguration(places));
  write("credentials/webhook-client.kubeconfig", webhookClientKubeconfig(places));
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
  await apiServerIsReady(kubectl);
  for (const node of nodes) {
    const socket = containerdSocket(placesOf(node));
    await until("containerd answers", () => succeeds(() => run("ctr", ["--address", socket, "version"])), {
      limitMs: 60_000,
      pauseMs: 200,
    });
    await importBusybox(socket, PAUSE_IMAGE, ["sleep", "2147483647"]);
    await importBusybox(socket, BUSYBOX_IMAGE, ["sleep", "2147483647"]);
  }
  start("kube-controller-manager", binary("kube-controller-manager"), controllerManagerFlags(places));
  start("kube-scheduler", binary("kube-scheduler"), schedulerFlags(places));
  for (const node of nodes) {
    const own = placesOf(node);
    write(`${node.name}/kubelet.json`, kubeletConfig(own));
    startProcess(`kubelet-${node.name}`, node.namespace, binary("kubelet"), kubeletFlags(own));
    const proxy = write(`${node.name}/proxy.json`, proxyConfig(own));
    startProcess(`kube-proxy-${node.name}`, node.namespace, binary("kube-proxy"), [`--config=${proxy}`]);
  }
  start("coredns", binary("coredns"), ["-conf", write("Corefile", corefile(places))]);
  if (prometheus) {
    start("prometheus", "prometheus", [
      `--config.file=${write("prometheus.yml", prometheusConfig(places))}`,
      `--storage.tsdb.path=${NODE_FOLDER}/prometheus`,
    ]);
  }
  await until(
    "the nodes are Ready",
    () =>
      succeeds(() => {
        for (const { name } of nodes) {
          kubectl("wait", "--for=condition=Ready", `node/${name}`, "--timeout=1s");
        }
        kubectl("get", "serviceaccount", "default");
      }),
    { limitMs: 120_000, pauseMs: 300 },
  );
  return currentNode();
}

/** Ends the cluster and removes all that it left. */
export async function stopNode(): Promise<void> {
  for (const node of nodesUp()) removePods(containerdSocket(placesOf(node)));
  await stopProcesses();
  endContainers();
  removeNetwork();
  for (const mount of mountsBelow(NODE_FOLDER)) run("umount", ["--lazy", mount]);
  rmSync(NODE_FOLDER, { recursive: true, force: true });
}

/** Ends what runs in pods while there is still somebody to do it. */
function removePods(socket: string): void {
  const ctr = (...args: string[]) => run("ctr", ["--address", socket, "-n", "k8s.io", ...args]);
  let tasks = "";
  try {
    tasks = ctr("tasks", "list", "-q");
  } catch {
    // containerd is gone; its keepers are ended below.
  }
  for (const id of tasks.trim().split("\n").filter(Boolean)) {
    try {
      ctr("tasks", "kill", "-s", "SIGKILL", id);
    } catch {
      // A container that ended by itself meanwhile is what is wanted, and no reason to leave the others.
    }
  }
}

/** Containers' keepers outlive containerd; those of this node are known by their folder. */
function endContainers(): void {
  const list = run("sh", ["-c", `pgrep -f 'containerd-shim.*${NODE_FOLDER}/' || true`]);
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
