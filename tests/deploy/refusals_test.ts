// Values that can't work are refused before anything is changed, by name, and with what to do where that isn't plain.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readFileSync } from "node:fs";
import { documentedValues } from "../../deploy/helm/source/readme.ts";
import {
  type Any,
  CHART_NAMES,
  type ChartName,
  CHARTS_FOLDER,
  helmTest,
  refusal,
  template,
} from "./_helm.ts";

const CONTROLLER = ["portreeve-controller", "portreeve"] as const;
const DEFAULTS = ["portreeve-defaults", "portreeve"] as const;

/** Values by their path, what is said, and values close by that are accepted. */
const SCHEMA: readonly (readonly [
  readonly ChartName[],
  path: string,
  bad: readonly unknown[],
  good: readonly unknown[],
])[] = [
  [["portreeve-crds", "portreeve"], "installOpenReportsCRDs", ["yes", 1], [true]],
  [CONTROLLER, "replicas", ["2", -1, 1.5], [0, 3]],
  [CONTROLLER, "hostNetwork", ["true", 1], [true, null]],
  [CONTROLLER, "ports.webhook", [0, 65536, -1, "x", "0", "70000", 1.5], [1, 65535, "9443"]],
  [CONTROLLER, "ports.healthProbe", [0, "65536"], [63001]],
  [CONTROLLER, "ports.metrics", [0, "065"], [63002]],
  [CONTROLLER, "logLevel", ["verbose", 0, -1], ["debug", "panic", 5, "5"]],
  [CONTROLLER, "telemetry.mode", ["collector", ""], ["custom"]],
  [CONTROLLER, "telemetry.custom.endpoint", ["collector:4317"], ["https://collector:4317", ""]],
  [CONTROLLER, "telemetry.sidecar.metrics.port", [-1, 65536, "a"], ["8080", 0]],
  [CONTROLLER, "image.pullPolicy", ["Sometimes"], ["Always"]],
  [CONTROLLER, "image.runtime", ["deno", ""], ["bun", null]],
  [CONTROLLER, "image.repository", ["", 1], ["a/b"]],
  [CONTROLLER, "imagePullSecrets", ["a", ["A B"], [{ nam: "a" }]], [["a", { name: "b" }], []]],
  [CONTROLLER, "additionalLabels", [["a"], { a: {} }], [{ a: "b", c: 1 }]],
  [CONTROLLER, "additionalEnvironmentVariables", [{ A: "1" }, [{ value: "1" }]], [[{ name: "A" }]]],
  [CONTROLLER, "resources.controller.limits.cpu", ["lots", true], ["500m", 1, "0.5"]],
  [CONTROLLER, "resources.auditScanner.requests.memory", ["1 GB", {}], ["1Gi", 1000000]],
  [CONTROLLER, "global.cattle.systemDefaultRegistry", ["https://r.example"], ["r.example:5000/a", ""]],
  [CONTROLLER, "global.skipNamespaces", ["kube-system", [1], [""]], [["kube-system"]]],
  [CONTROLLER, "auditScanner.cronJob.schedule", ["hourly", "* * * *", ""], ["*/60 * * * *", "@hourly"]],
  [CONTROLLER, "auditScanner.reportCRDsKind", ["openreport", true], ["policyreport", "", null]],
  [CONTROLLER, "auditScanner.logLevel", ["loud"], ["trace", "warning"]],
  [CONTROLLER, "auditScanner.serviceAccountName", [""], ["own"]],
  [CONTROLLER, "auditScanner.containerRestartPolicy", ["Always"], ["OnFailure"]],
  [CONTROLLER, "auditScanner.pageSize", ["100"], [0, -1]],
  [CONTROLLER, "fullnameOverride", ["Upper", "a_b"], ["a-b"]],
  [DEFAULTS, "crdVersion", ["v1", "apps/v1"], ["policies.kubewarden.io/v1"]],
  [DEFAULTS, "policyServer.replicaCount", ["2", -1], [0, 2]],
  [DEFAULTS, "policyServer.minAvailable", ["", "half", -1, "50 %"], ["1", 1, "50%", null]],
  [DEFAULTS, "policyServer.maxUnavailable", ["", "x"], [0, "100%"]],
  [DEFAULTS, "policyServer.webhookPort", [0, 65536, "x", "0"], [1, 65535, null, "8443"]],
  [DEFAULTS, "policyServer.readinessProbePort", [-1, 70000], [63003]],
  [DEFAULTS, "policyServer.metricsPort", ["8080x"], [9090]],
  [DEFAULTS, "policyServer.affinity", ["a", []], [{}]],
  [DEFAULTS, "policyServer.env", [{ A: "1" }, [{ value: "1" }]], [[{ name: "A", value: 1 }]]],
  [DEFAULTS, "policyServer.permissions", [[{ apiGroup: "apps" }], "all"], [[], null]],
  [DEFAULTS, "policyServer.sourceAuthorities", ["a", [{ certs: [] }], { a: "PEM" }], [[], {}, null]],
  [
    DEFAULTS,
    "policyServer.namespacedPoliciesCapabilities",
    ["*", ["/oci/v1/bla"], ["oci"], ["OCI/v1/bla"], ["oci/v1.0/bla"], [""], ["oci/v1/"], ["/"]],
    [
      ["*"],
      ["oci/*"],
      ["oci/v1/*"],
      ["oci/v1/bla"],
      ["my-cat/sub_path/leaf-node"],
      ["oci/v1/sub/*"],
      null,
      [],
    ],
  ],
  [DEFAULTS, "recommendedPolicies.defaultPolicyMode", ["enforce", ""], ["protect"]],
  [
    ["portreeve"],
    "namespacedPoliciesAllowedResources",
    [[{ apiGroups: [""] }], [{ resources: [] }], "all"],
    [
      [],
      null,
    ],
  ],
];

