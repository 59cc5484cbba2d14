// Names, labels and selectors of the charts' objects (spec/charts.md §4): other software finds them by these.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Any, CHART_NAMES, CONTROLLER_CHARTS, helmTest, keyOf, one, podOf, render } from "./_helm.ts";

const IN_BOTH = [
  "ClusterRole/audit-scanner-cluster-role",
  "ClusterRole/kubewarden-controller-manager",
  "ClusterRole/kubewarden-controller-metrics-reader",
  "ClusterRoleBinding/audit-scanner-cluster-role",
  "ClusterRoleBinding/audit-scanner-cluster-role-viewer",
  "ClusterRoleBinding/kubewarden-controller-manager",
  "MutatingWebhookConfiguration/kubewarden-controller-mutating-webhook-configuration",
  "Role/kubewarden-controller-manager",
  "RoleBinding/kubewarden-controller-manager",
  "Secret/kubewarden-audit-scanner-client-cert",
  "Secret/kubewarden-ca",
  "Secret/kubewarden-webhook-server-cert",
  "ServiceAccount/audit-scanner",
  "ValidatingWebhookConfiguration/kubewarden-controller-validating-webhook-configuration",
];
const OF_DEFAULTS = [
  "ClusterRole/kubewarden-context-watcher",
  "ClusterRoleBinding/kubewarden-context-watcher",
  "ServiceAccount/policy-server",
];
const KUBEWARDEN_CRDS = [
  "admissionpolicies",
  "admissionpolicygroups",
  "clusteradmissionpolicies",
  "clusteradmissionpolicygroups",
  "policyservers",
].map((plural) => `CustomResourceDefinition/${plural}.policies.kubewarden.io`);
const OPEN_REPORTS = ["clusterreports", "reports"].map((plural) =>
  `CustomResourceDefinition/${plural}.openreports.io`
);
const POLICY_REPORTS = ["clusterpolicyreports", "policyreports"].map((plural) =>
  `CustomResourceDefinition/${plural}.wgpolicyk8s.io`
);
const POLICIES = [
  "do-not-run-as-root",
  "do-not-share-host-paths",
  "drop-capabilities",
  "no-host-namespace-sharing",
  "no-privilege-escalation",
  "no-privileged-pod",
].map((name) => `ClusterAdmissionPolicy/${name}`);

/** Without what `helm test` and hooks add. */
const keys = (objects: readonly Any[]) =>
  objects.filter(({ metadata }) => metadata.annotations?.["helm.sh/hook"] === undefined).map(keyOf).sort();

helmTest("each chart has these objects and no others, for the release names that the originals have", () => {
  const named = (name: string) => [
    "CronJob/audit-scanner",
    `Deployment/${name}`,
    `Service/${name}-webhook-service`,
    `ServiceAccount/${name}`,
  ];
  assert.equal(keys(render("portreeve-crds")), [...KUBEWARDEN_CRDS, ...OPEN_REPORTS].sort());
  assert.equal(
    keys(render("portreeve-crds", { set: ["installPolicyReportCRDs=true", "installOpenReportsCRDs=false"] })),
    [...KUBEWARDEN_CRDS, ...POLICY_REPORTS].sort(),
  );
  assert.equal(
    keys(render("portreeve-controller", { release: "kubewarden-controller" })),
    [...IN_BOTH, ...named("kubewarden-controller")].sort(),
  );
  assert.equal(keys(render("portreeve-defaults")), [...OF_DEFAULTS, "PolicyServer/default"].sort());
  assert.equal(
    keys(
      render("portreeve-defaults", {
        set: ["recommendedPolicies.enabled=true", "policyServer.enabled=false"],
      }),
    ),
    [...OF_DEFAULTS, ...POLICIES].sort(),
  );
  assert.equal(
    keys(render("portreeve", { release: "admission-controller" })),
    [
      ...KUBEWARDEN_CRDS,
      ...OPEN_REPORTS,
      ...IN_BOTH,
      ...OF_DEFAULTS,
      ...named("admission-controller"),
      "ConfigMap/kubewarden-controller-config",
      "ConfigMap/kubewarden-defaults",
    ].sort(),
  );
});

