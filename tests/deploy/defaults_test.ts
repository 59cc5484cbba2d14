// PolicyServer `default`, the recommended policies and their rights (spec/charts.md §7, §8.1), in both layouts.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Any, defaultResources, helmTest, one, render, type Rendering } from "./_helm.ts";

const DEFAULTS_CHARTS = ["portreeve-defaults", "portreeve"] as const;
const server = (chart: (typeof DEFAULTS_CHARTS)[number], options: Rendering) =>
  one(defaultResources(render(chart, options)), "PolicyServer", "default");

/** Values of `policyServer` (or more) and the spec that follows, besides image, account and replicas. */
const SPECS: readonly (readonly [Any, Any])[] = [
  [{}, {}],
  [{ replicaCount: 3, minAvailable: "50%" }, { replicas: 3, minAvailable: "50%" }],
  [{ maxUnavailable: 1 }, { maxUnavailable: 1 }],
  // The original wants text; a PodDisruptionBudget a number.
  [{ minAvailable: "1" }, { minAvailable: 1 }],
  [{ maxUnavailable: 0 }, { maxUnavailable: 0 }],
  [{ replicaCount: 0 }, { replicas: 1 }],
  [{ image: { repository: "r/p", tag: "v9", runtime: "bun" } }, { image: "ghcr.io/r/p:v9-bun" }],
  [{ serviceAccountName: "own" }, { serviceAccountName: "own" }],
  [
    { verificationConfig: "v", sigstoreTrustConfig: "s", imagePullSecret: "p" },
    { verificationConfig: "v", sigstoreTrustConfig: "s", imagePullSecret: "p" },
  ],
  [{ annotations: { a: 1, b: true } }, { annotations: { a: "1", b: "true" } }],
  [
    {
      env: [{ name: "A", value: 1 }, { name: "B" }, {
        name: "C",
        valueFrom: { fieldRef: { fieldPath: "x" } },
      }],
    },
    {
      env: [{ name: "A", value: "1" }, { name: "B", value: "" }, {
        name: "C",
        valueFrom: { fieldRef: { fieldPath: "x" } },
      }],
    },
  ],
  [{ env: [] }, { env: undefined }],
  [{ insecureSources: ["a:5000"] }, { insecureSources: ["a:5000"] }],
  [
    { sourceAuthorities: [{ uri: "a", certs: ["PEM"] }, { uri: "b" }, { uri: "c", certs: [] }] },
    { sourceAuthorities: { a: ["PEM"] } },
  ],
  [{ sourceAuthorities: { a: ["PEM\nPEM"], b: null } }, { sourceAuthorities: { a: ["PEM\nPEM"] } }],
  [{ sourceAuthorities: {} }, {}],
  [{ sourceAuthorities: [] }, {}],
  // Absent means all capabilities, so an empty list must be written down.
  [{ namespacedPoliciesCapabilities: [] }, { namespacedPoliciesCapabilities: [] }],
  [{ namespacedPoliciesCapabilities: null }, { namespacedPoliciesCapabilities: undefined }],
  [{ namespacedPoliciesCapabilities: ["oci/*"] }, { namespacedPoliciesCapabilities: ["oci/*"] }],
  [
    { limits: { cpu: 1, memory: "1Gi" }, requests: { cpu: "0.5" } },
    { limits: { cpu: 1, memory: "1Gi" }, requests: { cpu: "0.5" } },
  ],
  [{ securityContexts: { pod: { runAsUser: 1 } } }, { securityContexts: { pod: { runAsUser: 1 } } }],
  [
    { webhookPort: 64005, readinessProbePort: "63003", metricsPort: 9090 },
    { webhookPort: 64005, readinessProbePort: 63003, metricsPort: 9090 },
  ],
  [{ affinity: { nodeAffinity: { a: 1 } } }, { affinity: { nodeAffinity: { a: 1 } } }],
];

