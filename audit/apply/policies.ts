/** Reads the policies of a phase and plans it (spec/audit.md §5). */
import {
  type AdmissionPolicy,
  type AdmissionPolicyGroup,
  type ClusterAdmissionPolicy,
  type ClusterAdmissionPolicyGroup,
  customResource,
  type Policy,
  policyId,
} from "../../crd/types.ts";
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import { auditable, classify, planOf, severityOf } from "../render/classify.ts";
import { labelMatcher } from "../render/label_selector.ts";
import { errorText } from "../render/log_line.ts";
import type { Fields, Log } from "../types/log.ts";
import type { Plan, Target } from "../types/policies.ts";
import type { AuditSettings } from "../types/settings.ts";
import type { Discovery } from "./discovery.ts";
import { policyServerUrls } from "./policy_server_urls.ts";

type Labels = { readonly [name: string]: string };
/** Whose policies: of a namespace with these labels, or cluster-wide. */
export type Scope = { readonly namespace: string; readonly labels: Labels | undefined } | undefined;

export type PolicySource = {
  /** What is audited in a scope. Throws when policies cannot be listed or a namespaceSelector is wrong. */
  plan(scope: Scope): Promise<Plan>;
};

const UNKNOWN =
  "failed to obtain unknown GroupVersion resources. The policy may be misconfigured, skipping as error...";

/** Reads policies; what is the same for all namespaces is read once. */
export function policySource(
  client: KubeClient,
  discovery: Discovery,
  settings: AuditSettings,
  log: Log,
): PolicySource {
  const candidatesOf = candidateReader(client);
  const serverOf = policyServerUrls(client, settings);
  const warnOfFaults = faultWarnings(log);
  return {
    async plan(scope) {
      const candidates = await candidatesOf(scope);
      const lookup = await discovery.lookupFor(candidates);
      const chosen: Parameters<typeof planOf>[0][number][] = [];
      const skipped: string[] = [];
      const errored: string[] = [];
      for (const [order, policy] of candidates.entries()) {
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
        warnOfFaults(policy, id, classified.unknown);
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

/** Warns of what is wrong in a policy that is audited all the same, once in a run. */
function faultWarnings(log: Log): (policy: Policy, id: string, unknown: readonly Target[]) => void {
  const warned = new Set<string>();
  const warnOnce = (policy: string, message: string, fields: Fields) => {
    if (warned.has(`${policy} ${message}`)) return;
    warned.add(`${policy} ${message}`);
    log("warning", message, { policy, ...fields });
  };
  return (policy, id, unknown) => {
    if (unknown.length > 0) {
      warnOnce(id, "the policy names resources that are not served, leaving them out", {
        resources: targetsText(unknown),
      });
    }
    const { invalid: severity } = severityOf(policy);
    if (severity !== undefined) {
      warnOnce(id, "the policy's severity is none of critical, high, medium, low, info, leaving it out", {
        severity,
      });
    }
  };
}

function targetsText(targets: readonly Target[]): string {
  return targets.map(({ group, version, resource }) => `${group}/${version}, Resource=${resource}`).join(
    "; ",
  );
}

/** Reads the candidates of a scope in their order (spec/audit.md §5.1). */
function candidateReader(client: KubeClient): (scope: Scope) => Promise<readonly Policy[]> {
  async function list<T extends Policy>(kind: T["kind"], namespace?: string): Promise<readonly T[]> {
    const resource = customResource(kind);
    const { items } = await client.list<T>(resource, namespace, {});
    // Built-in lists and those of custom resources differ in whether their items say what they are.
    return items.map((item) => ({ ...item, apiVersion: resource.apiVersion, kind }));
  }

  let policies: Promise<readonly ClusterAdmissionPolicy[]> | undefined;
  let groups: Promise<readonly ClusterAdmissionPolicyGroup[]> | undefined;
  return async (scope) => {
    const [clusterPolicies, clusterGroups, ownPolicies, ownGroups] = await Promise.all([
      policies ??= list<ClusterAdmissionPolicy>("ClusterAdmissionPolicy"),
      groups ??= list<ClusterAdmissionPolicyGroup>("ClusterAdmissionPolicyGroup"),
      scope === undefined ? [] : list<AdmissionPolicy>("AdmissionPolicy", scope.namespace),
      scope === undefined ? [] : list<AdmissionPolicyGroup>("AdmissionPolicyGroup", scope.namespace),
    ]);
    const clusterWide = [...clusterPolicies, ...clusterGroups].filter((policy) => selects(policy, scope));
    return [...clusterWide, ...ownPolicies, ...ownGroups];
  };
}

/** Whether a cluster-wide policy's namespaceSelector selects a scope. */
function selects(
  { spec, metadata: { name } }: ClusterAdmissionPolicy | ClusterAdmissionPolicyGroup,
  scope: Scope,
): boolean {
  if (scope === undefined) return true;
  try {
    return labelMatcher(spec?.namespaceSelector)(scope.labels);
  } catch (error) {
    throw new Error(
      `failed to convert label selector from policy ${JSON.stringify(name)} ` +
        `namespace selector: ${errorText(error)}`,
    );
  }
}