const LONG = "a".repeat(50);
/** Release, overrides, and the names that follow: of the Deployment, the webhook Service, the CronJob. */
const NAMES: readonly (readonly [string, Any, string, string, string])[] = [
  ["x", {}, "x-BASE", "x-BASE-webhook-service", "audit-scanner"],
  ["my-BASE", {}, "my-BASE", "my-BASE-webhook-service", "audit-scanner"],
  ["x", { nameOverride: "foo" }, "x-foo", "x-foo-webhook-service", "foo"],
  ["foo-1", { nameOverride: "foo" }, "foo-1", "foo-1-webhook-service", "foo-1"],
  [
    "my-audit-scanner",
    {},
    "my-audit-scanner-BASE",
    "my-audit-scanner-BASE-webhook-service",
    "my-audit-scanner",
  ],
  ["x", { fullnameOverride: "full" }, "full", "full-webhook-service", "full"],
  ["CHART", {}, "CHART", "CHART-webhook-service", "audit-scanner"],
  ["x", { fullnameOverride: LONG }, LONG, `${"a".repeat(47)}-webhook-service`, LONG],
];

helmTest(
  "names follow release, nameOverride and fullnameOverride; a Service's never exceeds a DNS label",
  () => {
    for (const { chart, name: base } of CONTROLLER_CHARTS) {
      const put = (text: string) => text.replaceAll("BASE", base).replaceAll("CHART", chart);
      for (const [release, values, deployment, service, cronJob] of NAMES) {
        const objects = render(chart, {
          release: put(release),
          values: {
            ...values,
            telemetry: { metrics: true, mode: "custom", custom: { endpoint: "https://a:1" } },
          },
        });
        const what = `${chart} ${put(release)} ${JSON.stringify(values)}`;
        const account = one(objects, "Deployment");
        assert.is(account.metadata.name, put(deployment), what);
        assert.is(podOf(account).spec.serviceAccountName, put(deployment), what);
        assert.is(one(objects, "CronJob").metadata.name, put(cronJob), what);
        const services = objects.filter(({ kind }) => kind === "Service").map(({ metadata }) =>
          metadata.name
        );
        assert.equal(
          services.sort(),
          [put(service), put(service).replace("-webhook-", "-metrics-")].sort(),
          what,
        );
        for (const found of services) assert.ok(found.length <= 63, found);
      }
    }
  },
);

helmTest("the webhook Service is called the same by flags, webhooks and certificate", () => {
  for (const { chart } of CONTROLLER_CHARTS) {
    const objects = render(chart, { release: "r", values: { fullnameOverride: LONG } });
    const service = one(objects, "Service").metadata.name;
    const args = podOf(one(objects, "Deployment")).spec.containers[0].args;
    assert.ok(args.includes(`--webhook-service-name=${service}`));
    for (const kind of ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]) {
      for (const { clientConfig } of one(objects, kind).webhooks) {
        assert.equal([clientConfig.service.name, clientConfig.service.namespace], [service, "kubewarden"]);
      }
    }
  }
});

