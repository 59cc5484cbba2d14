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
import { errorText } from "../render/log_line.ts";
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
const problem = (message: string): Checked => ({ kind: "problem", message });

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

type Source = CelSource | { readonly error: string };

/** What objects read as for CEL, or why they can't be read: another policy does not try again. */
function objectSources(): (object: Audited, meter: Meter) => Source {
  const sources = new WeakMap<Audited, Source>();
  return (object, meter) => {
    let source = sources.get(object);
    if (source === undefined) {
      try {
        source = celSource(object.text, meter.checkTime);
      } catch (error) {
        source = { error: errorText(error) };
      }
      sources.set(object, source);
    }
    return source;
  };
}

/** The time that conditions have taken: by policy and namespace of the object, and by the policy's own namespace. */
class TimeSpent {
  readonly #policies = new Map<string, number>();
  readonly #namespaces = new Map<string, number>();

  /** What has taken too long, if anything has. */
  exceeded(policy: string, namespace: string): string | undefined {
    if ((this.#policies.get(policy) ?? 0) > MAX_POLICY_MS) {
      const seconds = MAX_POLICY_MS / 1000;
      return `the policy's match conditions have taken more than ${seconds} s in this run on objects of the namespace`;
    }
    if ((this.#namespaces.get(namespace) ?? 0) > MAX_NAMESPACE_MS) {
      const seconds = MAX_NAMESPACE_MS / 1000;
      return `the match conditions of the namespace's policies have taken more than ${seconds} s in this run`;
    }
    return undefined;
  }

  add(policy: string, namespace: string, ms: number): void {
    this.#policies.set(policy, (this.#policies.get(policy) ?? 0) + ms);
    // Cluster-wide policies share none.
    if (namespace !== "") this.#namespaces.set(namespace, (this.#namespaces.get(namespace) ?? 0) + ms);
  }
}

/**
 * The conditions of all policies of a run. What exceeds its limits is an error, as for the API server, and never a match or an
 * exclusion; `now` is in milliseconds.
 */
export function matchConditions(now: () => number = () => performance.now()): Conditions {
  let environment: Environment | undefined;
  const compiled = new Map<string, Condition>();
  const sourceOf = objectSources();
  const spent = new TimeSpent();
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
    if ("error" in source) return problem(`the match conditions cannot be evaluated: ${source.error}`);
    const variables = { object: source.value, oldObject: null, request: requestOf(object, served) };
    let failure: Checked | undefined;
    // One that is false excludes the object whatever the others come to, as for a webhook.
    for (const { name, expression } of conditions) {
      const verdict = conditionOf(expression)(variables, meter);
      if (verdict.kind === "problem") {
        const quoted = JSON.stringify(name.slice(0, MAX_NAME));
        failure ??= problem(`the match condition ${quoted} cannot be evaluated: ${verdict.message}`);
      } else if (!verdict.value) return { kind: "excluded" };
    }
    return failure ?? MATCHING;
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
        return problem(`the policy has ${length} match conditions; the limit is ${MAX_CONDITIONS}`);
      }
      const { id, policy: { metadata: { namespace = "" } } } = policy;
      const pair = `${object.namespace ?? ""} ${id}`;
      const exceeded = spent.exceeded(pair, namespace);
      if (exceeded !== undefined) return problem(`${exceeded}; make them simpler`);
      const began = now();
      const checked = evaluate(policy, object, served);
      spent.add(pair, namespace, now() - began);
      return checked;
    },
  };
}
