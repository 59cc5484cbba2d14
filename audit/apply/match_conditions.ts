/**
 * matchConditions of policies: which objects admission would not show to a policy. The original ignores them and so reports
 * on objects that admission never judges.
 */
import { performance } from "node:perf_hooks";
import { loadCel, loadRe2 } from "../../deps.ts";
import {
  compileCondition,
  type Condition,
  type Environment,
  MAX_CONDITIONS,
} from "../render/cel/conditions.ts";
import { NAMED_FORMATS } from "../render/cel/formats.ts";
import { functionsOf } from "../render/cel/library.ts";
import { listLibrary } from "../render/cel/lists.ts";
import { createMeter, type Meter } from "../render/cel/meter.ts";
import { NETWORK } from "../render/cel/network.ts";
import { equalityOf } from "../render/cel/operators.ts";
import { patternLibrary } from "../render/cel/patterns.ts";
import { QUANTITIES } from "../render/cel/quantity.ts";
import { standardLibrary } from "../render/cel/standard.ts";
import { stringLibrary } from "../render/cel/strings.ts";
import { TIMES } from "../render/cel/times.ts";
import type { Node } from "../render/cel/syntax.ts";
import { type CelSource, celSource } from "../render/cel/values.ts";
import type { Audited } from "../types/judgement.ts";
import type { Auditable, Served } from "../types/policies.ts";

export type Checked =
  | { readonly kind: "matching" }
  /** Admission never asks the policy about this object. */
  | { readonly kind: "excluded" }
  | { readonly kind: "problem"; readonly message: string };

export type Conditions = {
  /** Makes ready for these policies; without conditions among them nothing is loaded. */
  prepare(policies: Iterable<Auditable>): Promise<void>;
  check(policy: Auditable, object: Audited, served: Served): Checked;
};

/** The API server takes qualified names, which are not longer. */
const MAX_NAME = 317;

const MATCHING: Checked = { kind: "matching" };

/**
 * Milliseconds that a policy's conditions may take in one run over all objects of a namespace, and that those of all policies
 * of a namespace may; then every object that is left gets an error for these policies. Usual conditions take microseconds each.
 * What conditions take depends on the object too, so that one tenant's objects must not use up what a cluster-wide policy has for
 * another's.
 */
export const MAX_POLICY_MS = 60_000;
export const MAX_NAMESPACE_MS = 300_000;

/** CEL as Kubernetes has it in matchConditions. */
export async function celEnvironment(): Promise<Environment> {
  const [{ Environment }, { RE2JS }] = await Promise.all([loadCel(), loadRe2()]);
  // The package's parser alone: its evaluator has no limit on cost, and keeps every type that it meets for ever.
  const parser = new Environment({ unlistedVariablesAreDyn: true, enableOptionalTypes: true });
  const functions = functionsOf([
    standardLibrary((value) => functions.typeOf(value)),
    stringLibrary((value) => functions.typeOf(value)),
    listLibrary((a, b, meter) => equal(a, b, meter)),
    patternLibrary((pattern) => RE2JS.compile(pattern)),
    TIMES,
    QUANTITIES,
    NETWORK,
    NAMED_FORMATS,
  ]);
  const equal = equalityOf(functions);
  return {
    parse: (expression) => parser.parse(expression).ast as unknown as Node,
    variables: ["object", "oldObject", "request"],
    functions,
  };
}

/** The request that a webhook would get; an audit has no user, so whoever asks for one sees none (spec/audit.md §9). */
function requestOf({ name, namespace, uid, kind }: Audited, { group, version, plural }: Served): object {
  const gvk = { group, version, kind };
  const gvr = { group, version, resource: plural };
  return {
    uid,
    kind: gvk,
    resource: gvr,
    subResource: "",
    requestKind: gvk,
    requestResource: gvr,
    requestSubResource: "",
    name,
    namespace: namespace ?? "",
    operation: "CREATE",
    userInfo: { username: "", uid: "", groups: [], extra: {} },
    dryRun: false,
    options: null,
  };
}

