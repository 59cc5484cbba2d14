/** Volumes of the policy server's pod and where they are mounted (spec/controller.md §5.4). */
import type { PolicyServer } from "../../crd/types.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { hasSources } from "./config_map.ts";
import { telemetryMode } from "./environment.ts";
import { CA_SECRET, serverObjectName } from "./names.ts";

type Volume = { readonly name: string; readonly [source: string]: unknown };
type Mount = { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean };

const OTEL_MODE = 420;

function folder(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0)) || "/";
}

function fromConfigMap(volume: string, name: string, key?: string, path?: string): Volume {
  return {
    name: volume,
    configMap: { name, ...(key === undefined ? {} : { items: [{ key, path: path ?? key }] }) },
  };
}

/** A volume together with its mount; the two lists have orders of their own. */
type Entry = { readonly volume: Volume; readonly mountPath: string; readonly writable?: boolean };

export type VolumesAndMounts = { readonly volumes: readonly Volume[]; readonly mounts: readonly Mount[] };

function given(name: string | undefined): name is string {
  return name !== undefined && name !== "";
}

function collectorSecret(name: string, secretName: string | undefined, file: string | undefined): Entry[] {
  if (!given(secretName) || !given(file)) return [];
  return [{ volume: { name, secret: { secretName, defaultMode: OTEL_MODE } }, mountPath: folder(file) }];
}

/** What authenticates the server and a collector to each other. */
function telemetryEntries(settings: ControllerSettings): readonly Entry[] {
  if (telemetryMode(settings) !== "remote") return [];
  const { otelCertificateSecret, otelClientCertificateSecret, otelEnvironment } = settings;
  return [
    ...collectorSecret(
      "otel-collector-certificate",
      otelCertificateSecret,
      otelEnvironment["OTEL_EXPORTER_OTLP_CERTIFICATE"],
    ),
    ...collectorSecret(
      "otel-collector-client-certificate",
      otelClientCertificateSecret,
      otelEnvironment["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
    ),
  ];
}

/** What the PolicyServer names, and its sources. */
function specEntries(server: PolicyServer): readonly Entry[] {
  const { verificationConfig, sigstoreTrustConfig, imagePullSecret } = server.spec;
  const entries: Entry[] = [];
  if (given(verificationConfig)) {
    entries.push({
      volume: fromConfigMap("verification", verificationConfig, "verification-config", "verification.yml"),
      mountPath: "/verification",
    });
  }
  if (given(sigstoreTrustConfig)) {
    const key = "sigstore-trust-config";
    entries.push({
      volume: fromConfigMap(key, sigstoreTrustConfig, key, "sigstore-trust-config.json"),
      mountPath: "/sigstore-trust",
    });
  }
  if (given(imagePullSecret)) {
    const items = [{ key: ".dockerconfigjson", path: "config.json" }];
    entries.push({
      volume: { name: "imagepullsecret", secret: { secretName: imagePullSecret, items } },
      mountPath: "/home/kubewarden/.docker",
    });
  }
  if (hasSources(server)) {
    const name = serverObjectName(server.metadata.name);
    entries.push({ volume: fromConfigMap("sources", name), mountPath: "/sources" });
  }
  return entries;
}

/** The authorities of clients. An outgoing one stays, so that the audit scanner's certificate of before the rotation keeps working. */
function mutualTlsEntries({ clientCaConfigMap }: ControllerSettings, hasOldCa: boolean): readonly Entry[] {
  if (clientCaConfigMap === undefined) return [];
  const items = [
    { key: "ca.crt", path: "ca.crt" },
    ...(hasOldCa ? [{ key: "old-ca.crt", path: "old-ca.crt" }] : []),
  ];
  return [
    {
      volume: { name: "kubewarden-ca-cert", secret: { secretName: CA_SECRET, items } },
      mountPath: "/ca",
    },
    {
      volume: fromConfigMap("client-ca-cert", clientCaConfigMap, "client-ca.crt"),
      mountPath: "/client-ca",
    },
  ];
}

/** The volumes in the original's order, and the mounts in theirs. `hasOldCa`: an outgoing CA is still trusted. */
export function renderVolumes(
  server: PolicyServer,
  settings: ControllerSettings,
  hasOldCa: boolean,
): VolumesAndMounts {
  const own = serverObjectName(server.metadata.name);
  const policyStore: Entry = {
    volume: { name: "policy-store", emptyDir: {} },
    mountPath: "/tmp",
    writable: true,
  };
  const certs: Entry = { volume: { name: "certs", secret: { secretName: own } }, mountPath: "/pki" };
  const policies: Entry = { volume: fromConfigMap("policies", own, "policies.yml"), mountPath: "/config" };
  const telemetry = telemetryEntries(settings);
  const ofSpec = specEntries(server);
  const mutualTls = mutualTlsEntries(settings, hasOldCa);
  return {
    volumes: [policyStore, certs, policies, ...telemetry, ...ofSpec, ...mutualTls].map(({ volume }) =>
      volume
    ),
    mounts: [certs, policies, policyStore, ...ofSpec, ...telemetry, ...mutualTls].map(
      ({ volume: { name }, mountPath, writable }) => ({
        name,
        mountPath,
        ...(writable === true ? {} : { readOnly: true }),
      }),
    ),
  };
}

/** Files of authorities whose client certificates a policy server accepts; none without mutual TLS. */
export function clientCaFiles(settings: ControllerSettings, hasOldCa: boolean): readonly string[] {
  if (settings.clientCaConfigMap === undefined) return [];
  return ["/ca/ca.crt", ...(hasOldCa ? ["/ca/old-ca.crt"] : []), "/client-ca/client-ca.crt"];
}
