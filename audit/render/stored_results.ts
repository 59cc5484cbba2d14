/** Which results of a stored report still hold, so that their policies need not be asked again (spec/audit.md §13.5). */
import type { Audited, Evaluation } from "../types/judgement.ts";
import type { Auditable } from "../types/policies.ts";
import type { Report, Result } from "../types/report.ts";
import { resultOf } from "./report.ts";

/** The results of a stored report by policy; none where the report is on another version of the object. */
export function resultsOf(stored: Report | undefined, object: Audited): ReadonlyMap<string, Result> {
  const same = stored?.scope?.resourceVersion === object.resourceVersion;
  return new Map((same ? stored.results ?? [] : []).map((result) => [result.policy, result]));
}

/** Whether a stored result is what the policy would answer again. */
export function stillHolds(result: Result | undefined, policy: Auditable): result is Result {
  return result !== undefined && result.result !== "error" && !policy.contextAware &&
    result.properties["policy-uid"] === policy.properties["policy-uid"] &&
    result.properties["policy-resource-version"] === policy.properties["policy-resource-version"];
}

/** The result of each policy: a new one, or the stored one that still holds; `undefined`: it does not look at the object. */
export function currentResults(
  policies: readonly Auditable[],
  evaluations: readonly Evaluation[],
  stored: ReadonlyMap<string, Result>,
): readonly (Result | undefined)[] {
  const evaluated = new Map(evaluations.map((evaluation) => [evaluation.policy, evaluation]));
  return policies.map((policy) => {
    const now = evaluated.get(policy);
    if (now !== undefined) return resultOf(policy, now.judgement, now.seconds);
    const before = stored.get(policy.id);
    return stillHolds(before, policy) ? before : undefined;
  });
}

/** Whether a result says what the stored one of the same policy, in the same version, says. */
export function saysTheSame(now: Result, before: Result | undefined): boolean {
  return now.result === before?.result && now.message === before.message;
}
