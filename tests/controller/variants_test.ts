// Every flag that changes what a policy server looks like, with everything that a PolicyServer may say, as a real API server stores it
// (spec/controller.md §5.4 to §5.8).
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { OTEL_VARIABLES } from "../../controller/render/environment.ts";
import { CONFIG_MAPS, DEPLOYMENTS, SERVICES } from "../../controller/types/resources.ts";
import type { ControllerSettings } from "../../controller/types/settings.ts";
import { resourcePath } from "../../kubernetes/types/resource.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Harness, NAMESPACE, startHarness, until } from "./harness.ts";
import { create, get, server } from "./resources.ts";

type Context = { harness: Harness };
const test = suite<Context>("variants", {} as Context);

/** Everything that reaches the Deployment or the Service. */
const FULL = {
  replicas: 2,
  serviceAccountName: "sa",
  annotations: { "example.org/a": "1" },
  labels: { team: "blue" },
  env: [
    { name: "KUBEWARDEN_LOG_LEVEL", value: "debug" },
    { name: "HTTPS_PROXY", value: "http://proxy:3128" },
    { name: "NO_PROXY", valueFrom: { configMapKeyRef: { name: "proxy", key: "no" } } },
    { name: "KUBEWARDEN_ENABLE_METRICS", value: "mine" },
    { name: "OTEL_EXPORTER_OTLP_ENDPOINT", value: "mine" },
  ],
  imagePullSecret: "pull",
  insecureSources: ["registry.local:5000"],
  sourceAuthorities: { "registry.local": ["PEM"] },
  verificationConfig: "verification",
  sigstoreTrustConfig: "trust",
  requests: { cpu: "10m" },
  limits: { memory: "1Gi" },
  tolerations: [{ key: "k", operator: "Exists" }],
  priorityClassName: "system-cluster-critical",
  affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
  securityContexts: { pod: { runAsUser: 1000 }, container: { readOnlyRootFilesystem: true } },
  webhookPort: 9443,
  readinessProbePort: 9081,
  metricsPort: 9090,
};

/** The variables of a full PolicyServer that hold whatever the flags are, in order. */
const COMMON: readonly [string, string][] = [
  ["KUBEWARDEN_CERT_FILE", "/pki/tls.crt"],
  ["KUBEWARDEN_KEY_FILE", "/pki/tls.key"],
  ["KUBEWARDEN_PORT", "9443"],
  ["KUBEWARDEN_READINESS_PROBE_PORT", "9081"],
  ["KUBEWARDEN_POLICIES_DOWNLOAD_DIR", "/tmp"],
  ["KUBEWARDEN_POLICIES", "/config/policies.yml"],
  ["KUBEWARDEN_SIGSTORE_CACHE_DIR", "/tmp/sigstore-data"],
  ["KUBEWARDEN_VERIFICATION_CONFIG_PATH", "/verification/verification.yml"],
  ["KUBEWARDEN_SIGSTORE_TRUST_CONFIG_PATH", "/sigstore-trust/sigstore-trust-config.json"],
  ["KUBEWARDEN_DOCKER_CONFIG_JSON_PATH", "/home/kubewarden/.docker"],
  ["KUBEWARDEN_SOURCES_PATH", "/sources/sources.yml"],
];

type Variant = {
  readonly name: string;
  readonly settings: Partial<ControllerSettings>;
  /** Variables that the flags add; `mine` of the PolicyServer loses against them. */
  readonly variables: Readonly<Record<string, string>>;
  /** Mounts after the common ones: volume and path. */
  readonly mounts: readonly (readonly [string, string])[];
  readonly podAnnotations: Readonly<Record<string, string>>;
  readonly imagePullSecrets?: readonly string[];
  readonly hostNetwork?: boolean;
  readonly servicePorts: readonly { name: string; port: number; targetPort: number }[];
};

const REMOTE = Object.fromEntries(OTEL_VARIABLES.map((name) => [name, `/otel/${name.toLowerCase()}/file`]));
const WEBHOOK_PORT = { name: "policy-server", port: 443, targetPort: 9443 };

