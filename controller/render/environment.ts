/** Environment variables of the policy server's container (spec/controller.md §5.5, §5.6). */
import { own } from "../../program/types/own.ts";
import type { EnvVar, PolicyServer } from "../../crd/types.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { hasSources } from "./config_map.ts";
import { readinessPort, webhookPort } from "./ports.ts";

/** The collector's settings that a policy server inherits from the controller in remote mode, in this order. */
export const OTEL_VARIABLES: readonly string[] = [
  "CERTIFICATE",
  "CLIENT_CERTIFICATE",
  "CLIENT_KEY",
  "COMPRESSION",
  "ENDPOINT",
  "HEADERS",
  "INSECURE",
  "METRICS_CERTIFICATE",
  "METRICS_CLIENT_CERTIFICATE",
  "METRICS_CLIENT_KEY",
  "METRICS_COMPRESSION",
  "METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
  "METRICS_ENDPOINT",
  "METRICS_HEADERS",
  "METRICS_INSECURE",
  "METRICS_TEMPORALITY_PREFERENCE",
  "METRICS_TIMEOUT",
  "TIMEOUT",
  "TRACES_CERTIFICATE",
  "TRACES_CLIENT_CERTIFICATE",
  "TRACES_CLIENT_KEY",
  "TRACES_COMPRESSION",
  "TRACES_ENDPOINT",
  "TRACES_HEADERS",
  "TRACES_INSECURE",
  "TRACES_TIMEOUT",
].map((name) => `OTEL_EXPORTER_OTLP_${name}`);

const SIDECAR_ENDPOINT = "http://localhost:4317";

/** Whether telemetry is on, and where it goes. */
export function telemetryMode(settings: ControllerSettings): "off" | "sidecar" | "remote" {
  if (!settings.metrics && !settings.tracing) return "off";
  return settings.otelSidecar && !settings.hostNetwork ? "sidecar" : "remote";
}

type Variable = readonly [name: string, value: string];

function telemetry(settings: ControllerSettings): Variable[] {
  switch (telemetryMode(settings)) {
    case "off":
      return [];
    case "sidecar":
      return [["OTEL_EXPORTER_OTLP_ENDPOINT", SIDECAR_ENDPOINT]];
    case "remote":
      return OTEL_VARIABLES.flatMap((name) => {
        const value = own(settings.otelEnvironment, name) ?? "";
        return value === "" ? [] : [[name, value] as const];
      });
  }
}

function when(condition: unknown, name: string, value: string): Variable[] {
  return condition === undefined || condition === false || condition === "" ? [] : [[name, value]];
}

/**
 * The variables, in the original's order. Those that the controller sets win over `spec.env` (spec/decisions.md §3), and of a name
 * that `spec.env` gives twice the last counts, as it does for the kubelet.
 */
export function renderEnvironment(
  server: PolicyServer,
  settings: ControllerSettings,
  clientCaFiles: readonly string[],
): readonly EnvVar[] {
  const { spec } = server;
  const first: Variable[] = [
    ["KUBEWARDEN_CERT_FILE", "/pki/tls.crt"],
    ["KUBEWARDEN_KEY_FILE", "/pki/tls.key"],
    ["KUBEWARDEN_PORT", String(webhookPort(server))],
    ["KUBEWARDEN_READINESS_PROBE_PORT", String(readinessPort(server))],
    ["KUBEWARDEN_POLICIES_DOWNLOAD_DIR", "/tmp"],
    ["KUBEWARDEN_POLICIES", "/config/policies.yml"],
    ["KUBEWARDEN_SIGSTORE_CACHE_DIR", "/tmp/sigstore-data"],
  ];
  const last: Variable[] = [
    ...when(
      settings.alwaysAcceptReviewsInNamespace,
      "KUBEWARDEN_ALWAYS_ACCEPT_ADMISSION_REVIEWS_ON_NAMESPACE",
      settings.namespace,
    ),
    ...when(spec.verificationConfig, "KUBEWARDEN_VERIFICATION_CONFIG_PATH", "/verification/verification.yml"),
    ...when(
      spec.sigstoreTrustConfig,
      "KUBEWARDEN_SIGSTORE_TRUST_CONFIG_PATH",
      "/sigstore-trust/sigstore-trust-config.json",
    ),
    ...when(spec.imagePullSecret, "KUBEWARDEN_DOCKER_CONFIG_JSON_PATH", "/home/kubewarden/.docker"),
    ...when(hasSources(server), "KUBEWARDEN_SOURCES_PATH", "/sources/sources.yml"),
    ...when(settings.metrics, "KUBEWARDEN_ENABLE_METRICS", "true"),
    ...when(settings.tracing, "KUBEWARDEN_LOG_FMT", "otlp"),
    ...telemetry(settings),
    ...when(clientCaFiles.length > 0, "KUBEWARDEN_CLIENT_CA_FILE", clientCaFiles.join(",")),
  ];
  const ours = new Set([...first, ...last].map(([name]) => name));
  const given = spec.env ?? [];
  const theirs = given.filter(({ name }, index) =>
    !ours.has(name) && given.findLastIndex((other) => other.name === name) === index
  );
  const plain = ([name, value]: Variable): EnvVar => ({ name, value });
  return [...first.map(plain), ...theirs, ...last.map(plain)];
}
