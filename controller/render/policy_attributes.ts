/** What `kubewarden_policy_total` says of a policy (spec/controller.md §1.5). */
import { type Policy, policyId } from "../../crd/types.ts";
import type { Labels } from "./metrics.ts";

/** Name, server, module and state of a policy; a group has no module and mutates nothing. */
export function policyAttributes({ metadata, spec, status, ...policy }: Policy): Labels {
  const single = spec as { readonly module?: string; readonly mutating?: boolean };
  return {
    name: policyId({ metadata, spec, status, ...policy } as Policy),
    policy_server: spec.policyServer ?? "",
    module: single.module ?? "",
    mutating: single.mutating ?? false,
    namespace: metadata.namespace ?? "",
    failure_policy: spec.failurePolicy ?? "",
    policy_status: status?.policyStatus ?? "",
  };
}
