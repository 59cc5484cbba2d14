/**
 * The stack on a real node, as an operator has it: images of the runtime that runs the tests, charts installed by Helm, objects
 * made and read by kubectl. Everything goes through those two, so a scenario reads as what a person would type.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { RUNTIMES } from "../../deploy/images/components.ts";
import { run } from "../cluster/node/shell.ts";
import { importLayout } from "../cluster/node/image_archive.ts";
import { NODE_ADDRESS } from "../cluster/node/network.ts";
import { BUSYBOX_IMAGE, type ClusterNode, startNode, stopNode } from "../cluster/node/node.ts";
import { until } from "../cluster/control_plane.ts";
import { bundleFile } from "../programs.ts";

// deno-lint-ignore no-explicit-any
export type Any = any;
export const NAMESPACE = "kubewarden";
const root = fileURLToPath(new URL("../../", import.meta.url));
const node_ = join(root, "node_modules/.bin/node");
/** Images of this runtime are what is installed. */
export const RUNTIME = "bun" in process.versions ? RUNTIMES[1]! : RUNTIMES[0]!;

/** Policies of this repository under the names by which Kubewarden publishes theirs. */
const STAND_INS: readonly (readonly [name: string, policy: string])[] = [
  ["kubewarden/tests/pod-privileged:v0.2.5", "pod-privileged"],
  ["kubewarden/policies/pod-privileged:v1.0.10", "pod-privileged"],
  ["kubewarden/policies/pod-privileged:v1.0.13", "pod-privileged"],
  ["kubewarden/tests/safe-labels:v0.1.13", "required-labels"],
  ["kubewarden/tests/seccomp:v1", "default-seccomp"],
];

export type Refusal = { readonly status: number; readonly output: string };

export type Stack = {
  readonly node: ClusterNode;
  /** What kubectl printed; throws when it fails, or warns. */
  kubectl(...args: readonly string[]): string;
  /** An object as it is now; `undefined` when there is none. */
  get(kind: string, name: string, namespace?: string): Any | undefined;
  list(kind: string, ...args: readonly string[]): readonly Any[];
  apply(...objects: readonly Any[]): void;
  /** What a command that must fail printed. */
  refused(command: () => unknown): string;
  helm(...args: readonly string[]): string;
  /** Installs or upgrades a release of a chart of ours, with values, and waits for it. */
  install(release: string, chart: string, values?: Any, ...args: readonly string[]): void;
  uninstall(release: string): void;
  /** Waits until a policy is active and nothing else answers for it. */
  active(kind: string, name: string, namespace?: string): void;
  /** Tries to create a Pod as a dry run; what the API server says when it refuses. */
  tryPod(options?: PodOptions): string | undefined;
  /** Creates a Pod. */
  pod(name: string, options?: PodOptions): Any;
  /** What is printed at the end. */
  note(text: string): void;
  /** A phase's time, printed at the end. */
  timed<T>(phase: string, work: () => T): T;
  /** The same for work that takes its time. */
  timedAsync<T>(phase: string, work: () => Promise<T>): Promise<T>;
  stop(): Promise<void>;
};

export type PodOptions = {
  readonly name?: string;
  readonly privileged?: boolean;
  readonly namespace?: string;
  readonly labels?: { readonly [name: string]: string };
};

/** A Pod that may run in a namespace with restricted Pod Security, unless it is told to be privileged. */
export function podManifest(
  name: string,
  { privileged = false, namespace = "default", labels = {} }: PodOptions,
): Any {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{
        name: "main",
        image: BUSYBOX_IMAGE,
        command: ["sleep", "2147483647"],
        securityContext: privileged ? { privileged: true } : {
          allowPrivilegeEscalation: false,
          runAsNonRoot: true,
          runAsUser: 1000,
          capabilities: { drop: ["ALL"] },
        },
      }],
    },
  };
}

/** The runtime as values of a chart that has the controller. */
export const imageValues = (): Any => ({
  image: { runtime: RUNTIME },
  auditScanner: { image: { runtime: RUNTIME } },
});
export const serverImage = `ghcr.io/portreeve/policy-server:v0.1.0${RUNTIME === "node" ? "" : "-bun"}`;

