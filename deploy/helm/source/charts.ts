/** The four charts: what each is made of. */
import {
  CONTROLLER,
  CONTROLLER_REQUIRED,
  CONTROLLER_UNIFIED,
  CRDS,
  DEFAULTS,
  DEFAULTS_REQUIRED,
  GLOBAL,
  GLOBAL_REQUIRED,
  type JsonSchema,
  METADATA,
  valuesSchema,
} from "./schema.ts";

export const VERSION = "0.1.0";
export const APP_VERSION = `v${VERSION}`;

/** Tags of the recommended policies' modules: those of Kubewarden's chart of the same layout. */
export const POLICY_TAGS = {
  split: {
    allowPrivilegeEscalationPolicy: "v1.0.10",
    hostNamespacePolicy: "v1.1.8",
    podPrivilegedPolicy: "v1.0.10",
    userGroupPolicy: "v1.1.5",
    hostPathsPolicy: "v1.1.7",
    capabilitiesPolicy: "v1.0.10",
  },
  unified: {
    allowPrivilegeEscalationPolicy: "v1.0.13",
    hostNamespacePolicy: "v1.1.11",
    podPrivilegedPolicy: "v1.0.13",
    userGroupPolicy: "v1.1.5",
    hostPathsPolicy: "v1.1.10",
    capabilitiesPolicy: "v1.0.13",
  },
} as const;

export type Layout = keyof typeof POLICY_TAGS;

export type Chart = {
  readonly name: string;
  /** The chart of Kubewarden that it takes the place of: names and labels of objects are made from this name. */
  readonly original: string;
  readonly layout: Layout;
  readonly description: string;
  readonly annotations: { readonly [key: string]: string };
  /** Templates by their place in the chart, below `templates/`: the place in `source/templates/`. */
  readonly templates: { readonly [target: string]: string };
  /** Folder of the CRDs below `templates/`, if it has them. */
  readonly crds?: string;
  /** Named templates that NOTES.txt includes, in order; those of `warnings` in a list at the end. */
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  /** Parts of `values.yaml`, in order. */
  readonly values: readonly string[];
  readonly schema: JsonSchema;
  /** Parts of `questions.yaml`, Rancher's form; none: no form. */
  readonly questions: readonly string[];
  /** What its README opens with. */
  readonly introduction: string;
};

const SHARED = ["_names.tpl", "_images.tpl", "_cluster.tpl"];
const OF_CONTROLLER = [
  "audit-scanner.yaml",
  "audit-scanner-role.yaml",
  "audit-scanner-rolebinding.yaml",
  "audit-scanner-serviceaccount.yaml",
  "controller-checks.yaml",
  "controller-rbac-metrics-role.yaml",
  "controller-rbac-rolebinding.yaml",
  "controller-rbac-roles.yaml",
  "controller-serviceaccount.yaml",
  "deployment.yaml",
  "helm-test.yaml",
  "opentelemetry-collector.yaml",
  "post-install-hook.yaml",
  "pre-delete-hook.yaml",
  "service.yaml",
  "webhooks.yaml",
];
const POLICIES = [
  "allow-privileged-escalation-policy.yaml",
  "capabilities-policy.yaml",
  "host-namespace-policy.yaml",
  "host-path-policy.yaml",
  "pod-privileged-policy.yaml",
  "user-group-policy.yaml",
];

type Files = { readonly [target: string]: string };
const place = (from: string, to: string, files: readonly string[]): Files =>
  Object.fromEntries(files.map((file) => [`${to}${file}`, `${from}/${file}`]));
const shared = (...files: readonly string[]) => place("shared", "", files);

/** Rancher's catalogue and its user interface read these. */
const rancher = (release: string, more: Files = {}) => ({
  "catalog.cattle.io/namespace": "cattle-kubewarden-system",
  "catalog.cattle.io/release-name": release,
  "catalog.cattle.io/ui-component": "kubewarden",
  "catalog.cattle.io/os": "linux",
  "catalog.cattle.io/type": "cluster-tool",
  "catalog.cattle.io/rancher-version": ">= 2.6.0-0 <= 2.15.100-0",
  ...more,
});
const CONTROLLER_NEEDS = {
  "catalog.cattle.io/provides-gvr": "policyservers.policies.kubewarden.io/v1",
  "catalog.cattle.io/requests-cpu": "250m",
  "catalog.cattle.io/requests-memory": "50Mi",
};

