/** An API server with our CRDs and the reports', and the scanner as a process: what the tests of the scanner share. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { customResourceDefinitions, KINDS, policyId, type PolicyKind } from "../../crd/mod.ts";
import { reportResource } from "../../audit/render/report.ts";
import type { ReportKind } from "../../audit/types/settings.ts";
import { type KubeClient, kubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { type ControlPlane, startControlPlane, until } from "../cluster/control_plane.ts";
import { imageEnvironment, programFile } from "../programs.ts";
import { REPORT_CRDS } from "./report_crds.ts";

// deno-lint-ignore no-explicit-any
export type Any = any;

/** No scan in these tests takes that long. */
const SCAN_LIMIT_MS = 120_000;

export const NAMESPACE = "kubewarden";

const BUILT_IN: readonly Resource[] = [
  { kind: "Namespace", apiVersion: "v1", plural: "namespaces", namespaced: false },
  { kind: "ConfigMap", apiVersion: "v1", plural: "configmaps", namespaced: true },
  { kind: "Secret", apiVersion: "v1", plural: "secrets", namespaced: true },
  { kind: "Service", apiVersion: "v1", plural: "services", namespaced: true },
  { kind: "Pod", apiVersion: "v1", plural: "pods", namespaced: true },
  { kind: "Deployment", apiVersion: "apps/v1", plural: "deployments", namespaced: true },
  {
    kind: "HorizontalPodAutoscaler",
    apiVersion: "autoscaling/v2",
    plural: "horizontalpodautoscalers",
    namespaced: true,
  },
  {
    kind: "ClusterRole",
    apiVersion: "rbac.authorization.k8s.io/v1",
    plural: "clusterroles",
    namespaced: false,
  },
  {
    kind: "ClusterRoleBinding",
    apiVersion: "rbac.authorization.k8s.io/v1",
    plural: "clusterrolebindings",
    namespaced: false,
  },
  {
    kind: "CustomResourceDefinition",
    apiVersion: "apiextensions.k8s.io/v1",
    plural: "customresourcedefinitions",
    namespaced: false,
  },
];

/** The resource of an object's kind. */
export function resourceFor(kind: string): Resource {
  const own = KINDS.find((known) => known.kind === kind);
  if (own !== undefined) {
    return { kind, apiVersion: "policies.kubewarden.io/v1", plural: own.plural, namespaced: own.namespaced };
  }
  return BUILT_IN.find((known) => known.kind === kind)!;
}

export type ScanResult = {
  readonly code: number | null;
  readonly stderr: string;
  readonly stdout: string;
  readonly lines: readonly Any[];
  /** The fields of the line that closes a run. */
  readonly summary: Any;
};

export type Running = {
  readonly pid: number;
  stdout(): string;
  kill(): void;
  readonly ended: Promise<ScanResult>;
};

export type Cluster = {
  readonly plane: ControlPlane;
  readonly client: KubeClient;
  create(object: Any): Promise<Any>;
  remove(kind: string, name: string, namespace?: string): Promise<void>;
  /** Stored reports, those of namespaces and the cluster's, by the name of what they are about: `Kind namespace/name`. */
  reports(kind: ReportKind): Promise<Map<string, Any>>;
  /** Runs the scanner to its end. */
  scan(flags: readonly string[], env?: Readonly<Record<string, string>>): Promise<ScanResult>;
  start(flags: readonly string[], env?: Readonly<Record<string, string>>, limitMs?: number): Running;
  /** A kubeconfig file of a user without rights but those given to `system:authenticated` and by `rules`. */
  userWith(name: string, rules: readonly Any[]): Promise<string>;
  stop(): Promise<void>;
};

export type ClusterOptions = {
  /** Which report CRDs are installed; both by default. */
  readonly reports?: readonly ReportKind[];
  /** The scanner's file. */
  readonly program?: string;
};