/**
 * The conditions of all policies of a run. What exceeds its limits is an error, as for the API server, and never a match or an
 * exclusion; `now` is in milliseconds.
 */
export function matchConditions(now: () => number = () => performance.now()): Conditions {
  let environment: Environment | undefined;
  const compiled = new Map<string, Condition>();
  /** What objects read as, or why they can't be read: another policy does not try again. */
  const sources = new WeakMap<Audited, CelSource | { readonly error: string }>();
  /** Milliseconds by policy and namespace of the object, and by the policy's own; it is made ready anew for each part of a run. */
  const spent = { policies: new Map<string, number>(), namespaces: new Map<string, number>() };
  const sourceOf = (object: Audited, meter: Meter) => {
    let source = sources.get(object);
    if (source === undefined) {
      try {
        source = celSource(object.text, meter.checkTime);
      } catch (error) {
        source = { error: error instanceof Error ? error.message : String(error) };
      }
      sources.set(object, source);
    }
    return source;
  };
  const conditionOf = (expression: string) => {
    let condition = compiled.get(expression);
    if (condition === undefined) {
      compiled.set(expression, condition = compileCondition(environment!, expression));
    }
    return condition;
  };

  function evaluate({ conditions }: Auditable, object: Audited, served: Served): Checked {
    // What an object takes to be read is paid from the policy's time, too.
    const meter = createMeter(now);
    const source = sourceOf(object, meter);
    if ("error" in source) {
      return { kind: "problem", message: `the match conditions cannot be evaluated: ${source.error}` };
    }
    const variables = { object: source.value, oldObject: null, request: requestOf(object, served) };
    let problem: Checked | undefined;
    // One that is false excludes the object whatever the others come to, as for a webhook.
    for (const { name, expression } of conditions) {
      const verdict = conditionOf(expression)(variables, meter);
      if (verdict.kind === "problem") {
        problem ??= {
          kind: "problem",
          message: `the match condition ${
            JSON.stringify(name.slice(0, MAX_NAME))
          } cannot be evaluated: ${verdict.message}`,
        };
      } else if (!verdict.value) return { kind: "excluded" };
    }
    return problem ?? MATCHING;
  }

  return {
    async prepare(policies) {
      if (environment !== undefined) return;
      for (const { conditions } of policies) {
        if (conditions.length > 0) environment ??= await celEnvironment();
      }
    },
    check(policy, object, served) {
      const { length } = policy.conditions;
      if (length === 0) return MATCHING;
      if (length > MAX_CONDITIONS) {
        return {
          kind: "problem",
          message: `the policy has ${length} match conditions; the limit is ${MAX_CONDITIONS}`,
        };
      }
      const { id, policy: { metadata: { namespace = "" } } } = policy;
      const pair = `${object.namespace ?? ""} ${id}`;
      const byPolicy = spent.policies.get(pair) ?? 0;
      const byNamespace = namespace === "" ? 0 : spent.namespaces.get(namespace) ?? 0;
      const exceeded = byPolicy > MAX_POLICY_MS
        ? `the policy's match conditions have taken more than ${
          MAX_POLICY_MS / 1000
        } s in this run on objects of the namespace`
        : byNamespace > MAX_NAMESPACE_MS
        ? `the match conditions of the namespace's policies have taken more than ${
          MAX_NAMESPACE_MS / 1000
        } s in this run`
        : undefined;
      if (exceeded !== undefined) return { kind: "problem", message: `${exceeded}; make them simpler` };
      const began = now();
      const checked = evaluate(policy, object, served);
      const ms = now() - began;
      spent.policies.set(pair, byPolicy + ms);
      if (namespace !== "") spent.namespaces.set(namespace, byNamespace + ms);
      return checked;
    },
  };
}
