/** One request against the current policy set: lookup, evaluation, the rules of the policy, metrics (`spec/policy-server.md §6, §7`). */
import { admissionResponse, ALLOWED } from "../../admission/render/admission_response.ts";
import { groupVerdict } from "../../admission/render/group_verdict.ts";
import type { AdmissionResponse, ResponseRules } from "../../admission/types/admission.ts";
import { type EvaluationOptions, type EvaluatorPool, OverloadedError } from "../../evaluator/apply/pool.ts";
import type { Review } from "../../evaluator/render/review.ts";
import { failure, type Verdict } from "../../evaluator/types/evaluation.ts";
import type { TraceSpan } from "../../telemetry/types/spans.ts";
import { groupFields, responseFields } from "../render/spans.ts";
import type { RequestOrigin } from "../types/admission.ts";
import type { Log } from "./log.ts";
import type { Recorder } from "./metrics.ts";
import type { Evaluable, PolicySet, ServedPolicy } from "./policy_set.ts";
import type { Tracing } from "./tracing.ts";

/** What comes of a request. */
export type Evaluated =
  | { readonly kind: "response"; readonly response: AdmissionResponse }
  | { readonly kind: "unknown" }
  | { readonly kind: "invalid_id" }
  | { readonly kind: "overloaded" }
  /** Nobody waits for the answer any more. */
  | { readonly kind: "cancelled" }
  /** It could not be evaluated; the reason is for the log. */
  | { readonly kind: "error"; readonly reason: string };

/** What evaluations need of the server. */
export interface EvaluationContext {
  readonly pool: Pick<EvaluatorPool, "validate">;
  readonly metrics: Recorder;
  readonly log: Log;
  readonly alwaysAcceptNamespace: string | null;
  /** Absent unless spans are sent. */
  readonly tracing?: Tracing | undefined;
}

/** Raised inside of an evaluation that must end with HTTP status 500. */
class InternalError extends Error {}

/** What one judgement works with. */
type Judging = {
  readonly context: EvaluationContext;
  readonly review: Review;
  /** The span that it happens in, if spans are sent. */
  readonly span: TraceSpan | undefined;
  readonly signal: AbortSignal | undefined;
};
type Judged = { readonly verdict: Verdict; readonly rules: ResponseRules };

const MONITORED = "policy evaluation (monitor mode)";

/**
 * Evaluates `review` with the policy called `id`: a policy, a group, or `group/member`. `span` learns the outcome. When `signal`
 * aborts, what waits for a thread is dropped and what runs is stopped.
 */
export async function evaluate(
  context: EvaluationContext,
  set: Pick<PolicySet, "policies">,
  id: string,
  review: Review,
  origin: RequestOrigin,
  span?: TraceSpan,
  { signal }: EvaluationOptions = {},
): Promise<Evaluated> {
  const evaluated = await evaluateIn({ context, review, span, signal }, set, id, origin);
  if (evaluated.kind === "response") span?.set(responseFields(evaluated.response));
  return evaluated;
}

async function evaluateIn(
  judging: Judging,
  set: Pick<PolicySet, "policies">,
  id: string,
  origin: RequestOrigin,
): Promise<Evaluated> {
  const { context, review, span, signal } = judging;
  const [name = "", member, ...others] = id.split("/");
  if (others.length > 0 || name === "" || member === "") return { kind: "invalid_id" };
  const served = set.policies.get(name);
  if (!served) return { kind: "unknown" };
  if (member !== undefined && !(served.kind === "group" && served.members.has(member))) {
    return { kind: "unknown" };
  }
  const started = performance.now();
  const rules = rulesOf(served, id, member);
  if (
    origin !== "raw" && context.alwaysAcceptNamespace !== null &&
    review.namespace === context.alwaysAcceptNamespace
  ) {
    record(context, { verdict: ALLOWED, rules }, review, origin, started);
    return { kind: "response", response: ALLOWED };
  }
  const reason = member === undefined ? failureOf(served) : memberFailure(served, member);
  if (reason !== undefined) {
    context.metrics.recordInitializationError(id, reason);
    return { kind: "response", response: failure(reason) };
  }
  try {
    const verdict = served.kind === "group" && member === undefined
      ? await judgeGroup(judging, served)
      : await judge(judging, evaluableOf(served, member));
    const judged = { verdict, rules };
    record(context, judged, review, origin, started);
    return { kind: "response", response: respond(judging, judged, origin) };
  } catch (error) {
    if (signal?.aborted && error === signal.reason) {
      context.metrics.recordCancelled(id);
      return { kind: "cancelled" };
    }
    if (error instanceof OverloadedError) return { kind: "overloaded" };
    if (!(error instanceof InternalError)) throw error;
    span?.event(`Evaluation error: ${error.message}`, { level: "ERROR", policy_id: id });
    return { kind: "error", reason: error.message };
  }
}

