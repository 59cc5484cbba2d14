/** From what an author writes to a policy that can be asked. */
import type { Host } from "../types/host.ts";
import type { Answer, DefinedPolicy, PolicyDefinition, SettingsAnswer } from "../types/policy.ts";
import type { AdmissionRequest } from "../types/request.ts";
import type { SchemaIssue, SettingsOf, SettingsSchema } from "../types/schema.ts";
import type { KubernetesObject } from "../types/workloads.ts";
import { HostError, hostOf } from "./host.ts";

const isPromise = (value: unknown): boolean =>
  typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** No more of what is wrong with settings is listed. */
const MAX_ISSUES = 20;

function pathOf({ path = [] }: SchemaIssue): string {
  let text = "";
  for (const part of path) {
    const key = typeof part === "object" ? part.key : part;
    text += typeof key === "number" ? `[${key}]` : `${text === "" ? "" : "."}${String(key)}`;
  }
  return text;
}

function issuesText(issues: readonly SchemaIssue[]): string {
  const lines = issues.slice(0, MAX_ISSUES).map((issue) => {
    const path = pathOf(issue);
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  if (issues.length > MAX_ISSUES) lines.push(`and ${issues.length - MAX_ISSUES} more`);
  return lines.join("; ");
}

const absent: Host = hostOf((namespace, operation) => {
  throw new HostError(`there is no host to answer ${namespace}/${operation}: give validate one`);
});

/** Refuses what is no answer, with the words that help its author. */
function checkAnswer(answer: unknown): Answer {
  const wrong = (what: string) =>
    new TypeError(`validate must return accept(), reject(…) or mutate(…), it returned ${what}`);
  if (isPromise(answer)) {
    throw new TypeError(
      "validate returned a promise: a policy is synchronous, and so are the capabilities of its host",
    );
  }
  if (!isRecord(answer)) throw wrong(answer === null ? "null" : `a value of type ${typeof answer}`);
  if (typeof answer["accepted"] !== "boolean") throw wrong("an object without `accepted`");
  return answer as unknown as Answer;
}

/**
 * Describes a policy; a module exports it as its default.
 *
 * ```ts
 * import { accept, definePolicy, reject } from "portreeve/policy";
 *
 * export default definePolicy({
 *   validate(request) {
 *     return request.namespace === "default" ? reject("nothing goes into the namespace default") : accept();
 *   },
 * });
 * ```
 *
 * @throws {TypeError} when the definition has no `validate`, or one that is asynchronous
 */
export function definePolicy<
  Schema extends SettingsSchema | undefined = undefined,
  Object = KubernetesObject,
>(
  definition: PolicyDefinition<Schema, Object>,
): DefinedPolicy {
  if (!isRecord(definition) || typeof definition.validate !== "function") {
    throw new TypeError("definePolicy needs an object with a function `validate`");
  }
  for (const name of ["validate", "validateSettings"] as const) {
    if (definition[name]?.constructor.name === "AsyncFunction") {
      throw new TypeError(
        `${name} is asynchronous: a policy is synchronous, and so are its host's capabilities`,
      );
    }
  }
  const schema = definition.settings?.["~standard"];
  if (definition.settings !== undefined && typeof schema?.validate !== "function") {
    throw new TypeError(
      "definePolicy: `settings` is no schema of valibot, zod or another library that follows Standard Schema",
    );
  }
  const parse = (settings: unknown): SettingsOf<Schema> | readonly SchemaIssue[] => {
    if (schema === undefined) return (isRecord(settings) ? settings : {}) as SettingsOf<Schema>;
    const result = schema.validate(settings);
    if (isPromise(result)) throw new TypeError("definePolicy: the schema of the settings is asynchronous");
    const { issues, value } = result as { issues?: readonly SchemaIssue[]; value: SettingsOf<Schema> };
    return issues && issues.length > 0 ? issues : value;
  };
  return {
    validate(request: AdmissionRequest<never>, { settings = {}, host = absent } = {}): Answer {
      const parsed = parse(settings);
      if (schema !== undefined && Array.isArray(parsed)) {
        throw new TypeError(`the settings: ${issuesText(parsed)}`);
      }
      return checkAnswer(
        definition.validate(request as AdmissionRequest<Object>, {
          settings: parsed as SettingsOf<Schema>,
          host,
        }),
      );
    },
    validateSettings(settings: unknown): SettingsAnswer {
      const parsed = parse(settings);
      if (schema !== undefined && Array.isArray(parsed)) return { valid: false, message: issuesText(parsed) };
      const wrong = definition.validateSettings?.(parsed as SettingsOf<Schema>);
      if (isPromise(wrong)) {
        throw new TypeError("validateSettings returned a promise: a policy is synchronous");
      }
      return typeof wrong === "string" ? { valid: false, message: wrong } : { valid: true };
    },
  };
}