/** Starts an API server with the CRDs, the kubewarden namespace, a PolicyServer `default` and its Service. */
export async function startCluster(
  { reports = ["openreports", "policyreport"], program = programFile("audit") }: ClusterOptions = {},
): Promise<Cluster> {
  const plane = await startControlPlane();
  const client = kubeClient(plane.admin, "audit-tests");
  const create = (object: Any) => client.create<Any>(resourceFor(object.kind), object);
  const crds = [...customResourceDefinitions(), ...reports.flatMap((kind) => REPORT_CRDS[kind])];
  for (const crd of crds) await create(crd);
  const served: Resource[] = [
    ...KINDS.map(({ kind }) => resourceFor(kind)),
    ...reports.flatMap((kind) => [reportResource(kind, true), reportResource(kind, false)]),
  ];
  for (const resource of served) {
    await until(
      `${resource.kind} is served`,
      () => client.list(resource, undefined, {}).then(() => true, () => false),
    );
  }
  await until(
    "the namespace default is there",
    () => client.get(resourceFor("Namespace"), undefined, "default").then(() => true, () => false),
  );
  await create({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
  await create({
    apiVersion: "policies.kubewarden.io/v1",
    kind: "PolicyServer",
    metadata: { name: "default" },
    spec: { image: "policy-server", replicas: 1 },
  });
  await create({
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: "policy-server-default",
      namespace: NAMESPACE,
      labels: { "app.kubernetes.io/instance": "policy-server-default" },
    },
    spec: { ports: [{ name: "policy-server", port: 443 }] },
  });

  const children = new Set<number>();
  function start(
    flags: readonly string[],
    env: Readonly<Record<string, string>> = {},
    limitMs = SCAN_LIMIT_MS,
  ): Running {
    const child = spawn(process.execPath, [program, ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...imageEnvironment("audit"),
        PATH: process.env["PATH"],
        HOME: plane.folder,
        KUBECONFIG: plane.kubeconfig,
        ...env,
      },
    });
    children.add(child.pid!);
    let stdout = "", stderr = "";
    child.stdout.setEncoding("utf8").on("data", (part) => stdout += part);
    child.stderr.setEncoding("utf8").on("data", (part) => stderr += part);
    const limit = setTimeout(() => child.kill("SIGKILL"), limitMs);
    const ended = new Promise<ScanResult>((resolve) =>
      child.once("close", (code) => {
        clearTimeout(limit);
        children.delete(child.pid!);
        const lines = stdout.split("\n").filter((line) => line.startsWith("{")).flatMap((line) => {
          try {
            return [JSON.parse(line)];
          } catch {
            // The last line of a process that was killed.
            return [];
          }
        });
        resolve({
          code,
          stderr,
          stdout,
          lines,
          summary: lines.find(({ message }) => message === "scan summary"),
        });
      })
    );
    return { pid: child.pid!, stdout: () => stdout, kill: () => void child.kill("SIGKILL"), ended };
  }

  return {
    plane,
    client,
    create,
    async remove(kind, name, namespace) {
      await client.remove(resourceFor(kind), namespace, name);
    },
    async reports(kind) {
      const found = new Map<string, Any>();
      for (const namespaced of [true, false]) {
        const { apiVersion: written, ...resource } = reportResource(kind, namespaced);
        // As kubectl shows them: in the version that is stored.
        const apiVersion = kind === "policyreport" ? "wgpolicyk8s.io/v1beta1" : written;
        const { items } = await client.list<Any>({ ...resource, apiVersion }, undefined, {});
        for (const item of items) {
          const { kind: about, namespace = "", name } = item.scope ?? {};
          const key = `${about} ${namespace}/${name}`;
          if (found.has(key)) throw new Error(`two reports on ${key}`);
          found.set(key, item);
        }
      }
      return found;
    },
    scan: (flags, env) => start(flags, env).ended,
    start,
    async userWith(name, rules) {
      const pair = await plane.authority.issue({ commonName: name });
      await create({
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRole",
        metadata: { name },
        rules,
      });
      await create({
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRoleBinding",
        metadata: { name },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
        subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name }],
      });
      const path = join(plane.folder, `kubeconfig-${name}`);
      writeFileSync(
        path,
        JSON.stringify({
          apiVersion: "v1",
          kind: "Config",
          "current-context": "test",
          contexts: [{ name: "test", context: { cluster: "test", user: name } }],
          clusters: [{
            name: "test",
            cluster: { server: plane.url, "certificate-authority-data": btoa(plane.authority.cert) },
          }],
          users: [{
            name,
            user: { "client-certificate-data": btoa(pair.cert), "client-key-data": btoa(pair.key) },
          }],
        }),
      );
      return path;
    },
    stop: () => plane.stop(),
  };
}

/** A policy object with what the schema requires; `status` is set by `activate`. */
export function policy(
  kind: PolicyKind,
  name: string,
  { namespace, annotations, ...spec }: {
    readonly namespace?: string;
    readonly annotations?: Any;
    readonly [field: string]: Any;
  },
): Any {
  const group = kind.endsWith("Group");
  return {
    apiVersion: "policies.kubewarden.io/v1",
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec: {
      rules: [rule("", "configmaps")],
      ...(group
        ? {
          expression: "a()",
          message: "group refuses",
          policies: { a: { module: "registry://example.org/a:v1" } },
        }
        : { module: "registry://example.org/a:v1", mutating: false }),
      ...spec,
    },
  };
}

export function rule(
  group: string,
  resource: string,
  version = "v1",
  operations: readonly string[] = ["CREATE", "UPDATE"],
): Any {
  return { apiGroups: [group], apiVersions: [version], resources: [resource], operations };
}

/** Creates a policy and sets its status as the controller would. */
export async function install(cluster: Cluster, object: Any, policyStatus = "active"): Promise<Any> {
  await cluster.create(object);
  const { kind, metadata: { name, namespace } } = object;
  return await cluster.client.patch<Any>(resourceFor(kind), namespace, name, "merge", {
    status: { policyStatus },
  }, {
    subresource: "status",
  });
}

/** Entries of policies.yml for policy objects: all served by one module. */
export function served(objects: readonly Any[], module: string): { readonly [id: string]: Any } {
  return Object.fromEntries(objects.map((object) => {
    const { spec } = object;
    const entry = spec.policies === undefined
      ? {
        module: spec.servedModule ?? module,
        settings: spec.settings ?? {},
        policyMode: spec.mode ?? "protect",
        allowedToMutate: spec.mutating === true,
      }
      : {
        expression: spec.expression,
        message: spec.message,
        policies: Object.fromEntries(Object.keys(spec.policies).map((name) => [name, { module }])),
      };
    return [policyId(object), entry];
  }));
}
