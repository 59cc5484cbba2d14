/** What Rego policies answered, as a verdict (`spec/evaluator.md §7.3, §7.4`). What can't be read refuses the request. */
import { isObject, type JsonObject } from "../../program/types/json_object.ts";
import { own } from "../../program/types/own.ts";
import {
  type AdmissionStatus,
  ANSWER,
  failure,
  type StatusCause,
  type StatusDetails,
  type Verdict,
} from "../types/evaluation.ts";

import { jsonExcess } from "./json_size.ts";
import { boundedText } from "./bounded_text.ts";

class ShapeError extends Error {}

const UNREADABLE_OPA = "internal server error: cannot interpret OPA policy result";
const UNREADABLE_GATEKEEPER = "internal server error: cannot interpret Gatekeeper policy result";
const decoder = new TextDecoder("utf-8", { fatal: true });

/** An error's text; a runtime may repeat all of what it could not parse. */
const reasonOf = (error: unknown): string =>
  boundedText(error instanceof Error ? error.message : String(error), 1000);

/** `result[0].result` of the evaluation. */
function resultOf(json: Uint8Array): unknown {
  if (json.length > ANSWER.max) {
    throw new ShapeError(`the result has ${json.length} bytes, the limit is ${ANSWER.max}`);
  }
  const excess = jsonExcess(json);
  if (excess !== undefined) throw new ShapeError(`the result is too large: ${excess}`);
  const results: unknown = JSON.parse(decoder.decode(json));
  const first: unknown = Array.isArray(results) ? results[0] : undefined;
  return isObject(first) ? first["result"] : undefined;
}

function wrong(path: string, value: unknown, expected: string): never {
  const found = value === undefined ? "nothing" : JSON.stringify(value);
  const shown = found.length > 100 ? `${found.slice(0, 100)}…` : found;
  throw new ShapeError(`${path}: invalid type: ${shown}, expected ${expected}`);
}

function optional<T>(fields: JsonObject, name: string, read: (value: unknown) => T): T | undefined {
  const value = own(fields, name);
  return value === undefined || value === null ? undefined : read(value);
}

const text = (path: string) => (value: unknown): string =>
  typeof value === "string" ? value : wrong(path, value, "a string");

const integer = (path: string, most: number) => (value: unknown): number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most
    ? value
    : wrong(path, value, `an integer from 0 to ${most}`);

const choice = (path: string, choices: readonly string[]) => (value: unknown): string =>
  typeof value === "string" && choices.includes(value)
    ? value
    : wrong(path, value, `one of ${choices.join(", ")}`);

const CAUSES = [
  ...["FieldValueNotFound", "FieldValueRequired", "FieldValueDuplicate", "FieldValueInvalid"],
  ...[
    "FieldValueNotSupported",
    "FieldValueForbidden",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "InternalError",
  ],
  ...["FieldValueTypeInvalid", "UnexpectedServerResponse", "FieldManagerConflict", "ResourceVersionTooLarge"],
];

function cause(value: unknown): StatusCause {
  if (!isObject(value)) return wrong("status.details.causes", value, "an object");
  return {
    reason: optional(value, "reason", choice("status.details.causes.reason", CAUSES)) ?? null,
    message: optional(value, "message", text("status.details.causes.message")) ?? null,
    field: optional(value, "field", text("status.details.causes.field")) ?? null,
  };
}

function checkEntries(name: string, count: number): void {
  if (count > ANSWER.entries) throw new ShapeError(`${name}: over ${ANSWER.entries} entries`);
}

function details(value: unknown): StatusDetails {
  if (!isObject(value)) return wrong("status.details", value, "an object");
  const causes = value["causes"];
  if (causes === undefined) throw new ShapeError("missing field `causes`");
  if (!Array.isArray(causes)) return wrong("status.details.causes", causes, "a list");
  checkEntries("status.details.causes", causes.length);
  const named = (name: string) => {
    const given = optional(value, name, text(`status.details.${name}`));
    return given === undefined ? {} : { [name]: given };
  };
  const seconds =
    optional(value, "retry_after_seconds", integer("status.details.retry_after_seconds", 2 ** 31 - 1)) ??
      optional(value, "retryAfterSeconds", integer("status.details.retryAfterSeconds", 2 ** 31 - 1));
  return {
    ...named("name"),
    ...named("group"),
    ...named("kind"),
    ...named("uid"),
    ...(causes.length > 0 && { causes: causes.map(cause) }),
    ...(seconds !== undefined && { retry_after_seconds: seconds }),
  };
}

function statusOf(value: unknown): AdmissionStatus {
  if (!isObject(value)) return wrong("status", value, "an object");
  const given = {
    status: optional(value, "status", choice("status.status", ["Success", "Failure"])),
    message: optional(value, "message", text("status.message")),
    // Any text, as Kubernetes has it: policies written for OPA itself put their message here (Sharp edges 10).
    reason: optional(value, "reason", text("status.reason")),
    details: optional(value, "details", details),
    code: optional(value, "code", integer("status.code", 65535)),
  };
  return Object.fromEntries(Object.entries(given).filter(([, field]) => field !== undefined));
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    const units = atob(text);
    const bytes = new Uint8Array(units.length);
    for (let at = 0; at < bytes.length; at++) bytes[at] = units.charCodeAt(at);
    return bytes;
  } catch {
    return undefined;
  }
}

