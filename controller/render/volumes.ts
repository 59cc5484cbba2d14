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

/**
 * The volumes in the original's order, and the mounts in theirs. While an outgoing CA is still trusted (`hasOldCa`), servers
 * with mutual TLS are given it too, so that the audit scanner's certificate of before the rotation keeps working.
 */
export function renderVolumes(
  server: PolicyServer,
  settings: ControllerSettings,
  hasOldCa: boolean,
): VolumesAndMounts {
  const { spec } = server;
  const own = serverObjectName(server.metadata.name);
  const policyStore: Entry = {
    volume: { name: "policy-store", emptyDir: {} },
    mountPath: "/tmp",
    writable: true,
  };
  const certs: Entry = { volume: { name: "certs", secret: { secretName: own } }, mountPath: "/pki" };
  const policies: Entry = { volume: fromConfigMap("policies", own, "policies.yml"), mountPath: "/config" };
  const telemetry: Entry[] = telemetryMode(settings) === "remote"
    ? [
      ...collectorSecret(
        "otel-collector-certificate",
        settings.otelCertificateSecret,
        settings.otelEnvironment["OTEL_EXPORTER_OTLP_CERTIFICATE"],
      ),
      ...collectorSecret(
        "otel-collector-client-certificate",
        settings.otelClientCertificateSecret,
        settings.otelEnvironment["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
      ),
    ]
    : [];
  const optional: Entry[] = [];
  if (given(spec.verificationConfig)) {
    optional.push({
      volume: fromConfigMap(
        "verification",
        spec.verificationConfig,
        "verification-config",
        "verification.yml",
      ),
      mountPath: "/verification",
    });
  }
  if (given(spec.sigstoreTrustConfig)) {
    optional.push({
      volume: fromConfigMap(
        "sigstore-trust-config",
        spec.sigstoreTrustConfig,
        "sigstore-trust-config",
        "sigstore-trust-config.json",
      ),
      mountPath: "/sigstore-trust",
    });
  }
  if (given(spec.imagePullSecret)) {
    optional.push({
      volume: {
        name: "imagepullsecret",
        secret: {
          secretName: spec.imagePullSecret,
          items: [{ key: ".dockerconfigjson", path: "config.json" }],
        },
      },
      mountPath: "/home/kubewarden/.docker",
    });
  }
  if (hasSources(server)) optional.push({ volume: fromConfigMap("sources", own), mountPath: "/sources" });
  const mutualTls: Entry[] = settings.clientCaConfigMap === undefined ? [] : [
    {
      volume: {
        name: "kubewarden-ca-cert",
        secret: {
          secretName: CA_SECRET,
          items: [
            { key: "ca.crt", path: "ca.crt" },
            ...(hasOldCa ? [{ key: "old-ca.crt", path: "old-ca.crt" }] : []),
          ],
        },
      },
      mountPath: "/ca",
    },
    {
      volume: fromConfigMap("client-ca-cert", settings.clientCaConfigMap, "client-ca.crt"),
      mountPath: "/client-ca",
    },
  ];
  const mount = ({ volume, mountPath, writable }: Entry): Mount => ({
    name: volume.name,
    mountPath,
    ...(writable === true ? {} : { readOnly: true }),
  });
  return {
    volumes: [policyStore, certs, policies, ...telemetry, ...optional, ...mutualTls].map(({ volume }) =>
      volume
    ),
    mounts: [certs, policies, policyStore, ...optional, ...telemetry, ...mutualTls].map(mount),
  };
}

function given(name: string | undefined): name is string {
  return name !== undefined && name !== "";
}

function collectorSecret(name: string, secretName: string | undefined, file: string | undefined): Entry[] {
  if (!given(secretName) || !given(file)) return [];
  return [{ volume: { name, secret: { secretName, defaultMode: OTEL_MODE } }, mountPath: folder(file) }];
}

/** Files of authorities whose client certificates a policy server accepts; none without mutual TLS. */
export function clientCaFiles(settings: ControllerSettings, hasOldCa: boolean): readonly string[] {
  if (settings.clientCaConfigMap === undefined) return [];
  return ["/ca/ca.crt", ...(hasOldCa ? ["/ca/old-ca.crt"] : []), "/client-ca/client-ca.crt"];
}
