/**
 * matchConditions of policies: which objects admission would not show to a policy. The original ignores them and so reports
 * on objects that admission never judges (issue 8).
 */
import { type CelEnvironment, loadCel, loadRe2 } from "../../deps.ts";
import { compileCondition, type Condition } from "../render/cel/conditions.ts";
import { formatLibrary } from "../render/cel/formats.ts";
import { install } from "../render/cel/library.ts";
import { LISTS } from "../render/cel/lists.ts";
import { NETWORK, NETWORK_EQUALITY } from "../render/cel/network.ts";
import { QUANTITIES, QUANTITY_EQUALITY } from "../render/cel/quantity.ts";
import { stringLibrary } from "../render/cel/strings.ts";
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

const MATCHING: Checked = { kind: "matching" };

/** CEL as Kubernetes has it in matchConditions. */
export async function celEnvironment(): Promise<CelEnvironment> {
  const [{ Environment, Optional }, { RE2JS }] = await Promise.all([loadCel(), loadRe2()]);
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
  });
  for (const name of ["object", "oldObject", "request", "authorizer"]) {
    environment.registerVariable(name, "dyn");
  }
  install(environment, LISTS);
  install(environment, stringLibrary((pattern) => RE2JS.compile(pattern)));
  install(environment, QUANTITIES);
  install(environment, NETWORK);
  install(environment, formatLibrary(() => Optional.none(), (value) => Optional.of(value)));
  for (const [type, same] of Object.entries({ ...QUANTITY_EQUALITY, ...NETWORK_EQUALITY })) {
    environment.registerOperator(`${type} == ${type}`, same as never);
  }
  return environment;
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

/** The conditions of all policies of a run. */
export function matchConditions(): Conditions {
  let environment: CelEnvironment | undefined;
  const compiled = new Map<string, Condition>();
  const sources = new WeakMap<Audited, CelSource>();
  const sourceOf = (object: Audited) => {
    let source = sources.get(object);
    if (source === undefined) sources.set(object, source = celSource(object.text));
    return source;
  };
  const conditionOf = (expression: string) => {
    let condition = compiled.get(expression);
    if (condition === undefined) {
      compiled.set(expression, condition = compileCondition(environment!, expression));
    }
    return condition;
  };
  return {
    async prepare(policies) {
      if (environment !== undefined) return;
      for (const { conditions } of policies) {
        if (conditions.length > 0) environment ??= await celEnvironment();
      }
    },
    check({ conditions }, object, served) {
      if (conditions.length === 0) return MATCHING;
      const source = sourceOf(object);
      const variables = {
        object: source.value,
        oldObject: null,
        request: requestOf(object, served),
        authorizer: null,
      };
      let problem: Checked | undefined;
      // One that is false excludes the object whatever the others come to, as for a webhook.
      for (const { name, expression } of conditions) {
        const verdict = conditionOf(expression)(source, variables);
        if (verdict.kind === "problem") {
          problem ??= {
            kind: "problem",
            message: `the match condition ${JSON.stringify(name)} cannot be evaluated: ${verdict.message}`,
          };
        } else if (!verdict.value) return { kind: "excluded" };
      }
      return problem ?? MATCHING;
    },
  };
}
