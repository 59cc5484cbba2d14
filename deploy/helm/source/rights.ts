/** What each component may do in the cluster, and why: the charts' roles and `docs/rights.md` are written from this table. */
import { API_GROUP, KINDS } from "../../../crd/types.ts";

export type Right = {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
  readonly why: string;
};

export type Role = {
  readonly title: string;
  /** Where it holds: in the whole cluster, or in the release's namespace. */
  readonly scope: "cluster" | "namespace";
  readonly name: string;
  readonly rights: readonly Right[];
};

const plurals = KINDS.map(({ plural }) => plural).sort();
const READ = ["get", "list", "watch"] as const;
const MANAGE = ["create", "delete", "get", "list", "patch", "update", "watch"] as const;
const below = (resources: readonly string[], subresource: string) =>
  resources.map((resource) => `${resource}/${subresource}`);

export const ROLES = {
  controllerCluster: {
    title: "Controller, whole cluster",
    scope: "cluster",
    name: "kubewarden-controller-manager",
    rights: [
      {
        apiGroups: ["admissionregistration.k8s.io"],
        resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        verbs: ["create", "delete", "get", "list", "patch", "watch"],
        why:
          "one webhook configuration per policy; the authority in the chart's own two; matchConditions are " +
          "checked by a dry run",
      },
      {
        apiGroups: [""],
        resources: ["events"],
        verbs: ["create", "patch"],
        why: "Events beside the policies they are about, in any namespace",
      },
      {
        apiGroups: [API_GROUP],
        resources: plurals,
        verbs: MANAGE,
        why: "reads them; applies and removes the default resources; finalizers",
      },
      {
        apiGroups: [API_GROUP],
        resources: below(plurals, "finalizers"),
        verbs: ["update"],
        why: "finalizers and owner references where the API server guards them",
      },
      {
        apiGroups: [API_GROUP],
        resources: below(plurals, "status"),
        verbs: ["get", "patch", "update"],
        why: "what became of each resource",
      },
    ],
  },
  controllerNamespace: {
    title: "Controller, the release's namespace",
    scope: "namespace",
    name: "kubewarden-controller-manager",
    rights: [
      {
        apiGroups: [""],
        resources: ["configmaps", "secrets", "services"],
        verbs: MANAGE,
        why: "policies, certificates and address of each policy server",
      },
      {
        apiGroups: [""],
        resources: ["events"],
        verbs: ["create", "patch"],
        why: "Events about policy servers",
      },
      {
        apiGroups: [""],
        resources: ["pods"],
        verbs: READ,
        why: "whether every pod serves the policies, and why one doesn't",
      },
      {
        apiGroups: ["apps"],
        resources: ["deployments"],
        verbs: MANAGE,
        why: "the policy servers; the cleanup before an uninstallation removes the controller's own",
      },
      {
        apiGroups: ["apps"],
        resources: ["replicasets"],
        verbs: READ,
        why: "which pods are of the latest rollout",
      },
      {
        apiGroups: ["coordination.k8s.io"],
        resources: ["leases"],
        verbs: MANAGE,
        why: "one of several controllers leads",
      },
      {
        apiGroups: ["policy"],
        resources: ["poddisruptionbudgets"],
        verbs: MANAGE,
        why: "minAvailable and maxUnavailable of PolicyServers",
      },
    ],
  },
  metricsReader: {
    title: "Readers of the controller's metrics; bound to nobody",
    scope: "cluster",
    name: "kubewarden-controller-metrics-reader",
    rights: [{
      nonResourceURLs: ["/metrics"],
      verbs: ["get"],
      why: "for an authenticating proxy before the port",
    }],
  },
  auditScanner: {
    title:
      "Audit scanner, whole cluster; besides it has the built-in ClusterRole `view`, for the objects it scans",
    scope: "cluster",
    name: "audit-scanner-cluster-role",
    rights: [
      {
        apiGroups: [API_GROUP],
        resources: [...plurals, ...below(plurals, "status")].sort(),
        verbs: READ,
        why: "the policies to scan with, and the policy servers that evaluate them",
      },
      {
        apiGroups: ["wgpolicyk8s.io"],
        resources: ["policyreports", "clusterpolicyreports"],
        verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        why: "writes reports, and removes outdated ones",
      },
      {
        apiGroups: ["openreports.io"],
        resources: ["reports", "clusterreports"],
        verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        why: "writes reports, and removes outdated ones",
      },
    ],
  },
  helmTestCluster: {
    title: "`helm test`, while it runs, whole cluster",
    scope: "cluster",
    name: "kubewarden-helm-test",
    rights: [{
      apiGroups: [API_GROUP],
      resources: ["clusteradmissionpolicies"],
      verbs: ["create", "delete", "get"],
      why: "a policy for Pods of its own label",
    }],
  },
  helmTestNamespace: {
    title: "`helm test`, while it runs, the namespace in the value `helmTest.namespace`",
    scope: "namespace",
    name: "kubewarden-helm-test",
    rights: [{
      apiGroups: [""],
      resources: ["pods"],
      verbs: ["create"],
      why: "dry runs, of which the policy must reject one",
    }],
  },
} as const satisfies { readonly [name: string]: Role };

/** The rules of a role as they stand in its manifest, without what is for people. */
export function rules(role: Role): readonly Omit<Right, "why">[] {
  return role.rights.map(({ why: _why, ...rule }) => rule);
}

/** `docs/rights.md`. */
export function rightsPage(): string {
  const cell = (texts: readonly string[] | undefined) => (texts ?? []).map((text) => text || '""').join(", ");
  const tables = Object.values(ROLES as { readonly [name: string]: Role }).map((role) => {
    const rows = role.rights.map((right) => [
      cell(right.apiGroups) || "–",
      cell(right.resources ?? right.nonResourceURLs),
      cell(right.verbs),
      right.why,
    ]);
    const table = [["API group", "Resources", "Verbs", "Why"], ...rows];
    const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
    const line = (row: readonly string[]) =>
      `| ${row.map((text, column) => text.padEnd(widths[column]!)).join(" | ")} |`;
    const [head, ...body] = table.map(line);
    const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
    const kind = role.scope === "cluster" ? "ClusterRole" : "Role";
    return `## ${role.title}\n\n${kind} \`${role.name}\`\n\n${[head, rule, ...body].join("\n")}\n`;
  });
  return `# Rights

What the charts let each component do in the cluster. Written by \`deploy/helm/generate.ts\` from the table that
the charts' roles come from. What context-aware policies may read is not among it: ClusterRole
\`kubewarden-context-watcher\` has the rights in the value \`policyServer.permissions\`.

${tables.join("\n")}`;
}