const at = (path: string, value: unknown): Any =>
  path.split(".").reduceRight<unknown>((below, key) => ({ [key]: below }), value);

helmTest("the schema refuses values of a wrong type or range, and names them", () => {
  for (const [charts, path, bad, good] of SCHEMA) {
    for (const chart of charts) {
      for (const value of bad) {
        const said = refusal(chart, { values: at(path, value) });
        assert.ok(said.includes(path.replaceAll(".", "/")), `${path}=${JSON.stringify(value)}: ${said}`);
        assert.ok(said.length < 1500, said);
      }
      for (const value of good) {
        const { status, stderr } = template(chart, { values: at(path, value) });
        assert.is(status, 0, `${path}=${JSON.stringify(value)}: ${stderr}`);
      }
    }
  }
});

const tracing = { telemetry: { tracing: true } };
const custom = { mode: "custom", metrics: true };
/** Values that go together no better than oil and water, and the words that help. */
const TOGETHER: readonly (readonly [readonly ChartName[], Any, RegExp])[] = [
  [
    CONTROLLER,
    { hostNetwork: true, telemetry: { metrics: true } },
    /hostNetwork and telemetry\.mode=sidecar are incompatible: OpenTelemetry sidecar injection causes port conflicts in host-network mode\. Use telemetry\.mode=custom with a remote collector instead\./,
  ],
  [CONTROLLER, { hostNetwork: true, ...tracing }, /hostNetwork and telemetry\.mode=sidecar are incompatible/],
  [CONTROLLER, { mTLS: { enable: true } }, /mTLS\.enable: .*Set mTLS\.configMapName to a ConfigMap/],
  [CONTROLLER, tracing, /Set telemetry\.sidecar\.tracing\.jaeger\.endpoint to host:port/],
  [
    CONTROLLER,
    { telemetry: custom },
    /telemetry\.mode=custom needs a collector: set telemetry\.custom\.endpoint/,
  ],
  [
    CONTROLLER,
    { ports: { webhook: 8081 } },
    /ports\.healthProbe and ports\.webhook are both 8081: the controller can't listen twice/,
  ],
  [
    CONTROLLER,
    { ports: { metrics: 9443 }, telemetry: { ...custom, custom: { endpoint: "https://c:1" } } },
    /ports\.metrics and ports\.webhook are both 9443/,
  ],
  [CONTROLLER, { auditScanner: { policyReporter: true } }, /helm install policy-reporter/],
  [
    CONTROLLER,
    { image: { runtime: "bun", tag: "v1@sha256:00" } },
    /image\.tag: .*give the digest of the Bun image/,
  ],
  [
    CONTROLLER,
    { additionalLabels: { "app.kubernetes.io/part-of": "x" } },
    /additionalLabels\.app\.kubernetes\.io\/part-of: the chart sets this label itself/,
  ],
  [
    DEFAULTS,
    { policyServer: { minAvailable: 1, maxUnavailable: "50%" } },
    /policyServer\.minAvailable and policyServer\.maxUnavailable exclude each other/,
  ],
  [
    DEFAULTS,
    { policyServer: { webhookPort: 8081 } },
    /policyServer\.webhookPort and policyServer\.readinessProbePort are both 8081/,
  ],
  [
    DEFAULTS,
    { global: { cattle: { systemDefaultRegistry: "" } }, recommendedPolicies: { enabled: true } },
    /names no registry, and policies have no default one: set recommendedPolicies\.defaultPoliciesRegistry/,
  ],
];

