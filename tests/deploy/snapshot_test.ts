// Snapshots: everything that the charts render for a few sets of values, so that a change of any object shows in a review.
// Renew them with `node tests/deploy/snapshot_test.ts --update`, and read what has changed.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { stringifyYaml } from "../../deps.ts";
import { type Any, type ChartName, helmTest, render, type Rendering, withoutCertificates } from "./_helm.ts";

const folder = new URL("./snapshots/", import.meta.url);
const update = process.argv.includes("--update");

/** What the values of a case change; the rest is in the snapshots of the defaults. */
const WORKLOADS = ["Deployment", "Service", "Job", "OpenTelemetryCollector"];
const CASES: readonly (Rendering & {
  readonly file: string;
  readonly chart: ChartName;
  readonly kinds?: readonly string[];
})[] = [
  { file: "controller-default", chart: "portreeve-controller", release: "kubewarden-controller" },
  {
    file: "controller-host-network",
    kinds: WORKLOADS,
    chart: "portreeve-controller",
    release: "kubewarden-controller",
    values: {
      hostNetwork: true,
      ports: { webhook: 63000, healthProbe: 63001, metrics: 63002 },
      telemetry: {
        mode: "custom",
        metrics: true,
        tracing: true,
        custom: {
          endpoint: "https://collector:4317",
          otelCollectorCertificateSecret: "server",
          otelCollectorClientCertificateSecret: "client",
        },
      },
      mTLS: { enable: true, configMapName: "client-ca" },
      imagePullSecrets: ["pull"],
    },
  },
  {
    file: "controller-sidecar",
    kinds: WORKLOADS,
    chart: "portreeve-controller",
    release: "kubewarden-controller",
    values: {
      telemetry: {
        metrics: true,
        tracing: true,
        sidecar: { tracing: { jaeger: { endpoint: "jaeger:4317" } } },
      },
      preDeleteJob: { image: { repository: "rancher/kuberlr-kubectl", tag: "v8.0.0" } },
    },
  },
  {
    file: "defaults-policies",
    chart: "portreeve-defaults",
    release: "kubewarden-defaults",
    values: { recommendedPolicies: { enabled: true, defaultPolicyMode: "protect" } },
  },
  {
    file: "unified-policies",
    kinds: [...WORKLOADS, "ConfigMap", "MutatingWebhookConfiguration"],
    chart: "portreeve",
    release: "admission-controller",
    values: { recommendedPolicies: { enabled: true }, installOpenReportsCRDs: false },
  },
];

const short = (object: Any): Any =>
  // Their schemas are tested in tests/crd.
  object.kind === "CustomResourceDefinition" ? { ...object, spec: "(crd/render/manifests.ts)" } : object;

for (const { file, chart, kinds, ...rendering } of CASES) {
  helmTest(`${file} is what its snapshot shows`, () => {
    const found = render(chart, {
      ...rendering,
      values: { global: { skipNamespaces: ["kube-system"] }, ...rendering.values },
    })
      .filter(({ kind }) => kinds === undefined || kinds.includes(kind))
      .map((object) => stringifyYaml(short(withoutCertificates(object)), { lineWidth: 0 })).join("---\n");
    const path = new URL(`${file}.yaml`, folder);
    if (update) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(path, found);
    }
    assert.ok(existsSync(path), `${file}.yaml is missing: run node tests/deploy/snapshot_test.ts --update`);
    assert.snapshot(found, readFileSync(path, "utf8"));
  });
}

test("every snapshot has its case", () => {
  assert.equal(readdirSync(folder).sort(), CASES.map(({ file }) => `${file}.yaml`).sort());
});

test.run();