helmTest("every object has the labels of its chart and component; CRDs of policies have none", () => {
  const component = (key: string, { metadata }: Any) => {
    if (metadata.annotations?.["helm.sh/hook"] !== undefined) return undefined;
    if (/audit-scanner/.test(key) && !key.startsWith("Secret/")) return "audit-scanner";
    if (/kubewarden-context-watcher|policy-server$|^PolicyServer/.test(key)) return "policy-server";
    return key.startsWith("ClusterAdmissionPolicy/") ? "policy" : "controller";
  };
  for (const chart of CHART_NAMES) {
    const original = chart === "portreeve"
      ? "admission-controller"
      : chart.replace("portreeve", "kubewarden");
    const split = chart !== "portreeve";
    const set = ["additionalLabels.team=a", "recommendedPolicies.enabled=true"];
    for (const object of render(chart, { release: "rel", set: chart === "portreeve-crds" ? [] : set })) {
      const key = keyOf(object);
      const { labels = {} } = object.metadata;
      if (object.kind === "CustomResourceDefinition") {
        if (!key.endsWith("openreports.io")) assert.equal(labels, {}, key);
        else assert.is(labels["app.kubernetes.io/managed-by"], "Helm", key);
        continue;
      }
      if (object.kind === "Job" && split) {
        // Of these three alone, so that its Service does not select them (spec/charts.md §4).
        const {
          "helm.sh/chart": _,
          "app.kubernetes.io/managed-by": __,
          "app.kubernetes.io/instance": ___,
          ...rest
        } = labels;
        assert.equal(rest, {}, key);
        continue;
      }
      if (object.kind === "Pod") {
        assert.is(labels["app.kubernetes.io/name"], undefined, key);
        assert.is(labels["app.kubernetes.io/component"], undefined, key);
        continue;
      }
      const wanted = component(key, object);
      assert.equal(labels, {
        "helm.sh/chart": `${chart}-0.1.0`,
        "app.kubernetes.io/name": original,
        "app.kubernetes.io/instance": "rel",
        "app.kubernetes.io/version": "v0.1.0",
        ...(wanted === undefined ? {} : { "app.kubernetes.io/component": wanted }),
        "app.kubernetes.io/part-of": "kubewarden",
        "app.kubernetes.io/managed-by": "Helm",
        team: "a",
      }, key);
    }
  }
});

helmTest(
  "the selectors are those of the layout, and no pod of the chart but the controller's has them",
  () => {
    for (const { chart, name } of CONTROLLER_CHARTS) {
      const objects = render(chart, {
        release: "rel",
        values: { telemetry: { metrics: true, mode: "sidecar" } },
      });
      const wanted = chart === "portreeve"
        ? { "app.kubernetes.io/instance": "rel", "app.kubernetes.io/component": "controller" }
        : { "app.kubernetes.io/name": name, "app.kubernetes.io/instance": "rel" };
      assert.equal(one(objects, "Deployment").spec.selector.matchLabels, wanted);
      for (const service of objects.filter(({ kind }) => kind === "Service")) {
        assert.equal(service.spec.selector, wanted, service.metadata.name);
      }
      const pods = objects.filter(({ kind }) => ["Deployment", "Job", "CronJob", "Pod"].includes(kind));
      assert.ok(pods.length >= 4);
      for (const object of pods) {
        const { labels } = object.kind === "Pod" ? object.metadata : podOf(object).metadata;
        const matches = Object.entries(wanted).every(([key, value]) => labels[key] === value);
        assert.is(matches, object.kind === "Deployment", keyOf(object));
        if (object.kind === "CronJob") assert.is(labels["app.kubernetes.io/component"], "audit-scanner");
      }
    }
  },
);

helmTest("additional annotations reach every object and the controller's pods, but no CRD", () => {
  for (const chart of CHART_NAMES) {
    const objects = render(chart, {
      values: { additionalAnnotations: { note: "yes", number: 1 }, recommendedPolicies: { enabled: true } },
    });
    for (const object of objects) {
      const { annotations = {} } = object.metadata;
      const wanted = object.kind === "CustomResourceDefinition" ? undefined : "yes";
      assert.is(annotations.note, wanted, keyOf(object));
      if (wanted !== undefined) assert.is(annotations.number, "1", keyOf(object));
      if (object.kind === "Deployment") assert.is(podOf(object).metadata.annotations.note, "yes");
    }
  }
});

helmTest("in one chart the CRDs stay when the release goes, those of OpenReports excepted", () => {
  const kept = (chart: "portreeve" | "portreeve-crds") =>
    render(chart, { set: ["installPolicyReportCRDs=true"] })
      .filter(({ kind, metadata }) =>
        kind === "CustomResourceDefinition" && metadata.annotations["helm.sh/resource-policy"] === "keep"
      ).map(keyOf).sort();
  assert.equal(kept("portreeve"), [...KUBEWARDEN_CRDS, ...POLICY_REPORTS].sort());
  assert.equal(kept("portreeve-crds"), []);
  for (const crd of render("portreeve").filter(({ kind }) => kind === "CustomResourceDefinition")) {
    if (!crd.metadata.name.endsWith("kubewarden.io")) continue;
    assert.ok(crd.metadata.annotations["controller-gen.kubebuilder.io/version"], crd.metadata.name);
  }
});

test.run();
