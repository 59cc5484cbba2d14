/**
 * The stack on a real node, as an operator has it: images of the runtime that runs the tests, charts installed by Helm, objects
 * made and read by kubectl. Everything goes through those two, so a scenario reads as what a person would type.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseDocument } from "../../deps.ts";
import { until as untilWithin } from "../cluster/control_plane.ts";
import { importLayout } from "../cluster/node/image_archive.ts";
import { takeNode } from "../cluster/node/in_use.ts";
import { NODE_ADDRESS } from "../cluster/node/network.ts";
import { type ClusterNode, currentNode, nodeIsUp, startNode, stopNode } from "../cluster/node/node.ts";
import { run } from "../cluster/node/shell.ts";
import { bundleFile } from "../programs.ts";
import type { LoadResult } from "./_load.ts";
import { type Any, imageValues, NAMESPACE, podManifest, type PodOptions, RUNTIME } from "./_objects.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const node_ = join(root, "node_modules/.bin/node");

/** Policies of this repository under the names by which Kubewarden publishes theirs. */
const STAND_INS: readonly (readonly [name: string, policy: string])[] = [
  ["kubewarden/tests/pod-privileged:v0.2.5", "pod-privileged"],
  ["kubewarden/policies/pod-privileged:v1.0.10", "pod-privileged"],
  ["kubewarden/policies/pod-privileged:v1.0.13", "pod-privileged"],
  ["kubewarden/tests/safe-labels:v0.1.13", "required-labels"],
  ["kubewarden/tests/seccomp:v1", "default-seccomp"],
  ["kubewarden/tests/opa-context:v1", "../tests/policies/opa-context"],
  ["kubewarden/tests/gatekeeper-context:v1", "../tests/policies/gatekeeper-context"],
  ["kubewarden/tests/host-caller:v1", "../tests/policies/host-caller"],
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
  /** The same in another namespace than the stack's. */
  installIn(
    namespace: string,
    release: string,
    chart: string,
    values?: Any,
    ...args: readonly string[]
  ): void;
  uninstall(release: string): void;
  /** Brings the one chart to these values, installed as `admission-controller`, beside what the images and modules need. */
  oneChart(values?: Any): Promise<void>;
  /** Removes all policies, and the PolicyServers but `default`. */
  clean(): void;
  /** `reeve`, run in the node's network. */
  reeve(...args: readonly string[]): string;
  /**
   * Creates Pods through the API server while something happens: 8 clients, 2,000 dry runs and as many more as it takes until
   * `disturb` has ended.
   */
  underLoad(disturb?: () => unknown, objects?: number): Promise<LoadResult>;
  /** Waits until a policy is active and nothing else answers for it. */
  active(kind: string, name: string, namespace?: string): void;
  /** Tries to create a Pod as a dry run; what the API server says when it refuses. */
  tryPod(options?: PodOptions): string | undefined;
  /** Creates a Pod. */
  pod(name: string, options?: PodOptions): Any;
  /** What is printed at the end. */
  note(text: string): void;
  /** A phase's time, printed at the end. */
  timed<T>(phase: string, work: () => T | Promise<T>): Promise<T>;
  stop(): Promise<void>;
};

/** The values of the one chart's release with which a member of `policyServer` keeps what is not named again. */
function merged(base: Any, over: Any): Any {
  if (
    typeof base !== "object" || typeof over !== "object" || base === null || over === null ||
    Array.isArray(over)
  ) {
    return over;
  }
  return Object.fromEntries(
    [...new Set([...Object.keys(base), ...Object.keys(over)])].map((key) => [
      key,
      key in over && key in base ? merged(base[key], over[key]) : key in over ? over[key] : base[key],
    ]),
  );
}

/** Whether `live` has all that `wanted` has; what is undefined is absent. */
function covers(live: Any, wanted: Any): boolean {
  if (typeof wanted !== "object" || wanted === null) return live === wanted;
  if (typeof live !== "object" || live === null) return false;
  if (Array.isArray(wanted) && wanted.length !== live.length) return false;
  return Object.keys(wanted).every((key) => covers(live[key], wanted[key]));
}

/** Starts the node and brings images and policies onto it; prints what goes wrong, because uvu says nothing of a failed hook. */
export async function startStack(): Promise<Stack> {
  try {
    const { giveBack } = takeNode();
    const stack = await startEverything();
    return { ...stack, stop: () => stack.stop().finally(giveBack) };
  } catch (error) {
    console.error(error);
    throw error;
  }
}

