/**
 * CEL `matchConditions` are checked by the one compiler that will run them: the API server is asked to create, as a dry run, a
 * webhook configuration that carries them, and what it says of them is said of the policy (spec/crds.md §9).
 */
import { clipped, type FieldError, internal } from "../../crd/render/field_error.ts";
import type { MatchCondition } from "../../crd/types.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { VALIDATING } from "../types/resources.ts";
import { ApiError, type KubeClient } from "../../kubernetes/apply/kube_client.ts";

const FIELD = "spec.matchConditions";
const CARRIED = "webhooks[0].matchConditions";

type Cause = { readonly reason?: string; readonly message?: string; readonly field?: string };

function carrier(matchConditions: readonly MatchCondition[]): KubeObject {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "kubewarden-match-conditions-dry-run" },
    webhooks: [{
      name: "match-conditions.kubewarden.admission",
      clientConfig: { url: "https://127.0.0.1/never-called" },
      rules: [{
        apiGroups: ["dry-run.invalid"],
        apiVersions: ["v1"],
        operations: ["CREATE"],
        resources: ["none"],
      }],
      failurePolicy: "Ignore",
      sideEffects: "None",
      admissionReviewVersions: ["v1"],
      matchConditions,
    }],
  } as KubeObject;
}

/** What the API server finds wrong with the conditions. A check that cannot be made is an error too, not a pass. */
export async function checkMatchConditions(
  client: KubeClient,
  matchConditions: readonly MatchCondition[] | undefined,
): Promise<readonly FieldError[]> {
  if (matchConditions === undefined || matchConditions.length === 0) return [];
  try {
    await client.create(VALIDATING, carrier(matchConditions), { dryRun: true });
    return [];
  } catch (error) {
    const causes = error instanceof ApiError && error.status === 422
      ? (error.details as { causes?: readonly Cause[] } | undefined)?.causes ?? []
      : [];
    const found = causes.filter(({ field }) => field?.startsWith(CARRIED)).map((cause): FieldError => {
      const reason = (cause.reason ?? "FieldValueInvalid") as FieldError["reason"];
      const path = cause.field!.slice(CARRIED.length);
      // An ill-formed name is reported on its item: the path that 1.36 gives (spec/crds.md §9).
      const item = reason === "FieldValueInvalid" ? path.replace(/\.name$/, "") : path;
      return { reason, field: FIELD + item, message: clipped(cause.message ?? "") };
    });
    if (found.length > 0) return found;
    const text = error instanceof ApiError ? error.answer : String(error);
    return [internal(FIELD, `cannot have the API server check the conditions: ${text}`)];
  }
}