function patchOf(value: unknown): string {
  const bytes = fromBase64(text("patch")(value));
  // It becomes objects here, and again wherever it comes to.
  const excess = bytes && jsonExcess(bytes);
  if (excess !== undefined) throw new ShapeError(`patch: too large: ${excess}`);
  try {
    const patch = decoder.decode(bytes);
    if (Array.isArray(JSON.parse(patch))) return patch;
  } catch {
    // Told below.
  }
  throw new ShapeError("patch: expected a JSON Patch in base64");
}

function annotations(value: unknown): Readonly<Record<string, string>> {
  if (!isObject(value)) return wrong("auditAnnotations", value, "an object of strings");
  checkEntries("auditAnnotations", Object.keys(value).length);
  for (const [name, annotation] of Object.entries(value)) {
    text(`auditAnnotations.${boundedText(name, 100)}`)(annotation);
  }
  return value as Record<string, string>;
}

function warnings(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return wrong("warnings", value, "a list of strings");
  checkEntries("warnings", value.length);
  return value.map((warning, at) => text(`warnings[${at}]`)(warning));
}

function admissionResponse(value: unknown): Verdict {
  if (!isObject(value)) return wrong("response", value, "an object");
  for (const name of ["uid", "allowed"]) {
    if (own(value, name) === undefined) throw new ShapeError(`missing field \`${name}\``);
  }
  text("uid")(value["uid"]);
  const { allowed } = value;
  if (typeof allowed !== "boolean") return wrong("allowed", allowed, "a boolean");
  optional(value, "patchType", choice("patchType", ["JSONPatch"]));
  const status = optional(value, "status", statusOf);
  const patch = optional(value, "patch", patchOf);
  return {
    allowed,
    ...(status && { status }),
    ...(patch !== undefined && { patch }),
    auditAnnotations: optional(value, "auditAnnotations", annotations) ?? null,
    warnings: optional(value, "warnings", warnings) ?? null,
  };
}

/** What a verdict is made with besides the policy's result. */
export interface RegoContext {
  /** Which entry points the module has, in words. Asked for where an answer is none. */
  readonly entryPoints: () => string;
  /** Gets what helps the policy's author and is no business of who asked the API server. */
  readonly note: (text: string) => void;
}
const NO_CONTEXT: RegoContext = { entryPoints: () => "", note: () => {} };

/**
 * What refuses a request because the policy's answer is none of its mode's. Where it is one of the other mode's, the text says so; what
 * else the entry point answers may be meant, and goes to the policy's log.
 */
function strayAnswer(
  result: unknown,
  mode: "opa" | "gatekeeper",
  unreadable: string,
  { entryPoints, note }: RegoContext,
): Verdict {
  const other = mode === "opa" ? "gatekeeper" : "opa";
  const isOther = mode === "opa"
    ? Array.isArray(result)
    : isObject(result) && own(result, "response") !== undefined;
  const kind = Array.isArray(result)
    ? "answers with a list"
    : isObject(result)
    ? "answers with an object"
    : result === undefined
    ? "is undefined for this request"
    : `answers with ${typeof result === "string" ? "a string" : String(result)}`;
  const hint = isOther ? `, as policies of execution mode ${other} do` : "";
  const known = entryPoints();
  const wanted = mode === "opa" ? "an object with a `response`" : "a list of violations";
  const text = `expected ${wanted}; the entry point ${kind}${hint}${known && `; ${known}`}`;
  if (isOther) return failure(`${unreadable}: ${text}`);
  note(text);
  return failure(mode === "opa" ? unreadable : `${unreadable}: expected ${wanted}`);
}

/** The verdict of an OPA policy, whose result holds an AdmissionResponse. The request's uid replaces the policy's. */
export function opaVerdict(json: Uint8Array, context = NO_CONTEXT): Verdict {
  try {
    const result = resultOf(json);
    const response = isObject(result) ? result["response"] : undefined;
    if (response !== undefined) return admissionResponse(response);
    return strayAnswer(result, "opa", UNREADABLE_OPA, context);
  } catch (error) {
    if (error instanceof ShapeError) return failure(`internal server error: ${error.message}`);
    return failure(`${UNREADABLE_OPA}: ${reasonOf(error)}`);
  }
}

/** The verdict of a Gatekeeper policy, whose result is a list of violations; an empty one allows. */
export function gatekeeperVerdict(json: Uint8Array, context = NO_CONTEXT): Verdict {
  try {
    const violations = resultOf(json);
    // The original allows what it can't read (Sharp edges 7).
    if (!Array.isArray(violations)) {
      return strayAnswer(violations, "gatekeeper", UNREADABLE_GATEKEEPER, context);
    }
    if (violations.length === 0) return { allowed: true, auditAnnotations: null, warnings: null };
    const messages = violations.map((violation, at) => {
      if (!isObject(violation)) return wrong(`violation ${at}`, violation, "an object");
      return optional(violation, "msg", text(`violation ${at}: msg`));
    });
    const message = messages.filter((given) => given !== undefined).join(", ");
    return { allowed: false, status: { message }, auditAnnotations: null, warnings: null };
  } catch (error) {
    return failure(`${UNREADABLE_GATEKEEPER}: ${reasonOf(error)}`);
  }
}
