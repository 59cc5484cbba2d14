/** The fields of the server's spans (spec/policy-server.md §13); absent texts are empty ones. */
import { joined } from "../../program/types/bytes.ts";
import { setOwn } from "../../program/types/own.ts";
import { decodeText, scanObject, skipValue, stringValue } from "../../evaluator/render/json_scan.ts";
import type { Review } from "../../evaluator/render/review.ts";
import type { PolicyLogEntry } from "../../evaluator/types/evaluation.ts";
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import type { SpanFields } from "../../telemetry/types/spans.ts";
import type { AdmissionResponse } from "../../admission/types/admission.ts";
import type { RequestOrigin } from "../types/admission.ts";

/** What the span of a request's review is called. */
export const REVIEW_SPAN: Readonly<Record<RequestOrigin, string>> = {
  validate: "validation",
  audit: "audit",
  raw: "validation_raw",
};

/** Members of a request that spans show. */
const SHOWN = new Set(["name", "subResource", "kind", "resource"]);
/** No honest name is longer. */
const MAX_MEMBER_BYTES = 4096;

type Group = {
  readonly group?: string;
  readonly version?: string;
  readonly kind?: string;
  readonly resource?: string;
};

/** The members of a review's request that are {@link SHOWN}. */
function shownMembers(review: Review): Readonly<Record<string, unknown>> {
  const bytes = joined(review.pieces, review.length);
  const members: Record<string, unknown> = {};
  scanObject(bytes, 0, (keyStart, keyEnd, start) => {
    const behind = skipValue(bytes, start, Infinity);
    const key = stringValue(bytes, keyStart, keyEnd);
    if (SHOWN.has(key) && behind - start <= MAX_MEMBER_BYTES) {
      setOwn(members, key, JSON.parse(decodeText(bytes, start, behind)));
    }
    return behind;
  });
  return members;
}

/** What is known of a request before it is judged. */
export function reviewFields(
  origin: RequestOrigin,
  host: string,
  policyId: string,
  review: Review,
): SpanFields {
  if (origin === "raw") return { host, policy_id: policyId };
  const { name, subResource, kind, resource } = shownMembers(review);
  const text = (value: unknown) => typeof value === "string" ? value : "";
  const { group: kindGroup, version: kindVersion, kind: kindName } = (kind ?? {}) as Group;
  const { group, version, resource: resourceName } = (resource ?? {}) as Group;
  return {
    request_uid: review.uid,
    host,
    policy_id: policyId,
    name: text(name),
    namespace: review.namespace ?? "",
    operation: review.operation,
    subresource: text(subResource),
    kind_group: text(kindGroup),
    kind_version: text(kindVersion),
    kind: text(kindName),
    resource_group: text(group),
    resource_version: text(version),
    resource: text(resourceName),
  };
}

/** What the client is answered. */
export function responseFields({ allowed, patch, status }: AdmissionResponse): SpanFields {
  return {
    allowed,
    mutated: patch !== undefined,
    response_code: status?.code,
    response_message: status?.message,
  };
}

const RUNTIMES: Readonly<Record<ExecutionMode, string>> = {
  "kubewarden-wapc": "wapc",
  wasi: "wasi",
  opa: "OPA",
  gatekeeper: "Gatekeeper",
  extism: "extism",
};

/** Who judges: one policy. */
export function evaluatorFields(id: string, mode: ExecutionMode, settingsJson: string): SpanFields {
  return {
    self: `PolicyEvaluator { id: ${JSON.stringify(id)}, runtime: ${JSON.stringify(RUNTIMES[mode])} }`,
    settings: settingsJson,
  };
}

/** Who judges: a group. */
export function groupFields(
  id: string,
  { message, expression, policies }: {
    readonly message: string;
    readonly expression: string;
    readonly policies: ReadonlyMap<string, unknown>;
  },
): SpanFields {
  return {
    self: `PolicyGroup { id: ${JSON.stringify(id)}, message: ${JSON.stringify(message)}, expression: ${
      JSON.stringify(expression)
    }, policies: ${JSON.stringify([...policies.keys()])} }`,
  };
}

const ABORTED = "Rego evaluation aborted: ";

/** The span of a line that a policy logged: its name and fields, and the event in it where there is one. */
export function policyLogSpan(policy: string, { level, message, data, rego }: PolicyLogEntry): {
  readonly name: string;
  readonly fields: SpanFields;
  readonly event?: SpanFields;
} {
  if (rego === "println") return { name: "opa_println", fields: { msg: message } };
  if (rego === "abort") return { name: "opa_abort", fields: { msg: message.replace(ABORTED, "") } };
  return {
    name: "policy_log",
    fields: { eval_ctx: `EvaluationContext { policy_id: ${JSON.stringify(policy)} }` },
    event: { level: level.toUpperCase(), target: "policy_log", data },
  };
}
