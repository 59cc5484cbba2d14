/** Reads the policies of a phase, their servers and Services, and plans the phase (spec/audit.md §5, §10.1). */
import {
  type AdmissionPolicy,
  type AdmissionPolicyGroup,
  API_GROUP,
  type ClusterAdmissionPolicy,
  type ClusterAdmissionPolicyGroup,
  DEFAULT_POLICY_SERVER,
  KINDS,
  type Policy,
  policyId,
  type PolicyKind,
} from "../../crd/types.ts";
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { auditable, classify, planOf, severityOf } from "../render/classify.ts";
import { labelMatcher } from "../render/label_selector.ts";
import { errorText } from "../render/log_line.ts";
import type { Log } from "../types/log.ts";
import type { Plan } from "../types/policies.ts";
import type { AuditSettings } from "../types/settings.ts";
import type { Discovery } from "./discovery.ts";

type Labels = { readonly [name: string]: string };
/** Whose policies: of a namespace with these labels, or cluster-wide. */
export type Scope = { readonly namespace: string; readonly labels: Labels | undefined } | undefined;

export type PolicySource = {
  /** What is audited in a scope. Throws when policies cannot be listed or a namespaceSelector is wrong. */
  plan(scope: Scope): Promise<Plan>;
};

const RESOURCES = Object.fromEntries(
  KINDS.map(({ kind, plural, namespaced }) => [
    kind,
    { kind, apiVersion: `${API_GROUP}/v1`, plural, namespaced } satisfies Resource,
  ]),
) as { readonly [K in PolicyKind | "PolicyServer"]: Resource };
const SERVICES: Resource = { kind: "Service", apiVersion: "v1", plural: "services", namespaced: true };

type Service = KubeObject & { readonly spec?: { readonly ports?: readonly { readonly port: number }[] } };

export const NO_SERVICE = "could not find a single service for the given policy server instance label";
export const NO_PORT = "policy server service does not have a port";
const UNKNOWN =
  "failed to obtain unknown GroupVersion resources. The policy may be misconfigured, skipping as error...";

/** Reads policies; what is the same for all namespaces is read once. */
export function policySource(
  client: KubeClient,
  discovery: Discovery,
  settings: AuditSettings,
  log: Log,
): PolicySource {
  async function list<T extends Policy>(
    kind: T["kind"],
    namespace: string | undefined,
  ): Promise<readonly T[]> {
    const { items } = await client.list<T>(RESOURCES[kind], namespace, {});
    // Built-in lists and those of custom resources differ in whether their items say what they are.
    return items.map((item) => ({ ...item, apiVersion: `${API_GROUP}/v1`, kind }));
  }

  function once<T>(make: () => Promise<T>): () => Promise<T> {
    let made: Promise<T> | undefined;
    return () => made ??= make();
  }
  const clusterPolicies = once(() => list<ClusterAdmissionPolicy>("ClusterAdmissionPolicy", undefined));
  const clusterGroups = once(() =>
    list<ClusterAdmissionPolicyGroup>("ClusterAdmissionPolicyGroup", undefined)
  );

  const servers = new Map<string, Promise<string>>();

  async function findServer(name: string): Promise<string> {
    const namespace = settings.kubewardenNamespace;
    try {
      await client.get(RESOURCES.PolicyServer, undefined, name);
    } catch (error) {
      throw new Error(`failed to get PolicyServer ${JSON.stringify(name)}: ${errorText(error)}`);
    }
    const labelSelector = `app.kubernetes.io/instance=policy-server-${name}`;
    const { items } = await client.list<Service>(SERVICES, namespace, { labelSelector });
    const [service] = items;
    if (items.length !== 1 || service === undefined) throw new Error(`${NO_SERVICE} (${labelSelector})`);
    const port = service.spec?.ports?.[0]?.port;
    if (port === undefined) throw new Error(NO_PORT);
    return settings.policyServerUrl ?? `https://${service.metadata.name}.${namespace}.svc:${port}`;
  }

  function serverOf(policy: Policy): Promise<string> {
    const name = policy.spec.policyServer ?? DEFAULT_POLICY_SERVER;
    let server = servers.get(name);
    if (server === undefined) servers.set(name, server = findServer(name));
    return server;
  }

  async function candidates(scope: Scope): Promise<readonly Policy[]> {
    const [policies, groups, own, ownGroups] = await Promise.all([
      clusterPolicies(),
      clusterGroups(),
      scope === undefined ? [] : list<AdmissionPolicy>("AdmissionPolicy", scope.namespace),
      scope === undefined ? [] : list<AdmissionPolicyGroup>("AdmissionPolicyGroup", scope.namespace),
    ]);
    const selected = (policy: ClusterAdmissionPolicy | ClusterAdmissionPolicyGroup) => {
      if (scope === undefined) return true;
      try {
        return labelMatcher(policy.spec?.namespaceSelector)(scope.labels);
      } catch (error) {
        throw new Error(
          `failed to convert label selector from policy ${JSON.stringify(policy.metadata.name)} ` +
            `namespace selector: ${errorText(error)}`,
        );
      }
    };
    return [...policies.filter(selected), ...groups.filter(selected), ...own, ...ownGroups];
  }

  const warned = new Set<string>();
  function warnOnce(id: string, message: string, fields: { readonly [name: string]: unknown }): void {
    if (warned.has(`${id} ${message}`)) return;
    warned.add(`${id} ${message}`);
    log("warning", message, { policy: id, ...fields });
  }

  return {
    async plan(scope) {
      const found = await candidates(scope);
      const lookup = await discovery.lookupFor(found);
      const chosen: {
        auditable: ReturnType<typeof auditable>;
        served: Parameters<typeof planOf>[0][0]["served"];
      }[] = [];
      const skipped: string[] = [];
      const errored: string[] = [];
      for (const [order, policy] of found.entries()) {
        const id = policyId(policy);
        const classified = classify(policy, scope !== undefined, lookup);
        switch (classified.kind) {
          case "ignored":
            log("debug", "the policy does not target resources within the selected scope", { policy: id });
            continue;
          case "skipped":
            log("debug", classified.why, { policy: id });
            skipped.push(id);
            continue;
          case "errored":
            log("error", UNKNOWN, { policy: id, error: `no matches for ${targetsText(classified.unknown)}` });
            errored.push(id);
            continue;
          case "candidate":
        }
        if (classified.unknown.length > 0) {
          warnOnce(id, "the policy names resources that are not served, leaving them out", {
            resources: targetsText(classified.unknown),
          });
        }
        const { invalid } = severityOf(policy);
        if (invalid !== undefined) {
          warnOnce(id, "the policy's severity is none of critical, high, medium, low, info, leaving it out", {
            severity: invalid,
          });
        }
        try {
          const url = `${await serverOf(policy)}/audit/${id}`;
          chosen.push({ auditable: auditable(policy, url, order), served: classified.served });
        } catch (error) {
          log("error", "failed to obtain matching policy-server URL, skipping as error...", {
            policy: id,
            error: errorText(error),
          });
          errored.push(id);
        }
      }
      return planOf(chosen, skipped, errored);
    },
  };
}

function targetsText(
  targets: readonly { readonly group: string; readonly version: string; readonly resource: string }[],
): string {
  return targets.map(({ group, version, resource }) => `${group}/${version}, Resource=${resource}`).join(
    "; ",
  );
}