helmTest("PolicyServer default follows its values", () => {
  for (const chart of DEFAULTS_CHARTS) {
    for (const [policyServer, wanted] of SPECS) {
      const spec = {
        image: "ghcr.io/portreeve/policy-server:v0.1.0",
        serviceAccountName: "policy-server",
        replicas: 1,
        env: [{ name: "KUBEWARDEN_LOG_LEVEL", value: "info" }],
        namespacedPoliciesCapabilities: ["*"],
        ...wanted,
      };
      const defined = Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
      const found = server(chart, { values: { policyServer } });
      assert.equal(found.spec, defined, `${chart} ${JSON.stringify(policyServer)}`);
      assert.equal(found.metadata.finalizers, ["kubewarden.io/finalizer"]);
    }
  }
});

helmTest("affinity of the PolicyServer wins over the global one; tolerations and priority are global", () => {
  const global = {
    affinity: { nodeAffinity: { g: 1 } },
    tolerations: [{ key: "k" }],
    priorityClassName: "p",
  };
  for (const chart of DEFAULTS_CHARTS) {
    const { affinity, tolerations, priorityClassName } = server(chart, { values: { global } }).spec;
    assert.equal([affinity, tolerations, priorityClassName], [global.affinity, global.tolerations, "p"]);
    const own = server(chart, { values: { global, policyServer: { affinity: { podAffinity: { o: 1 } } } } });
    assert.equal(own.spec.affinity, { podAffinity: { o: 1 } });
  }
});

const POD_RULE = (...operations: readonly string[]) => ({
  apiGroups: [""],
  apiVersions: ["v1"],
  resources: ["pods"],
  operations,
});
/** spec/charts.md §7.3: name, module without its tag, mutating, rules, settings. */
const POLICIES: readonly (readonly [string, string, boolean, Any, Any])[] = [
  [
    "no-privilege-escalation",
    "allow-privilege-escalation-psp",
    true,
    [POD_RULE("CREATE")],
    { default_allow_privilege_escalation: false },
  ],
  [
    "no-host-namespace-sharing",
    "host-namespaces-psp",
    false,
    [POD_RULE("CREATE", "UPDATE")],
    { allow_host_ipc: false, allow_host_network: false, allow_host_pid: false, allow_host_ports: [] },
  ],
  [
    "no-privileged-pod",
    "pod-privileged",
    false,
    [
      POD_RULE("CREATE"),
      { ...POD_RULE("CREATE", "UPDATE"), resources: ["replicationcontrollers"] },
      {
        ...POD_RULE("CREATE", "UPDATE"),
        apiGroups: ["apps"],
        resources: ["deployments", "replicasets", "statefulsets", "daemonsets"],
      },
      { ...POD_RULE("CREATE", "UPDATE"), apiGroups: ["batch"], resources: ["jobs", "cronjobs"] },
    ],
    { skip_init_containers: false, skip_ephemeral_containers: false },
  ],
  [
    "do-not-run-as-root",
    "user-group-psp",
    true,
    [POD_RULE("CREATE")],
    {
      run_as_user: { rule: "MustRunAsNonRoot" },
      run_as_group: { rule: "RunAsAny" },
      supplemental_groups: { rule: "RunAsAny" },
      validate_container_image_configuration: false,
    },
  ],
  [
    "do-not-share-host-paths",
    "hostpaths-psp",
    false,
    [POD_RULE("CREATE", "UPDATE")],
    { allowedHostPaths: [{ pathPrefix: "/tmp", readOnly: true }] },
  ],
  [
    "drop-capabilities",
    "capabilities-psp",
    true,
    [POD_RULE("CREATE", "UPDATE")],
    { allowed_capabilities: [], required_drop_capabilities: ["ALL"], default_add_capabilities: [] },
  ],
];
const TAGS = {
  "portreeve-defaults": ["v1.0.10", "v1.1.8", "v1.0.10", "v1.1.5", "v1.1.7", "v1.0.10"],
  portreeve: ["v1.0.13", "v1.1.11", "v1.0.13", "v1.1.5", "v1.1.10", "v1.0.13"],
} as const;

