/** The nodes' network: a namespace for each node, one cable between them, which nothing outside of them reaches. */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { run } from "./shell.ts";

/** A node of the cluster by where it is found. */
export interface NodeSpec {
  readonly name: string;
  /** Its network namespace. */
  readonly namespace: string;
  readonly address: string;
  /** The addresses of its pods. */
  readonly pods: string;
}

/** The cluster's name, which its folder and namespaces have: several clusters can be up at once. */
export const CLUSTER_NAME = process.env["PORTREEVE_NODE"] ?? "portreeve-node";

/** The first one has the control plane, the registry and DNS. */
export const NODES: readonly [NodeSpec, NodeSpec] = [
  { name: "node1", namespace: CLUSTER_NAME, address: "10.250.0.1", pods: "10.244.0.0/24" },
  { name: "node2", namespace: `${CLUSTER_NAME}-2`, address: "10.250.0.2", pods: "10.244.1.0/24" },
];
/** Where the control plane and everything that runs beside it is found. */
export const NODE_ADDRESS = NODES[0].address;
export const CLUSTER_DNS = NODE_ADDRESS;
export const SERVICE_RANGE = "10.96.0.0/16";
export const API_SERVICE = "10.96.0.1";
export const POD_RANGE = "10.244.0.0/16";

const CABLE = ["cable1", "cable2"] as const;

/** Makes the namespaces; they must not exist. With one node, the other end of the cable stays in its namespace. */
export function createNetwork(count: 1 | 2): void {
  const nodes = NODES.slice(0, count);
  for (const { namespace } of nodes) run("ip", ["netns", "add", namespace]);
  const first = NODES[0].namespace;
  run("ip", ["-n", first, "link", "add", CABLE[0], "type", "veth", "peer", "name", CABLE[1]]);
  if (count === 2) run("ip", ["-n", first, "link", "set", CABLE[1], "netns", NODES[1].namespace]);
  else run("ip", ["-n", first, "link", "set", CABLE[1], "up"]);
  nodes.forEach(({ namespace, address }, index) => {
    const ip = (...args: string[]) => run("ip", ["-n", namespace, ...args]);
    ip("link", "set", "lo", "up");
    ip("addr", "add", `${address}/24`, "dev", CABLE[index]!);
    ip("link", "set", CABLE[index]!, "up");
    // The kubelet looks for its address on the interface of the default route.
    ip("route", "add", "default", "via", "10.250.0.254", "dev", CABLE[index]!);
    for (const other of nodes) {
      if (other.address !== address) ip("route", "add", other.pods, "via", other.address);
    }
    run("nsenter", [`--net=/run/netns/${namespace}`, "sysctl", "-qw", "net.ipv4.ip_forward=1"]);
  });
}

/** Removes the namespaces that are there. */
export function removeNetwork(): void {
  for (const { namespace } of NODES) spawnSync("ip", ["netns", "delete", namespace]);
}
