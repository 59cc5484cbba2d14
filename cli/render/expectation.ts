/** Whether a verdict is what a case expects, value by value. */
import { isRawNumber, type LosslessJson, parseLossless } from "../../evaluator/render/lossless_json.ts";
import type { AdmissionResponse } from "../../admission/types/admission.ts";
import { type DocumentValue, jsonText } from "../../policy_server/types/document.ts";
import type { Expectations } from "../types/suite.ts";

/** A value whose members stand in one order, whoever wrote it. */
function sorted(value: LosslessJson): LosslessJson {
  if (typeof value !== "object" || value === null || isRawNumber(value)) return value;
  if (Array.isArray(value)) return (value as readonly LosslessJson[]).map(sorted);
  const members = Object.entries(value as { readonly [key: string]: LosslessJson });
  return Object.fromEntries(
    members.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, member]) => [name, sorted(member)]),
  );
}

/** What a text must contain or match; undefined for a text, or whatever else, that it must be. */
export function matcherOf(
  expected: DocumentValue,
): { readonly key: "contains" | "matches"; readonly text: string } | undefined {
  const only = expected.kind === "map" && expected.entries.length === 1 ? expected.entries[0] : undefined;
  if (only === undefined || only.value.kind !== "string") return undefined;
  return only.key === "contains" || only.key === "matches"
    ? { key: only.key, text: only.value.value }
    : undefined;
}

/** Whether `found`, JSON text, is what is expected; numbers have to have the same form. */
function fits(expected: DocumentValue, found: string | undefined): boolean {
  const matcher = matcherOf(expected);
  if (matcher !== undefined) {
    const text: unknown = found === undefined ? undefined : JSON.parse(found);
    if (typeof text !== "string") return false;
    return matcher.key === "contains"
      ? text.includes(matcher.text)
      : new RegExp(matcher.text, "u").test(text);
  }
  const normal = (text: string) => JSON.stringify(sorted(parseLossless(text)));
  return normal(jsonText(expected)) === normal(found ?? "null");
}

function check(expectations: Expectations, found: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(found).flatMap(([member, text]) => {
    const expected = expectations.get(member);
    if (expected === undefined || fits(expected, text)) return [];
    return [`${member} is ${text ?? "absent"}, expected ${jsonText(expected)}`];
  });
}

const json = (value: unknown): string | undefined =>
  value === undefined || value === null ? undefined : JSON.stringify(value);

/** What is not as expected of settings; `refusal` is why the policy refuses them. */
export function settingsFaults(expectations: Expectations, refusal: string | undefined): readonly string[] {
  const valid = refusal === undefined;
  if (!valid && !expectations.has("settingsValid")) return [`the settings are refused: ${refusal}`];
  return check(expectations, { settingsValid: String(valid), settingsMessage: json(refusal) });
}

/** What is not as expected of a response. */
export function responseFaults(expectations: Expectations, response: AdmissionResponse): readonly string[] {
  const { allowed, status, patch, warnings, auditAnnotations } = response;
  return check(expectations, {
    allowed: String(allowed),
    message: json(status?.message),
    code: json(status?.code),
    // No patch changes as little as an empty one.
    patch: patch ?? "[]",
    warnings: json(warnings),
    auditAnnotations: json(auditAnnotations),
  });
}
