/**
 * Starts a Kubernetes node (see README.md) and leaves it running.
 *
 * usage: up.ts [--prometheus] [--two-nodes]
 */
import process from "node:process";
import { NODE_FOLDER, startNode } from "./node.ts";

const began = performance.now();
try {
  const nodes = process.argv.includes("--two-nodes") ? 2 : 1;
  await startNode({ prometheus: process.argv.includes("--prometheus"), nodes });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(
    `the node is Ready after ${seconds} s; to use it:\n\n  . ${NODE_FOLDER}/env\n  kubectl get nodes\n`,
  );
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