export const CHARTS: readonly Chart[] = [
  {
    name: "portreeve-crds",
    original: "kubewarden-crds",
    layout: "split",
    description: "CustomResourceDefinitions of Portreeve",
    annotations: rancher("rancher-kubewarden-crds", { "catalog.cattle.io/hidden": "true" }),
    templates: shared("_names.tpl", "_crds_notes.tpl"),
    crds: "crds",
    notes: ["crdsNotes"],
    warnings: [],
    values: ["metadata", "crds"],
    schema: valuesSchema([METADATA, CRDS], ["installPolicyReportCRDs"]),
    questions: [],
    introduction: `The CustomResourceDefinitions, apart from what uses them. The first of three charts:

\`\`\`console
helm install --wait --namespace kubewarden --create-namespace kubewarden-crds portreeve-crds
helm install --wait --namespace kubewarden kubewarden-controller portreeve-controller
helm install --wait --namespace kubewarden kubewarden-defaults portreeve-defaults
\`\`\`

They are upgraded with the release, **and removed with it: with them goes every policy and PolicyServer of the cluster.** Uninstall
in the opposite order.`,
  },
  {
    name: "portreeve-controller",
    original: "kubewarden-controller",
    layout: "split",
    description: "Controller and audit scanner of Portreeve",
    annotations: rancher("rancher-kubewarden-controller", {
      ...CONTROLLER_NEEDS,
      "catalog.cattle.io/auto-install": `portreeve-crds=${VERSION}`,
    }),
    templates: {
      ...shared(...SHARED, "_host_network.tpl", "_jobs.tpl"),
      ...place("controller", "", ["_controller_notes.tpl", ...OF_CONTROLLER]),
    },
    notes: ["controllerNotes"],
    warnings: ["controllerWarnings"],
    values: ["global", "metadata", "controller"],
    schema: valuesSchema([GLOBAL, METADATA, CONTROLLER], [...GLOBAL_REQUIRED, ...CONTROLLER_REQUIRED]),
    questions: ["controller"],
    introduction:
      `The controller, its webhooks and the audit scanner. The second of three charts: it needs the CRDs of
\`portreeve-crds\`, and \`portreeve-defaults\` needs it. Takes the values of the chart \`kubewarden-controller\` of 1.36; a release of
the same name gets objects of the same names. Leave out image tags of the original.

Give \`portreeve-defaults\` the same \`global\` values. Removing this release removes every PolicyServer of the cluster.`,
  },
  {
    name: "portreeve-defaults",
    original: "kubewarden-defaults",
    layout: "split",
    description: "Default PolicyServer and recommended policies of Portreeve",
    annotations: rancher("rancher-kubewarden-defaults", { "catalog.cattle.io/hidden": "true" }),
    templates: {
      ...shared(...SHARED, "_host_network.tpl", "_policies.tpl", "_policy_server.tpl"),
      ...place("defaults", "", [
        "_defaults_notes.tpl",
        "policy-server-checks.yaml",
        "policy-server-rbac.yaml",
        "policyserver-default.yaml",
        ...POLICIES,
      ]),
    },
    notes: ["defaultsNotes"],
    warnings: ["defaultsWarnings"],
    values: ["global", "metadata", "defaults"],
    schema: valuesSchema([GLOBAL, METADATA, DEFAULTS], [...GLOBAL_REQUIRED, ...DEFAULTS_REQUIRED]),
    questions: ["defaults"],
    introduction:
      `The PolicyServer \`default\` and the recommended policies. The third of three charts: install it when the controller
is ready, remove it before the controller. Takes the values of the chart \`kubewarden-defaults\` of 1.36.`,
  },
  {
    name: "portreeve",
    original: "admission-controller",
    layout: "unified",
    description: "Portreeve: admission policies in WebAssembly for Kubernetes",
    annotations: rancher("rancher-admission-controller", CONTROLLER_NEEDS),
    templates: {
      ...shared(
        ...SHARED,
        "_host_network.tpl",
        "_jobs.tpl",
        "_crds_notes.tpl",
        "_policies.tpl",
        "_policy_server.tpl",
      ),
      ...place("controller", "", ["_controller_notes.tpl"]),
      ...place("defaults", "", ["_defaults_notes.tpl"]),
      ...place("controller", "controller/", [...OF_CONTROLLER, "controller-config-configmap.yaml"]),
      ...place("defaults", "defaults/", [
        "defaults-configmap.yaml",
        "policy-server-checks.yaml",
        "policy-server-rbac.yaml",
      ]),
    },
    crds: "crds",
    notes: ["crdsNotes", "controllerNotes", "defaultsNotes"],
    warnings: ["controllerWarnings", "defaultsWarnings"],
    values: ["global", "metadata", "crds", "controller", "controller_unified", "defaults"],
    schema: valuesSchema(
      [GLOBAL, METADATA, CRDS, CONTROLLER, CONTROLLER_UNIFIED, DEFAULTS],
      [...GLOBAL_REQUIRED, ...CONTROLLER_REQUIRED, ...DEFAULTS_REQUIRED],
    ),
    questions: ["controller", "crds", "unified", "defaults"],
    introduction: `All of Portreeve in one chart:

\`\`\`console
helm install --wait --namespace portreeve --create-namespace portreeve portreeve
\`\`\`

Takes the values of Kubewarden's chart \`admission-controller\`; a release of the same name gets objects of the same names. The
PolicyServer \`default\` and the recommended policies lie in the ConfigMap \`kubewarden-defaults\`, from which the controller applies
them. When the release is removed, the CRDs and the policies and PolicyServers that you made stay.`,
  },
];
