/** The node's network: a namespace with loopback and one pair of devices, which nothing outside of it reaches. */
import { spawnSync } from "node:child_process";
import { run } from "./shell.ts";

/** Where the node and everything that runs on it directly is found. */
export const NODE_ADDRESS = "10.250.0.1";
export const CLUSTER_DNS = NODE_ADDRESS;
export const SERVICE_RANGE = "10.96.0.0/16";
export const API_SERVICE = "10.96.0.1";
export const POD_RANGE = "10.244.0.0/24";

/** Makes the namespace; it must not exist. */
export function createNetwork(namespace: string): void {
  run("ip", ["netns", "add", namespace]);
  const ip = (...args: string[]) => run("ip", ["-n", namespace, ...args]);
  ip("link", "set", "lo", "up");
  ip("link", "add", "node0", "type", "veth", "peer", "name", "node1");
  ip("addr", "add", `${NODE_ADDRESS}/24`, "dev", "node0");
  ip("link", "set", "node0", "up");
  ip("link", "set", "node1", "up");
  // The kubelet looks for its address on the interface of the default route.
  ip("route", "add", "default", "via", "10.250.0.254", "dev", "node0");
  run("nsenter", [`--net=/run/netns/${namespace}`, "sysctl", "-qw", "net.ipv4.ip_forward=1"]);
}

/** Removes the namespace, if it is there. */
export function removeNetwork(namespace: string): void {
  spawnSync("ip", ["netns", "delete", namespace]);
}
