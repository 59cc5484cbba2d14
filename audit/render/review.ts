/** The question to a policy server and what its answer means (spec/audit.md §9, §10.4, §11). */
import type { Audited, Judgement } from "../types/judgement.ts";
import type { Served } from "../types/policies.ts";

/**
 * The body of the AdmissionReview of an object: the same for every policy. The object's own text is spliced in, so that
 * nothing of it changes.
 */
export function reviewOf(object: Audited, served: Served): string {
  const { group, version } = served;
  const kind = JSON.stringify({ group, version, kind: object.kind });
  // The original writes the kind here; a webhook gets the plural (spec/audit.md, sharp edge 1).
  const resource = JSON.stringify({ group, version, resource: served.plural });
  const namespace = object.namespace === undefined ? "" : `"namespace":${JSON.stringify(object.namespace)},`;
  return `{"request":{"uid":${JSON.stringify(object.uid)},"kind":${kind},"resource":${resource},` +
    `"requestKind":${kind},"requestResource":${resource},"name":${JSON.stringify(object.name)},${namespace}` +
    `"operation":"CREATE","userInfo":{},"object":${object.text},"oldObject":null,"options":null}}`;
}

type Review = {
  readonly response?: {
    readonly allowed?: unknown;
    readonly status?: { readonly message?: unknown; readonly code?: unknown } | null;
  } | null;
};

const failed = (message: string): Judgement => ({ outcome: "error", message, from: "request" });
/** Of a body that is quoted in a message. */
const QUOTED = 300;

/** The request to a policy server came to nothing. */
export function unanswered(reason: string): Judgement {
  return failed(reason);
}

/** What a policy server's answer means. */
export function judge(status: number, body: string): Judgement {
  if (status !== 200) return refused(status, body);
  try {
    return judgeReview(JSON.parse(body) as Review | null);
  } catch (error) {
    return failed(`cannot deserialize the audit review response: ${(error as Error).message}`);
  }
}

/** One line of an answer about several policies (docs/audit_scanner.md). Throws when it is none. */
export function judgeLine(line: string): { readonly policy: string; readonly judgement: Judgement } {
  const { policy, status, answer } = JSON.parse(line) as {
    policy?: unknown;
    status?: unknown;
    answer?: unknown;
  };
  if (typeof policy !== "string" || typeof status !== "number") {
    throw new Error("it has no policy and status");
  }
  const judgement = status === 200
    ? judgeReview(answer as Review | null)
    : refused(status, JSON.stringify(answer));
  return { policy, judgement };
}

function refused(status: number, body: string): Judgement {
  return failed(`unexpected status code: ${status} body: ${body.trim().slice(0, QUOTED)}`);
}

function judgeReview(review: Review | null | undefined): Judgement {
  const response = review?.response;
  if (typeof response !== "object" || response === null || typeof response.allowed !== "boolean") {
    return failed("cannot deserialize the audit review response: it has no response that allows or rejects");
  }
  const text = response.status?.message;
  const message = typeof text === "string" && text !== "" ? text : undefined;
  if (response.status?.code === 500) return { outcome: "error", message, from: "answer" };
  return { outcome: response.allowed ? "pass" : "fail", message };
}