helmTest("the six recommended policies are the published ones, with these rules and settings", () => {
  for (const chart of DEFAULTS_CHARTS) {
    for (const mode of ["monitor", "protect"]) {
      const found = defaultResources(render(chart, {
        values: {
          global: { skipNamespaces: ["a"] },
          recommendedPolicies: { enabled: true, defaultPolicyMode: mode, skipAdditionalNamespaces: ["b"] },
        },
      })).filter(({ kind }) => kind === "ClusterAdmissionPolicy");
      assert.is(found.length, POLICIES.length);
      for (const [index, [name, module, mutating, rules, settings]] of POLICIES.entries()) {
        const { metadata, spec } = one(found, "ClusterAdmissionPolicy", name);
        assert.equal(spec, {
          mode,
          failurePolicy: mode === "protect" ? "Fail" : "Ignore",
          module: `ghcr.io/kubewarden/policies/${module}:${TAGS[chart][index]}`,
          mutating,
          ...(chart === "portreeve" ? { backgroundAudit: true } : {}),
          rules,
          namespaceSelector: {
            matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["a", "b"] }],
          },
          settings,
        });
        assert.equal(metadata.annotations, {
          "io.kubewarden.policy.severity": "medium",
          "io.kubewarden.policy.category": "PSP",
        });
      }
    }
  }
});

const policyOf = (values: Any, name = "no-privilege-escalation") =>
  one(defaultResources(render("portreeve", { values })), "ClusterAdmissionPolicy", name).spec;

helmTest("the setting that the original's value names does what it says", () => {
  const settings = (given: Any) =>
    policyOf({
      recommendedPolicies: { enabled: true, allowPrivilegeEscalationPolicy: { settings: given } },
    }).settings;
  assert.equal(settings({ allowPrivilegeEscalation: true }), { default_allow_privilege_escalation: true });
  // What the policy itself knows wins.
  assert.equal(settings({ default_allow_privilege_escalation: true }), {
    default_allow_privilege_escalation: true,
  });
});