/** Starts the node and brings images and policies onto it. */
export async function startStack(): Promise<Stack> {
  const times: string[] = [];
  const timed = <T>(phase: string, work: () => T): T => {
    const began = performance.now();
    const result = work();
    times.push(`${phase} ${((performance.now() - began) / 1000).toFixed(1)} s`);
    return result;
  };
  const images = mkdtempSync(join(tmpdir(), "portreeve-stack-"));
  run(node_, [
    join(root, "deploy/images/build.ts"),
    "--arch",
    "amd64",
    "--runtime",
    RUNTIME,
    "--out",
    images,
  ]);
  const node = await startNode();
  for (const component of ["policy-server", "controller", "audit-scanner"]) {
    importLayout(node.socket, join(images, `${component}-${RUNTIME}`));
  }
  rmSync(images, { recursive: true, force: true });
  const authority = readFileSync(node.credential("ca.crt"), "utf8");
  const sources = join(tmpdir(), `portreeve-sources-${process.pid}.yml`);
  writeFileSync(
    sources,
    JSON.stringify({ source_authorities: { [NODE_ADDRESS]: [{ type: "Data", data: authority }] } }),
  );
  for (const [name, policy] of STAND_INS) {
    node.run(
      process.execPath,
      bundleFile("reeve"),
      "push",
      join(root, "policies", policy, "policy.wasm"),
      `registry://${NODE_ADDRESS}/${name}`,
      "--sources-path",
      sources,
    );
  }
  rmSync(sources);
  const kubectl = (...args: readonly string[]) => node.run("kubectl", "--warnings-as-errors", ...args);
  const get = (kind: string, name: string, namespace?: string): Any | undefined => {
    const where = namespace === undefined ? [] : ["-n", namespace];
    const text = node.run("kubectl", "get", kind, name, ...where, "--ignore-not-found", "-o", "json");
    return text.trim() === "" ? undefined : JSON.parse(text);
  };
  const scratch = (value: Any): string => {
    const file = join(tmpdir(), `portreeve-values-${process.pid}.json`);
    writeFileSync(file, JSON.stringify(value));
    return file;
  };
  const create = (manifest: Any, ...args: readonly string[]) =>
    node.run("kubectl", "create", "-f", scratch(manifest), ...args);
  const refused = (command: () => unknown): string => {
    try {
      command();
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error("it was not refused");
  };
  return {
    node,
    kubectl,
    get,
    list: (kind, ...args) => JSON.parse(node.run("kubectl", "get", kind, ...args, "-o", "json")).items,
    apply: (...objects) =>
      void kubectl("apply", "-f", scratch({ apiVersion: "v1", kind: "List", items: objects })),
    refused,
    helm: (...args) => node.helm(...args),
    install: (release, chart, values = {}, ...args) =>
      void node.helm(
        "upgrade",
        "--install",
        release,
        join(root, "deploy/helm", chart),
        "--namespace",
        NAMESPACE,
        "--wait",
        "--wait-for-jobs",
        "--timeout",
        "5m",
        "--values",
        scratch(values),
        ...args,
      ),
    uninstall(release) {
      // The API server (up to 1.36) begins to serve a kind when it is first asked for it. If that is the deletion of its CRD, the
      // first try fails, and the second meets a conflict with what the first one wrote, after which the deletion rests until the
      // next resync, five minutes later. Nobody may have asked for reports yet.
      if (release.endsWith("crds")) kubectl("get", "reports,clusterreports", "--all-namespaces");
      node.helm("uninstall", release, "--namespace", NAMESPACE, "--wait", "--timeout", "5m");
    },
    active(kind, name, namespace) {
      const where = namespace === undefined ? [] : ["-n", namespace];
      for (const condition of ["PolicyActive", "PolicyUniquelyReachable"]) {
        kubectl("wait", `--for=condition=${condition}`, `${kind}/${name}`, ...where, "--timeout=120s");
      }
    },
    tryPod(options = {}) {
      try {
        create(podManifest(options.name ?? "trial", options), "--dry-run=server");
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    },
    pod(name, options = {}) {
      create(podManifest(name, options));
      return get("pod", name, options.namespace ?? "default");
    },
    note: (text) => void times.push(text),
    timed,
    async timedAsync(phase, work) {
      const began = performance.now();
      const result = await work();
      times.push(`${phase} ${((performance.now() - began) / 1000).toFixed(1)} s`);
      return result;
    },
    async stop() {
      console.log(`\n  images of ${RUNTIME}: ${times.join(", ")}`);
      await stopNode();
    },
  };
}

/** Values of the defaults with which modules come from the node's registry. */
export const sourceValues = ({ node }: Stack): Any => ({
  policyServer: {
    sourceAuthorities: [{ uri: "ghcr.io", certs: [readFileSync(node.credential("ca.crt"), "utf8")] }],
    image: { runtime: RUNTIME },
  },
});

const RULES = [{
  apiGroups: [""],
  apiVersions: ["v1"],
  resources: ["pods"],
  operations: ["CREATE", "UPDATE"],
}];
const OUTSIDE = {
  matchExpressions: [{
    key: "kubernetes.io/metadata.name",
    operator: "NotIn",
    values: [NAMESPACE, "kube-system"],
  }],
};

/** The policy that nearly all scenarios use: no privileged Pods outside of the system's namespaces. */
export const privilegedPods = (spec: Any = {}): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind: "ClusterAdmissionPolicy",
  metadata: { name: "privileged-pods" },
  spec: {
    module: "registry://ghcr.io/kubewarden/tests/pod-privileged:v0.2.5",
    rules: RULES,
    mutating: false,
    namespaceSelector: OUTSIDE,
    ...spec,
  },
});

/** Another policy by name, module and the rest. */
export const policy = (kind: string, name: string, spec: Any, namespace?: string): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind,
  metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  spec: { rules: RULES, mutating: false, ...spec },
});

export { until };