const VARIANTS: readonly Variant[] = [
  {
    name: "plain",
    settings: { imagePullSecrets: ["one", "two"] },
    variables: { KUBEWARDEN_ENABLE_METRICS: "mine", OTEL_EXPORTER_OTLP_ENDPOINT: "mine" },
    mounts: [],
    podAnnotations: {},
    imagePullSecrets: ["one", "two"],
    servicePorts: [WEBHOOK_PORT],
  },
  {
    name: "sidecar",
    settings: { metrics: true, otelSidecar: true, otelCertificateSecret: "ignored", metricsPort: 8888 },
    variables: { KUBEWARDEN_ENABLE_METRICS: "true", OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4317" },
    mounts: [],
    podAnnotations: { "sidecar.opentelemetry.io/inject": "true" },
    servicePorts: [WEBHOOK_PORT, { name: "metrics", port: 9090, targetPort: 8888 }],
  },
  {
    name: "remote",
    settings: {
      // Not metrics too: then the controller itself would send some, and want to read these files.
      tracing: true,
      otelCertificateSecret: "collector",
      otelClientCertificateSecret: "client",
      otelEnvironment: REMOTE,
    },
    variables: { KUBEWARDEN_ENABLE_METRICS: "mine", KUBEWARDEN_LOG_FMT: "otlp", ...REMOTE },
    mounts: [
      ["otel-collector-certificate", "/otel/otel_exporter_otlp_certificate"],
      ["otel-collector-client-certificate", "/otel/otel_exporter_otlp_client_certificate"],
    ],
    podAnnotations: {},
    servicePorts: [WEBHOOK_PORT],
  },
  {
    name: "mtls",
    settings: { clientCaConfigMap: "client-ca", alwaysAcceptReviewsInNamespace: true },
    variables: {
      KUBEWARDEN_ENABLE_METRICS: "mine",
      OTEL_EXPORTER_OTLP_ENDPOINT: "mine",
      KUBEWARDEN_ALWAYS_ACCEPT_ADMISSION_REVIEWS_ON_NAMESPACE: NAMESPACE,
      KUBEWARDEN_CLIENT_CA_FILE: "/ca/ca.crt,/client-ca/client-ca.crt",
    },
    mounts: [["kubewarden-ca-cert", "/ca"], ["client-ca-cert", "/client-ca"]],
    podAnnotations: {},
    servicePorts: [WEBHOOK_PORT],
  },
  {
    name: "host",
    settings: { hostNetwork: true, metrics: true },
    variables: { KUBEWARDEN_ENABLE_METRICS: "true", OTEL_EXPORTER_OTLP_ENDPOINT: "mine" },
    mounts: [],
    podAnnotations: {},
    hostNetwork: true,
    servicePorts: [WEBHOOK_PORT, { name: "metrics", port: 9090, targetPort: 8080 }],
  },
];

const COMMON_MOUNTS = [
  ["certs", "/pki"],
  ["policies", "/config"],
  ["policy-store", "/tmp"],
  ["verification", "/verification"],
  ["sigstore-trust-config", "/sigstore-trust"],
  ["imagepullsecret", "/home/kubewarden/.docker"],
  ["sources", "/sources"],
];

function checkDeployment(live: Any, name: string, variant: Variant): void {
  const { template, replicas, selector } = live.spec;
  const { spec: pod, metadata } = template;
  const [container, ...others] = pod.containers;
  assert.is(replicas, 2);
  assert.equal(selector.matchLabels, { app: `kubewarden-policy-server-${name}` });
  assert.is(live.metadata.annotations["kubewarden.io/managed-annotation-keys"], "example.org/a");
  assert.is(live.metadata.annotations["kubewarden.io/managed-label-keys"], "team");
  assert.is(live.metadata.labels.team, "blue");
  assert.is(metadata.labels.team, "blue");
  assert.is(
    metadata.labels["kubewarden/config-version"],
    live.metadata.annotations["kubewarden/config-version"],
  );
  const { "kubewarden.io/inputs-digest": digest, ...annotations } = metadata.annotations;
  assert.type(digest, "string");
  assert.equal(annotations, { "example.org/a": "1", ...variant.podAnnotations });

  assert.is(pod.hostNetwork ?? false, variant.hostNetwork ?? false);
  assert.is(pod.dnsPolicy, variant.hostNetwork ? "ClusterFirstWithHostNet" : "ClusterFirst");
  assert.equal(
    pod.imagePullSecrets ?? [],
    (variant.imagePullSecrets ?? []).map((secret) => ({ name: secret })),
  );
  assert.is(pod.serviceAccountName, "sa");
  assert.is(pod.priorityClassName, "system-cluster-critical");
  assert.equal(pod.tolerations, FULL.tolerations);
  assert.equal(pod.securityContext, { runAsUser: 1000 });

  assert.equal(others, []);
  assert.is(container.name, `policy-server-${name}`);
  assert.is(container.image, "i:1");
  assert.equal(container.resources, { requests: FULL.requests, limits: FULL.limits });
  assert.equal(container.securityContext, { readOnlyRootFilesystem: true });
  assert.equal(container.readinessProbe.httpGet, { path: "/readiness", port: 9081, scheme: "HTTP" });
  for (const field of ["command", "args", "livenessProbe", "startupProbe"]) {
    assert.is(container[field], undefined, field);
  }
  assert.equal(
    container.volumeMounts.map(({ name, mountPath }: Any) => [name, mountPath]),
    [...COMMON_MOUNTS, ...variant.mounts],
  );
  assert.ok(
    container.volumeMounts.every(({ mountPath, readOnly }: Any) => mountPath === "/tmp" || readOnly === true),
  );
  assert.equal(
    new Set(pod.volumes.map(({ name }: Any) => name)),
    new Set(container.volumeMounts.map(({ name }: Any) => name)),
  );

  const seen = new Map<string, Any>(container.env.map((entry: Any) => [entry.name, entry]));
  assert.is(seen.size, container.env.length, "each variable once");
  for (const [variable, value] of [...COMMON, ...Object.entries(variant.variables)]) {
    assert.is(seen.get(variable)?.value, value, variable);
  }
  assert.is(seen.get("KUBEWARDEN_LOG_LEVEL").value, "debug");
  assert.is(seen.get("HTTPS_PROXY").value, "http://proxy:3128");
  assert.equal(seen.get("NO_PROXY").valueFrom, { configMapKeyRef: { name: "proxy", key: "no" } });
  const ours = COMMON.length + 3 + Object.keys(variant.variables).length;
  assert.is(container.env.length, ours, [...seen.keys()].join(" "));
}

if (binariesFolder() === undefined) {
  test.skip(`flags of the controller (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    context.harness = await startHarness();
    await context.harness.client.create(CONFIG_MAPS, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "client-ca", namespace: NAMESPACE },
      data: { "client-ca.crt": "PEM" },
    } as Any);
  });
  test.after(async ({ harness }) => await harness?.stop());

  for (const variant of VARIANTS) {
    test(variant.name, async ({ harness }) => {
      const name = `v-${variant.name}`;
      const controller = await harness.startController(variant.settings);
      await create(harness, server(name, FULL));
      const live = await until(
        "the Deployment exists",
        async () => await get(harness, DEPLOYMENTS, `policy-server-${name}`),
      );
      checkDeployment(live, name, variant);
      const service = await until(
        "the Service exists",
        async () => await get(harness, SERVICES, `policy-server-${name}`),
      );
      assert.equal(
        service.spec.ports.map(({ name, port, targetPort }: Any) => ({ name, port, targetPort })),
        variant.servicePorts,
      );
      assert.equal(service.spec.selector, {
        "app.kubernetes.io/instance": `policy-server-${name}`,
        "app.kubernetes.io/part-of": "kubewarden",
      });
      // What one set of flags made is another's to change: the former controller ends before the next begins.
      await controller.stop();
      const answer = await harness.plane.admin.request({
        method: "DELETE",
        path: resourcePath({ ...DEPLOYMENTS }, NAMESPACE, `policy-server-${name}`),
      });
      await answer.text();
    });
  }
}

test.run();
