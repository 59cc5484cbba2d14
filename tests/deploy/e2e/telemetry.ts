/** Telemetry: off, by a collector of one's own with Prometheus beside it, and by sidecars, which host network excludes. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { NODE_ADDRESS } from "../../cluster/node/network.ts";
import { NODE_FOLDER } from "../../cluster/node/node.ts";
import { type Any, NAMESPACE, privilegedPods } from "../_objects.ts";
import { type Stack, until } from "../_stack.ts";
import { denied, deployment, podSpec, rolledOut, type Subject } from "./_steps.ts";

const SERVICES = ["policy-server-default", "admission-controller-metrics-service"] as const;
const metricsPort = (stack: Stack, service: string): Any =>
  stack.get("service", service, NAMESPACE)?.spec.ports.find(({ name }: Any) => name === "metrics");

/** A Service of the cluster in front of the collector on the node. */
const COLLECTOR: readonly Any[] = [
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "my-collector-collector", namespace: NAMESPACE },
    spec: { ports: [{ name: "otlp", port: 4317 }] },
  },
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: "my-collector-collector",
      namespace: NAMESPACE,
      labels: { "kubernetes.io/service-name": "my-collector-collector" },
    },
    addressType: "IPv4",
    endpoints: [{ addresses: [NODE_ADDRESS] }],
    ports: [{ name: "otlp", port: 4317 }],
  },
];
const custom = {
  mode: "custom",
  metrics: true,
  tracing: true,
  custom: { endpoint: `http://my-collector-collector.${NAMESPACE}.svc:4317`, insecure: true },
};
/** As much of the operator's CRD as the chart's object needs. */
const COLLECTOR_CRD = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "opentelemetrycollectors.opentelemetry.io" },
  spec: {
    group: "opentelemetry.io",
    scope: "Namespaced",
    names: {
      kind: "OpenTelemetryCollector",
      plural: "opentelemetrycollectors",
      singular: "opentelemetrycollector",
    },
    versions: [{
      name: "v1beta1",
      served: true,
      storage: true,
      schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
    }],
  },
};

export const telemetry: Subject = (test) => {
  test("B-OTL: a collector of one's own and Prometheus get both families of metrics, and spans", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    for (const service of SERVICES) assert.is(metricsPort(stack, service), undefined, service);
    await stack.node.stop("collector");
    const file = fileURLToPath(new URL("_collector.ts", import.meta.url));
    stack.node.start("collector", process.execPath, file, "4317");
    stack.apply(...COLLECTOR);
    await stack.oneChart({
      telemetry: custom,
      policyServer: {
        metricsPort: 9999,
        env: [{ name: "OTEL_METRIC_EXPORT_INTERVAL", value: "1000" }],
      },
    });
    for (const name of ["admission-controller", "policy-server-default"]) {
      const { template } = deployment(stack, name).spec;
      const [{ args = [], env = [] }] = template.spec.containers;
      assert.not(args.includes("--enable-otel-sidecar"), name);
      assert.is(template.metadata.annotations?.["sidecar.opentelemetry.io/inject"], undefined, name);
      const endpoint = env.find((variable: Any) => variable.name === "OTEL_EXPORTER_OTLP_ENDPOINT");
      assert.is(endpoint?.value, custom.custom.endpoint, name);
    }
    assert.is(metricsPort(stack, "policy-server-default").port, 9999);
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    await denied(stack);
    // Prometheus asks the Services' port called metrics, as a ServiceMonitor would have it.
    const targets = SERVICES.map((service) => {
      const { spec: { clusterIP } } = stack.get("service", service, NAMESPACE);
      return { targets: [`${clusterIP}:${metricsPort(stack, service).port}`], labels: { service } };
    });
    writeFileSync(join(NODE_FOLDER, "targets/services.json"), JSON.stringify(targets));
    const query = (expression: string): readonly Any[] => {
      const url = `http://127.0.0.1:9090/api/v1/query?query=${encodeURIComponent(expression)}`;
      return JSON.parse(stack.node.run("curl", "--silent", url)).data.result;
    };
    await until(
      "Prometheus has the policy server's evaluations",
      () =>
        query(
          'kubewarden_policy_evaluations_total{service="policy-server-default",policy_name="kw.cap.privileged-pods"}',
        )
          .length > 0,
    );
    await until(
      "Prometheus has the controller's policies",
      () => query('kubewarden_policy_total{service="admission-controller-metrics-service"}').length > 0,
    );
    await until("the collector has all of it", () => {
      const said = readFileSync(join(NODE_FOLDER, "logs/collector"), "utf8");
      return [
        "metric kubewarden_policy_total",
        "metric kubewarden_policy_evaluations_total",
        "span validation",
      ]
        .every((line) => said.split("\n").includes(line));
    });
  });

  test("B-OTL: sidecars are asked for by annotation and flag; on the host's network Helm refuses them", async ({ stack }) => {
    const sidecar = { mode: "sidecar", metrics: true };
    const said = stack.refused(() =>
      stack.install("admission-controller", "portreeve", { hostNetwork: true, telemetry: sidecar })
    );
    assert.match(said, /hostNetwork and telemetry\.mode=sidecar are incompatible/);
    stack.apply(COLLECTOR_CRD);
    stack.kubectl(
      "wait",
      "--for=condition=Established",
      "crd/opentelemetrycollectors.opentelemetry.io",
      "--timeout=60s",
    );
    await stack.oneChart({ telemetry: sidecar });
    const { template } = deployment(stack, "admission-controller").spec;
    assert.is(template.metadata.annotations["sidecar.opentelemetry.io/inject"], "true");
    assert.ok(podSpec(stack, "admission-controller").containers[0].args.includes("--enable-otel-sidecar"));
    await until(
      "the server asks for a sidecar too",
      () =>
        deployment(stack, "policy-server-default").spec.template.metadata.annotations
          ?.["sidecar.opentelemetry.io/inject"] === "true",
    );
    assert.is(metricsPort(stack, "policy-server-default").targetPort, 8080);
    assert.is(stack.get("opentelemetrycollector", "kubewarden", NAMESPACE)?.spec.mode, "sidecar");
    rolledOut(stack, "policy-server-default");

    await stack.oneChart();
    await until(
      "no port for metrics is left",
      () => SERVICES.every((service) => metricsPort(stack, service) === undefined),
    );
    stack.kubectl("delete", "crd", "opentelemetrycollectors.opentelemetry.io", "--wait", "--timeout=60s");
    stack.kubectl("delete", "service", "my-collector-collector", "-n", NAMESPACE);
    await stack.node.stop("collector");
    stack.clean();
  });
};