helmTest("modules come from the registry of policies; nothing skipped means no selector", () => {
  const recommendedPolicies = { enabled: true, defaultPoliciesRegistry: "r.example/" };
  assert.match(policyOf({ recommendedPolicies }).module, /^r\.example\/kubewarden\/policies\//);
  const bare = {
    enabled: true,
    allowPrivilegeEscalationPolicy: { module: { repository: "own.example/p", tag: "1" } },
  };
  for (const key of ["hostNamespace", "podPrivileged", "userGroup", "hostPaths", "capabilities"]) {
    Object.assign(bare, { [`${key}Policy`]: null });
  }
  const global = { cattle: { systemDefaultRegistry: "" }, skipNamespaces: [] };
  const { module, namespaceSelector } = policyOf({ global, recommendedPolicies: bare });
  assert.equal([module, namespaceSelector], ["own.example/p:1", undefined]);
});

helmTest("a block that is null leaves its policy out; both off leave the ConfigMap out", () => {
  const values = { recommendedPolicies: { enabled: true, hostPathsPolicy: null } };
  for (const chart of DEFAULTS_CHARTS) {
    const names = defaultResources(render(chart, { values })).map(({ metadata }) => metadata.name);
    assert.is(names.length, 6);
    assert.not.ok(names.includes("do-not-share-host-paths"));
  }
  const config = one(render("portreeve", { values }), "ConfigMap", "kubewarden-defaults");
  assert.equal(Object.keys(config.data).sort(), [
    "allow-privilege-escalation.yaml",
    "capabilities.yaml",
    "host-namespace.yaml",
    "pod-privileged.yaml",
    "policyserver-default.yaml",
    "user-group.yaml",
  ]);
  const off = render("portreeve", { set: ["policyServer.enabled=false"] });
  assert.is(off.filter(({ metadata }) => metadata.name === "kubewarden-defaults").length, 0);
});

helmTest("what the ConfigMap carries is what the chart for defaults renders, but for who manages it", () => {
  const values = {
    nameOverride: "same",
    additionalLabels: { team: "a" },
    additionalAnnotations: { note: "true" },
    recommendedPolicies: { enabled: true },
    policyServer: { sourceAuthorities: { a: ["PEM\nPEM"] } },
  };
  const [split, unified] = DEFAULTS_CHARTS.map((chart) =>
    defaultResources(render(chart, { values })).map((object) => {
      const { labels } = object.metadata;
      assert.is(
        labels["app.kubernetes.io/managed-by"],
        chart === "portreeve" ? "kubewarden-controller" : "Helm",
      );
      delete labels["app.kubernetes.io/managed-by"];
      delete labels["helm.sh/chart"];
      if (object.spec.module !== undefined) object.spec.module = object.spec.module.replace(/:[^:]*$/, "");
      delete object.spec.backgroundAudit;
      return object;
    }).sort((a, b) => a.metadata.name < b.metadata.name ? -1 : 1)
  );
  assert.equal(split, unified);
});

helmTest("rights of context-aware policies are those of the values, also without the PolicyServer", () => {
  for (const chart of DEFAULTS_CHARTS) {
    const role = (values: Any) =>
      one(render(chart, { values }), "ClusterRole", "kubewarden-context-watcher").rules;
    const read = ["get", "list", "watch"];
    assert.equal(role({ policyServer: { enabled: false } }), [
      { apiGroups: [""], resources: ["namespaces", "pods", "services"], verbs: read },
      { apiGroups: ["networking.k8s.io"], resources: ["ingresses"], verbs: read },
      { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
    ]);
    const permissions = [{ apiGroup: "apps", resources: ["deployments"], verbs: ["get"] }];
    assert.equal(role({ policyServer: { permissions } }), [
      { apiGroups: ["apps"], resources: ["deployments"], verbs: ["get"] },
    ]);
    assert.equal(role({ policyServer: { permissions: [] } }), []);
    const binding = one(
      render(chart, { values: { policyServer: { serviceAccountName: "own" } } }),
      "ClusterRoleBinding",
      "kubewarden-context-watcher",
    );
    assert.equal(binding.subjects, [{ kind: "ServiceAccount", name: "own", namespace: "kubewarden" }]);
  }
});

helmTest("the controller's configuration lists what namespaced policies may have rules for", () => {
  const config = (values: Any) =>
    one(render("portreeve", { values }), "ConfigMap", "kubewarden-controller-config").data["config.yaml"];
  assert.match(
    config({}),
    /^namespacedPoliciesAllowedResources:\n\s+- apiGroups:\n\s+- ""\n\s+resources:\n\s+- pods/,
  );
  for (const none of [null, []]) {
    assert.match(
      config({ namespacedPoliciesAllowedResources: none }),
      /^namespacedPoliciesAllowedResources:\s+\[\]\s*$/,
    );
  }
});

helmTest("other software reads these texts in the ConfigMap", () => {
  const { data } = one(
    render("portreeve", { set: ["recommendedPolicies.enabled=true", "additionalAnnotations.custom=value"] }),
    "ConfigMap",
    "kubewarden-defaults",
  );
  for (const text of Object.values(data) as string[]) {
    for (
      const line of [
        "apiVersion: policies.kubewarden.io/v1",
        "app.kubernetes.io/part-of: kubewarden",
        "app.kubernetes.io/managed-by: kubewarden-controller",
        "custom: value",
      ]
    ) assert.ok(text.includes(line), line);
  }
  assert.ok(data["allow-privilege-escalation.yaml"].includes('operations: ["CREATE"]'));
  assert.not.ok(data["allow-privilege-escalation.yaml"].includes("UPDATE"));
});

test.run();
