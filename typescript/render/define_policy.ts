/** From what an author writes to a policy that can be asked. */
import type { Host } from "../types/host.ts";
import type { Answer, DefinedPolicy, PolicyDefinition, SettingsAnswer } from "../types/policy.ts";
import type { AdmissionRequest } from "../types/request.ts";
import type { SchemaIssue, SettingsOf, SettingsSchema } from "../types/schema.ts";
import type { KubernetesObject } from "../types/workloads.ts";
import { own } from "../../program/types/own.ts";
import { exactAnswer } from "./answers.ts";
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
  if (!Object.hasOwn(answer, "accepted")) throw wrong("an object without `accepted`");
  return exactAnswer(answer as unknown as Answer);
}

/** What a schema says of settings: their value, or what is wrong with them. */
type Parsed<Settings> = { readonly value: Settings } | { readonly wrong: string };

/** Schemas come from other packages: what follows the standard in part must not pass as settings that are right. */
function parsedBy<Settings>(schema: SettingsSchema["~standard"], settings: unknown): Parsed<Settings> {
  const result: unknown = schema.validate(settings);
  if (isRecord(result)) {
    if (Array.isArray(result["issues"])) return { wrong: issuesText(result["issues"]) };
    if ("value" in result) return result as { readonly value: Settings };
  }
  throw new TypeError("the settings' schema is asynchronous, or no Standard Schema");
}

const MEMBERS: readonly string[] = ["settings", "validate", "validateSettings"];
/** Functions whose call gives something that has to be waited for, or asked again. */
const NOT_AT_ONCE: Readonly<Record<string, string>> = {
  AsyncFunction: "asynchronous",
  GeneratorFunction: "a generator",
  AsyncGeneratorFunction: "an asynchronous generator",
};

/** Throws {@link TypeError} for a definition that can't be one. A name that is misspelt would leave settings unchecked. */
function checkDefinition(definition: unknown): void {
  if (!isRecord(definition) || typeof definition["validate"] !== "function") {
    throw new TypeError("definePolicy needs an object with a function `validate`");
  }
  if (Object.getPrototypeOf(definition) === Object.prototype) {
    const unknown = Object.keys(definition).find((name) => !MEMBERS.includes(name));
    if (unknown !== undefined) {
      throw new TypeError(`definePolicy knows no \`${unknown}\`: its members are ${MEMBERS.join(", ")}`);
    }
  }
  const { validate, validateSettings } = definition;
  for (const [name, member] of Object.entries({ validate, validateSettings })) {
    if (member === undefined) continue;
    if (typeof member !== "function") throw new TypeError(`definePolicy: \`${name}\` is no function`);
    const kind = own(NOT_AT_ONCE, String(member.constructor.name));
    if (kind !== undefined) {
      throw new TypeError(
        `${name} is ${kind}: a policy is synchronous, and so are its host's capabilities`,
      );
    }
  }
  const { settings } = definition as { readonly settings?: Partial<SettingsSchema> | null };
  if (settings !== undefined && typeof settings?.["~standard"]?.validate !== "function") {
    throw new TypeError(
      "definePolicy: `settings` is no schema of valibot, zod or another library that follows Standard Schema",
    );
  }
}

/** A mark that no other object can carry. */
const defined = new WeakSet<object>();

/** Whether `definePolicy` made it: what else a module exports has no checks of its answers. */
export const isDefined = (policy: unknown): policy is DefinedPolicy =>
  typeof policy === "object" && policy !== null && defined.has(policy);

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
 * @throws {TypeError} when the definition has no `validate`, one that is asynchronous, or members that mean nothing
 */
export function definePolicy<
  Schema extends SettingsSchema | undefined = undefined,
  Object = KubernetesObject,
>(
  definition: PolicyDefinition<Schema, Object>,
): DefinedPolicy {
  checkDefinition(definition);
  const schema = definition.settings?.["~standard"];
  const parse = (settings: unknown): Parsed<SettingsOf<Schema>> =>
    schema === undefined
      ? { value: (isRecord(settings) ? settings : {}) as SettingsOf<Schema> }
      : parsedBy(schema, settings);
  const policy: DefinedPolicy = {
    validate(request: AdmissionRequest<never>, { settings = {}, host = absent } = {}): Answer {
      const parsed = parse(settings);
      if ("wrong" in parsed) throw new TypeError(`the settings: ${parsed.wrong}`);
      return checkAnswer(
        definition.validate(request as AdmissionRequest<Object>, { settings: parsed.value, host }),
      );
    },
    validateSettings(settings: unknown): SettingsAnswer {
      const parsed = parse(settings);
      if ("wrong" in parsed) return { valid: false, message: parsed.wrong };
      const wrong: unknown = definition.validateSettings?.(parsed.value);
      if (wrong === undefined) return { valid: true };
      if (typeof wrong === "string") return { valid: false, message: wrong };
      throw new TypeError("validateSettings must return a text or nothing");
    },
  };
  defined.add(policy);
  return policy;
}