/** What a null takes away, though nothing works without it: the key's parent, as the schema names it, and the key. */
const NEEDED: readonly (readonly [readonly ChartName[], parent: string, key: string])[] = [
  [CONTROLLER, "ports", "webhook"],
  [CONTROLLER, "ports", "healthProbe"],
  [CONTROLLER, "ports", "metrics"],
  [CONTROLLER, "telemetry", "mode"],
  [CONTROLLER, "image", "repository"],
  [CONTROLLER, "auditScanner", "serviceAccountName"],
  [CONTROLLER, "auditScanner.cronJob", "schedule"],
  [DEFAULTS, "policyServer", "serviceAccountName"],
  [DEFAULTS, "policyServer.image", "repository"],
  [DEFAULTS, "recommendedPolicies", "defaultPolicyMode"],
  [DEFAULTS, "recommendedPolicies.hostPathsPolicy", "name"],
  [DEFAULTS, "global", "cattle"],
];

helmTest(
  "a null that takes away what nothing works without is refused; of every other value a null works",
  () => {
    for (const [charts, parent, key] of NEEDED) {
      for (const chart of charts) {
        const said = refusal(chart, { values: at(`${parent}.${key}`, null) });
        assert.ok(said.includes(parent.replaceAll(".", "/")) && said.includes(`'${key}'`), said);
      }
    }
    for (const chart of CHART_NAMES) {
      const yaml = readFileSync(`${CHARTS_FOLDER}${chart}/values.yaml`, "utf8");
      for (const { path } of documentedValues(yaml)) {
        const { status, stderr } = template(chart, {
          values: at(path, null),
          set: chart === "portreeve-crds" ? [] : ["telemetry.metrics=true"],
        });
        // Helm's own words for a value that a template stumbled over say nothing to who wrote it.
        if (status !== 0) {
          assert.match(
            stderr,
            /don't meet the specifications of the schema|missing propert/,
            path,
          );
        }
      }
    }
  },
);

helmTest("values that can't work together are refused with what to do", () => {
  for (const [charts, values, words] of TOGETHER) {
    for (const chart of charts) assert.match(refusal(chart, { values }), words);
  }
});

helmTest("metrics off leave their port out of it; a collector may be named by a variable", () => {
  for (
    const values of [
      { ports: { metrics: 9443 } },
      {
        telemetry: custom,
        additionalEnvironmentVariables: [{
          name: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
          value: "https://c:1",
        }],
      },
      { hostNetwork: true },
      { hostNetwork: true, telemetry: { ...custom, custom: { endpoint: "https://c:1" } } },
    ]
  ) {
    for (const chart of CONTROLLER) assert.is(template(chart, { values }).status, 0, JSON.stringify(values));
  }
});

helmTest("a chart of CRDs without its one required value is refused", () => {
  assert.match(
    refusal("portreeve-crds", { values: { installPolicyReportCRDs: null } }),
    /installPolicyReportCRDs/,
  );
});

test.run();