function rulesOf(served: ServedPolicy, id: string, member: string | undefined): ResponseRules {
  if (member !== undefined) return { policy: id, mode: "protect", allowedToMutate: false, message: null };
  const { entry } = served;
  return entry.kind === "policy"
    ? { policy: id, mode: entry.policyMode, allowedToMutate: entry.allowedToMutate, message: entry.message }
    : { policy: id, mode: entry.policyMode, allowedToMutate: false, message: null };
}

function evaluableOf(served: ServedPolicy, member: string | undefined): Evaluable {
  return served.kind === "policy" ? served.evaluable : served.members.get(member!)!;
}

function memberFailure(served: ServedPolicy, member: string): string | undefined {
  const evaluable = evaluableOf(served, member);
  return evaluable.kind === "failed" ? evaluable.reason : undefined;
}

/** Why a policy or group can't be served. A group with a member that failed is no group: `!member()` would let all pass. */
function failureOf(served: ServedPolicy): string | undefined {
  if (served.kind === "policy") return memberFailure(served, "");
  if (typeof served.expression === "string") {
    return `error evaluating policy group expression: ${served.expression}`;
  }
  for (const evaluable of served.members.values()) if (evaluable.kind === "failed") return evaluable.reason;
  return undefined;
}

async function judge({ context, review, span, signal }: Judging, evaluable: Evaluable): Promise<Verdict> {
  if (evaluable.kind === "failed") return failure(evaluable.reason);
  const { pool, tracing } = context;
  const outcome = span && tracing
    ? await tracing.judging(
      span,
      evaluable.traced,
      review,
      () => pool.validate(evaluable.policy, review, { signal }),
    )
    : await pool.validate(evaluable.policy, review, { signal });
  if (outcome.kind === "verdict") return outcome.verdict;
  throw new InternalError(outcome.kind === "error" ? outcome.message : `unexpected outcome ${outcome.kind}`);
}

type ServedGroup = ServedPolicy & { readonly kind: "group" };

async function judgeGroup(judging: Judging, group: ServedGroup): Promise<Verdict> {
  const { entry } = group;
  const span = judging.span?.child("validate", groupFields(entry.name, entry));
  try {
    return await judgeMembers({ ...judging, span }, group);
  } finally {
    span?.end();
  }
}

async function judgeMembers(judging: Judging, { entry, members, expression }: ServedGroup): Promise<Verdict> {
  if (typeof expression === "string") {
    return failure(`error evaluating policy group expression: ${expression}`);
  }
  return await groupVerdict(entry, expression, async (name) => {
    try {
      return { kind: "verdict", verdict: await judge(judging, members.get(name)!) };
    } catch (error) {
      if (!(error instanceof InternalError)) throw error;
      return { kind: "error", message: error.message };
    }
  });
}

function respond(
  { context, span }: Judging,
  { verdict, rules }: Judged,
  origin: RequestOrigin,
): AdmissionResponse {
  if (origin === "audit") return verdict;
  if (rules.mode === "monitor" && context.log.enabled("info")) {
    const { allowed, status, patch } = verdict;
    const fields = {
      policy_id: rules.policy,
      allowed_to_mutate: rules.allowedToMutate,
      response: `AdmissionResponse { allowed: ${allowed}, status: ${JSON.stringify(status ?? null)}, patch: ${
        patch ?? null
      } }`,
    };
    context.log.info(MONITORED, fields);
    span?.event(MONITORED, { level: "INFO", ...fields });
  }
  return admissionResponse(verdict, rules);
}

function record(
  { metrics }: EvaluationContext,
  { verdict, rules }: Judged,
  review: Review,
  origin: RequestOrigin,
  started: number,
): void {
  metrics.recordEvaluation({
    policyName: rules.policy,
    policyMode: rules.mode,
    accepted: verdict.allowed,
    mutated: verdict.patch !== undefined,
    errorCode: verdict.status?.code,
    review: origin === "raw" ? undefined : {
      requestOrigin: origin,
      kind: review.kind,
      operation: review.operation,
      namespace: review.namespace,
    },
  }, performance.now() - started);
}