async function startEverything(): Promise<Stack> {
  const times: string[] = [];
  const timed = async <T>(phase: string, work: () => T | Promise<T>): Promise<T> => {
    const began = performance.now();
    const result = await work();
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
  // People who work on a scenario keep the node: `E2E_KEEP=1`, and the first run starts it.
  const keep = process.env["E2E_KEEP"] === "1";
  const node = keep && nodeIsUp() ? currentNode() : await startNode({ prometheus: true, nodes: 2 });
  for (const component of ["policy-server", "controller", "audit-scanner"]) {
    // The scanner is never sent to the second node, and an image takes its time.
    const sockets = component === "audit-scanner" ? node.sockets.slice(0, 1) : node.sockets;
    for (const socket of sockets) importLayout(socket, join(images, `${component}-${RUNTIME}`));
  }
  // A kept cluster's pods run what their images were before.
  if (keep) node.kubectl("delete", "pods", "-A", "-l", "app.kubernetes.io/part-of=kubewarden", "--wait");
  // One node, as nearly all scenarios have it; those about scheduling let pods onto the other one.
  node.kubectl("cordon", "node2");
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
  const apply = (...objects: readonly Any[]) =>
    void kubectl("apply", "-f", scratch({ apiVersion: "v1", kind: "List", items: objects }));
  let defaultKeys: readonly string[] = [];
  const installIn: Stack["installIn"] = (namespace, release, chart, values = {}, ...args) =>
    void node.helm(
      "upgrade",
      "--install",
      release,
      join(root, "deploy/helm", chart),
      "--namespace",
      namespace,
      "--wait",
      "--wait-for-jobs",
      "--timeout",
      "5m",
      "--values",
      scratch(values),
      ...args,
    );
  const install: Stack["install"] = (release, chart, values = {}, ...args) => {
    installIn(NAMESPACE, release, chart, values, ...args);
    // On the host's network the old pod goes first, and to Helm a Deployment that may miss a pod is ready without it.
    if (["portreeve", "portreeve-controller"].includes(chart)) {
      const { fullnameOverride: name = release } = values as { readonly fullnameOverride?: string };
      kubectl("rollout", "status", `deployment/${name}`, "-n", NAMESPACE, "--timeout=240s");
    }
  };
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
    apply,
    refused,
    helm: (...args) => node.helm(...args),
    install,
    installIn,
    uninstall(release) {
      // The API server (up to 1.36) begins to serve a kind when it is first asked for it. If that is the deletion of its CRD, the
      // first try fails, and the second meets a conflict with what the first one wrote, after which the deletion rests until the
      // next resync, five minutes later. Nobody may have asked for reports yet.
      if (release.endsWith("crds")) kubectl("get", "reports,clusterreports", "--all-namespaces");
      node.helm("uninstall", release, "--namespace", NAMESPACE, "--wait", "--timeout", "5m");
    },
    async oneChart(values = {}) {
      const level = values.hostNetwork === true ? "privileged" : "restricted";
      const labels = Object.fromEntries(
        ["enforce", "warn"].map((mode) => [`pod-security.kubernetes.io/${mode}`, level]),
      );
      // Kubernetes warns of pods on the host's network, which are about to go.
      const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE, labels } };
      node.kubectl("apply", "-f", scratch(namespace));
      const all = merged({ ...imageValues(), ...sourceValues(node) }, values);
      install("admission-controller", "portreeve", all);
      // Helm is done when the controller runs; the controller then applies the defaults.
      const { data } = get("configmap", "kubewarden-defaults", NAMESPACE);
      const { spec } = parseDocument(data["policyserver-default.yaml"]).toJS();
      const same = () => {
        const live = get("ps", "default")?.spec ?? {};
        const keys = [...Object.keys(spec), ...defaultKeys];
        return keys.every((key) => covers(live[key], spec[key]));
      };
      await until("the controller has applied PolicyServer default", same);
      defaultKeys = Object.keys(spec);
      await until(
        "policy-server-default is there",
        () => get("deployment", "policy-server-default", NAMESPACE) !== undefined,
      );
      kubectl("rollout", "status", "deployment/policy-server-default", "-n", NAMESPACE, "--timeout=120s");
    },
    clean() {
      kubectl("delete", "cap,capg,ap,apg", "--all", "-A", "--wait", "--timeout=120s");
      kubectl("delete", "ps", "--field-selector=metadata.name!=default", "--wait", "--timeout=120s");
      // The next scenario's Pods are not to meet webhooks of policies that are gone: the API server forgets them a moment later.
      kubectl("delete", "pods", "-n", "default", "--all", "--wait", "--timeout=120s");
    },
    reeve: (...args) => node.run(process.execPath, bundleFile("reeve"), ...args),
    async underLoad(disturb = () => {}, objects = 2_000) {
      const file = fileURLToPath(new URL("_load.ts", import.meta.url));
      const stopFile = join(tmpdir(), `portreeve-load-${process.pid}`);
      rmSync(stopFile, { force: true });
      const running = node.runBeside(
        process.execPath,
        file,
        node.credential("admin.kubeconfig"),
        "8",
        String(objects),
        stopFile,
      );
      try {
        await until("the load runs", () => existsSync(`${stopFile}.running`));
        await disturb();
      } finally {
        writeFileSync(stopFile, "");
      }
      return JSON.parse(await running);
    },
    active(kind, name, namespace) {
      const where = namespace === undefined ? [] : ["-n", namespace];
      for (const condition of ["PolicyActive", "PolicyUniquelyReachable"]) {
        kubectl("wait", `--for=condition=${condition}`, `${kind}/${name}`, ...where, "--timeout=240s");
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
    async stop() {
      console.log(`\n  images of ${RUNTIME}: ${times.join(", ")}`);
      if (!keep) await stopNode();
    },
  };
}

/** Values of the defaults with which modules come from the node's registry. */
export const sourceValues = (node: ClusterNode): Any => ({
  policyServer: {
    sourceAuthorities: [{ uri: "ghcr.io", certs: [readFileSync(node.credential("ca.crt"), "utf8")] }],
    image: { runtime: RUNTIME },
  },
});

/** The same for a PolicyServer. */
export const sourceAuthorities = (node: ClusterNode): Any => ({
  "ghcr.io": [readFileSync(node.credential("ca.crt"), "utf8")],
});

/** Waits for what a cluster does by itself; its limit is that of a cluster that will not do it, however busy the machine is. */
export const until: typeof untilWithin = (what, probe, options = {}) =>
  untilWithin(what, probe, { limitMs: 180_000, pauseMs: 100, ...options });
