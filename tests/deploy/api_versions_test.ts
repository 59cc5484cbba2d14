// Every object of every chart against the API servers of all Kubernetes versions that are looked after: each takes all of them,
// strictly and without a warning.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  binariesFolder,
  HOW_TO_GET_BINARIES,
  howToGetApiServer,
  KUBERNETES_VERSION,
  OLDER_VERSIONS,
  olderApiServer,
} from "../cluster/binaries/locate.ts";
import { startControlPlane, until } from "../cluster/control_plane.ts";
import { caller, pathOf } from "./_api.ts";
import { type Any, CHART_NAMES, CHARTS_FOLDER, helm, helmTest, keyOf, objectsIn, render } from "./_helm.ts";

/** Values that make every branch of the templates render (but the OpenTelemetry operator's own kind). */
const MATRIX: readonly Any[] = [
  {},
  {
    hostNetwork: true,
    ports: { webhook: 63000, healthProbe: 63001, metrics: 63002 },
    telemetry: {
      mode: "custom",
      metrics: true,
      tracing: true,
      custom: {
        endpoint: "https://c:4317",
        otelCollectorCertificateSecret: "s",
        otelCollectorClientCertificateSecret: "c",
      },
    },
    mTLS: { enable: true, configMapName: "mtlscm" },
    imagePullSecrets: ["pull"],
    additionalLabels: { team: "a" },
    additionalAnnotations: { note: "true" },
    podAnnotations: { number: 1 },
    nodeSelector: { a: "b" },
    resources: { controller: { limits: { cpu: 1 } } },
    additionalEnvironmentVariables: [{ name: "A", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
    global: {
      priorityClassName: "system-cluster-critical",
      tolerations: [{ operator: "Exists" }],
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [{
            topologyKey: "kubernetes.io/hostname",
            labelSelector: { matchLabels: { "app.kubernetes.io/part-of": "kubewarden" } },
          }],
        },
      },
    },
    recommendedPolicies: { enabled: true, defaultPolicyMode: "protect" },
    policyServer: {
      replicaCount: 3,
      maxUnavailable: "50%",
      webhookPort: 64005,
      readinessProbePort: 63003,
      metricsPort: 9090,
      limits: { cpu: 1, memory: "1Gi" },
      sourceAuthorities: [{ uri: "r.example", certs: ["PEM"] }],
      insecureSources: ["r.example"],
      securityContexts: { pod: { runAsUser: 1000 }, container: { readOnlyRootFilesystem: true } },
      env: [{ name: "A", valueFrom: { secretKeyRef: { name: "s", key: "k" } } }],
      imagePullSecret: "p",
      namespacedPoliciesCapabilities: [],
    },
    installPolicyReportCRDs: true,
  },
];

/** The versions, and the program that is run: the usual one without, or nothing with how to get it. */
const VERSIONS: readonly {
  readonly version: string;
  readonly program?: string;
  readonly missing?: string;
}[] = [
  {
    version: KUBERNETES_VERSION,
    ...(binariesFolder() === undefined ? { missing: HOW_TO_GET_BINARIES } : {}),
  },
  ...OLDER_VERSIONS.map((version) => {
    const program = olderApiServer(version);
    const missing = binariesFolder() === undefined
      ? HOW_TO_GET_BINARIES
      : existsSync(program)
      ? undefined
      : howToGetApiServer(version);
    return { version, program, ...(missing === undefined ? {} : { missing }) };
  }),
];

for (const { version, program, missing } of VERSIONS) {
  const name = `Kubernetes ${version} takes every object of every chart, strictly and without a warning`;
  if (missing !== undefined) {
    test.skip(`${name} (${missing})`, () => {});
    continue;
  }
  helmTest(name, async () => {
    const cluster = await startControlPlane(program);
    try {
      const call = caller(cluster);
      // KUBEBUILDER_ASSETS may hold any version for the first row.
      const { gitVersion } = (await call("GET", "/version")).body;
      if (program !== undefined) assert.is(gitVersion, `v${version}`);
      const labels = { "pod-security.kubernetes.io/warn": "privileged" };
      assert.is(
        (await call("POST", "/api/v1/namespaces", { metadata: { name: "kubewarden", labels } })).status,
        201,
      );
      const installed = helm(
        ["install", "kubewarden-crds", join(CHARTS_FOLDER, "portreeve-crds"), "--namespace", "kubewarden"],
        "",
        { KUBECONFIG: cluster.kubeconfig, HOME: cluster.folder },
      );
      assert.is(installed.status, 0, installed.stderr);
      await until("the CRDs are served", async () => {
        const { status, body } = await call("GET", "/apis/policies.kubewarden.io/v1");
        return status === 200 && body.resources.some(({ name }: Any) => name === "policyservers");
      });
      let applied = 0;
      for (const chart of CHART_NAMES) {
        for (const values of MATRIX) {
          const objects = render(chart, { release: "kubewarden", values });
          const carried = objects.filter(({ metadata }) => metadata.name === "kubewarden-defaults")
            .flatMap(({ data }) => Object.values(data) as string[]);
          for (const object of [...objects, ...carried.flatMap(objectsIn)]) {
            // An existing CRD is checked as an update of itself; what a policy's own CRD takes was installed above.
            const path = `${pathOf(object)}?dryRun=All&fieldManager=test&force=true&fieldValidation=Strict`;
            const { status, body, warnings } = await call(
              "PATCH",
              path,
              object,
              "application/apply-patch+yaml",
            );
            assert.ok(
              status === 200 || status === 201,
              `${chart} ${keyOf(object)}: ${status} ${JSON.stringify(body)}`,
            );
            assert.equal(warnings, [], `${chart} ${keyOf(object)}`);
            applied += 1;
          }
        }
      }
      assert.ok(applied > 100, `${applied}`);
      console.log(`  ${gitVersion}: ${applied} objects`);
    } finally {
      await cluster.stop();
    }
  });
}

test.run();
