/** The Deployment of a PolicyServer (spec/controller.md §5.4). */
import type { PolicyServer } from "../../crd/types.ts";
import type { Deployment } from "../types/objects.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { renderEnvironment, telemetryMode } from "./environment.ts";
import {
  APPLIED_REPLICAS,
  commonLabels,
  CONFIG_VERSION,
  FIELD_MANAGER,
  INPUTS_DIGEST,
  MANAGED_ANNOTATIONS,
  MANAGED_LABELS,
  ownedMetadata,
  POLICY_SERVER_LABEL,
  serverObjectName,
} from "./names.ts";
import { readinessPort } from "./ports.ts";
import { rolloutStrategy } from "./strategy.ts";
import { clientCaFiles, renderVolumes } from "./volumes.ts";

export type DeploymentInput = {
  readonly server: PolicyServer;
  readonly settings: ControllerSettings;
  /** resourceVersion of the ConfigMap that the pods are to load. */
  readonly configVersion: string;
  /** Digest of the verification, trust, pull-secret and client-CA objects; absent when the server has none. */
  readonly inputsDigest?: string | undefined;
  readonly hasOldCa?: boolean;
  /** The Deployment as it is now, if there is one. */
  readonly live?: Deployment | undefined;
};

const DEFAULT_CONTAINER_SECURITY = {
  readOnlyRootFilesystem: true,
  privileged: false,
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
} as const;
const DEFAULT_POD_SECURITY = { seccompProfile: { type: "RuntimeDefault" } } as const;

function sortedKeys(map: { readonly [key: string]: string } | undefined): string {
  return Object.keys(map ?? {}).sort().join(",");
}

/** Whether our apply is among the managers of `spec.replicas`. */
function ownsReplicas(live: Deployment): boolean {
  return (live.metadata.managedFields ?? []).some(({ manager, operation, fieldsV1 }) =>
    manager === FIELD_MANAGER && operation === "Apply" &&
    (fieldsV1?.["f:spec"] as { [key: string]: unknown } | undefined)?.["f:replicas"] !== undefined
  );
}

/**
 * The replicas to apply: those of the spec, except while the live number was changed by somebody else (a manual scale, an
 * autoscaler) since the spec's was applied. Then the field is left to them until the spec changes.
 */
function replicas(server: PolicyServer, live: Deployment | undefined): { readonly replicas?: number } {
  const wanted = server.spec.replicas ?? 0;
  const applied = live?.metadata.annotations?.[APPLIED_REPLICAS];
  const scaledByOthers = live !== undefined && applied === String(wanted) && live.spec?.replicas !== wanted &&
    !ownsReplicas(live);
  return scaledByOthers ? {} : { replicas: wanted };
}

function podSpec({ server, settings, hasOldCa = false }: DeploymentInput) {
  const { spec, metadata: { name } } = server;
  const { volumes, mounts } = renderVolumes(server, settings, hasOldCa);
  return {
    securityContext: spec.securityContexts?.pod ?? DEFAULT_POD_SECURITY,
    ...(settings.imagePullSecrets.length === 0
      ? {}
      : { imagePullSecrets: settings.imagePullSecrets.map((secret) => ({ name: secret })) }),
    ...(spec.serviceAccountName === undefined ? {} : { serviceAccountName: spec.serviceAccountName }),
    ...(spec.tolerations === undefined ? {} : { tolerations: spec.tolerations }),
    ...(spec.priorityClassName === undefined ? {} : { priorityClassName: spec.priorityClassName }),
    affinity: spec.affinity ?? {},
    ...(settings.hostNetwork ? { hostNetwork: true } : {}),
    dnsPolicy: settings.hostNetwork ? "ClusterFirstWithHostNet" : "ClusterFirst",
    containers: [{
      name: serverObjectName(name),
      image: spec.image,
      env: renderEnvironment(server, settings, clientCaFiles(settings, hasOldCa)),
      readinessProbe: { httpGet: { path: "/readiness", port: readinessPort(server), scheme: "HTTP" } },
      resources: {
        ...(spec.requests === undefined ? {} : { requests: spec.requests }),
        ...(spec.limits === undefined ? {} : { limits: spec.limits }),
      },
      securityContext: spec.securityContexts?.container ?? DEFAULT_CONTAINER_SECURITY,
      volumeMounts: mounts,
    }],
    volumes,
  };
}

function podAnnotations({ server, settings, inputsDigest }: DeploymentInput) {
  const annotations = {
    ...server.spec.annotations,
    ...(telemetryMode(settings) === "sidecar" ? { "sidecar.opentelemetry.io/inject": "true" } : {}),
    ...(inputsDigest === undefined ? {} : { [INPUTS_DIGEST]: inputsDigest }),
  };
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

/** The Deployment `policy-server-<name>`: the fields that the controller owns, and no other. */
export function renderDeployment(
  input: DeploymentInput,
): KubeObject & { readonly spec: { readonly [key: string]: unknown } } {
  const { server, settings, configVersion, live } = input;
  const { spec, metadata: { name } } = server;
  const system = { [POLICY_SERVER_LABEL]: name, ...commonLabels(name) };
  const app = `kubewarden-policy-server-${name}`;
  const template = {
    metadata: {
      labels: { ...spec.labels, app, [CONFIG_VERSION]: configVersion, ...system },
      ...podAnnotations(input),
    },
    spec: podSpec(input),
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      ...ownedMetadata(server, settings.namespace),
      labels: { ...spec.labels, ...system },
      annotations: {
        ...spec.annotations,
        [MANAGED_ANNOTATIONS]: sortedKeys(spec.annotations),
        [MANAGED_LABELS]: sortedKeys(spec.labels),
        [CONFIG_VERSION]: configVersion,
        [APPLIED_REPLICAS]: String(spec.replicas ?? 0),
      },
    },
    spec: {
      ...replicas(server, live),
      selector: { matchLabels: { app } },
      strategy: rolloutStrategy(server, settings, template, live),
      template,
    },
  };
}
