/** What the images hold and how they start: one row for each component. */

/** A program that is shipped as an image. */
export type Component = "policy-server" | "controller" | "audit-scanner" | "cli";

/** A runtime that images exist for. */
export type Runtime = "node" | "bun";

/** An architecture in OCI's words. */
export type Architecture = "amd64" | "arm64";

export const RUNTIMES: readonly Runtime[] = ["node", "bun"];
export const ARCHITECTURES: readonly Architecture[] = ["amd64", "arm64"];

/** How a component's image is made. */
export interface ComponentImage {
  /** The program's path in the image. Charts and manifests written for Kubewarden call it by this name. */
  readonly path: string;
  /** Files that it starts or loads by their name, the one that it starts first; what they import comes with them. */
  readonly bundles: readonly string[];
  /** Flags of Node, in `NODE_OPTIONS`, so that they also hold where a manifest names the program as its command. */
  readonly nodeOptions: readonly string[];
  /** Variables that Bun's engine reads. */
  readonly bunEnvironment?: Readonly<Record<string, string>>;
  readonly title: string;
}

/** No program here makes code from strings, so nobody who gets into one shall (SECURITY.md, "The second wall"). */
const WALL = "--disallow-code-generation-from-strings";

/**
 * Bun compiles a function of a module when it has run some hundred times: within twenty requests, 6 MiB for a policy that may then rest.
 * At ten thousand, only what is really hot is compiled: 30% less memory, and the same speed after a hundred requests (docs/memory.md).
 */
const FEW_COMPILED = {
  BUN_JSC_thresholdForBBQOptimizeAfterWarmUp: "10000",
  BUN_JSC_thresholdForBBQOptimizeSoon: "10000",
};

/** Threads that evaluate are found by these files' names. */
const EVALUATION = ["worker.js", "worker.main.js", "entry/worker.js"] as const;

export const COMPONENTS: Readonly<Record<Component, ComponentImage>> = {
  "policy-server": {
    path: "/policy-server",
    bundles: ["policy_server.js", "policy_server.main.js", "serving.js", "serving.main.js", ...EVALUATION],
    nodeOptions: [WALL],
    bunEnvironment: FEW_COMPILED,
    title: "Portreeve policy server",
  },
  controller: {
    path: "/controller",
    bundles: ["controller.js", "controller.main.js"],
    // The charts' limit is 200 MiB.
    nodeOptions: [WALL, "--max-semi-space-size=4", "--max-old-space-size=128"],
    title: "Portreeve controller",
  },
  "audit-scanner": {
    path: "/audit-scanner",
    bundles: ["audit.js", "audit.main.js"],
    nodeOptions: [WALL],
    title: "Portreeve audit scanner",
  },
  cli: {
    path: "/reeve",
    bundles: ["reeve.js", "reeve.main.js", ...EVALUATION],
    nodeOptions: [WALL],
    title: "reeve, Portreeve's command line",
  },
};

/** The user that all images run as: the one of Kubewarden's policy server. */
export const USER = 65533;
