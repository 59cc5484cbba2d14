/** A group of policies as a value to call: members joined by an expression, as in an AdmissionPolicyGroup. */
import type { PolicyEvaluator } from "../../evaluator/apply/inline.ts";
import { type Expression, readExpression } from "../../evaluator/render/group_expression.ts";
import type { Review } from "../../evaluator/render/review.ts";
import type { Verdict } from "../../evaluator/types/evaluation.ts";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { checkGroup } from "../render/check_options.ts";
import { groupVerdict, type MemberAnswer } from "../render/group_verdict.ts";
import type { ResponseRules } from "../types/admission.ts";
import type { GroupMember, PolicyGroupOptions } from "../types/options.ts";
import { PolicyError } from "../types/policy_error.ts";
import { Evaluated } from "./evaluated.ts";
import { LogStream } from "./log_stream.ts";
import { type LoadedModule, loadModule, openEvaluator } from "./open_evaluator.ts";
import { readModule } from "./read_module.ts";

/** A loaded group. Close it, or declare it with `await using`, to end its threads. Its members' changes are refused. */
export class PolicyGroup extends Evaluated {
  /** What the members' modules say of themselves, by the members' names. */
  readonly metadata: ReadonlyMap<string, PolicyMetadata>;
  readonly #evaluator: PolicyEvaluator;
  readonly #members: ReadonlyMap<string, LoadedModule>;
  readonly #expression: Expression;
  readonly #rules: { readonly name: string; readonly message: string };

  private constructor(
    members: ReadonlyMap<string, LoadedModule>,
    expression: Expression,
    evaluator: PolicyEvaluator,
    logs: LogStream,
    rules: ResponseRules,
    message: string,
  ) {
    super(
      evaluator,
      logs,
      rules,
      [...members.values()].every(({ metadata }) => metadata.policyType === "raw"),
    );
    this.metadata = new Map([...members].map(([name, { metadata }]) => [name, metadata]));
    this.#evaluator = evaluator;
    this.#members = members;
    this.#expression = expression;
    this.#rules = { name: rules.policy, message };
  }

  /** Loads a group; all members share its threads. Throws {@link PolicyError} or `ModuleError`. */
  static async load(
    members: Readonly<Record<string, GroupMember>>,
    options: PolicyGroupOptions,
  ): Promise<PolicyGroup> {
    checkGroup(members, options);
    const { name = "group", mode = "protect" } = options;
    const names = Object.keys(members);
    const expression = await readExpression(options.expression, names);
    if (typeof expression === "string") throw new PolicyError("invalid_group", `${name}: ${expression}`);
    const logs = new LogStream(options.onLog);
    const evaluator = await openEvaluator(options, (entry) => logs.add(entry));
    try {
      const loaded = new Map<string, LoadedModule>();
      for (const [member, given] of Object.entries(members)) {
        const bytes = await readModule(given.policy);
        loaded.set(member, await loadModule(evaluator, bytes, member, given, options));
      }
      const raw = [...loaded.values()].filter(({ metadata }) => metadata.policyType === "raw").length;
      if (raw > 0 && raw < loaded.size) {
        throw new PolicyError(
          "invalid_group",
          `${name}: raw policies and others can't be members of one group`,
        );
      }
      const rules = { policy: name, mode, message: null, allowedToMutate: false };
      return new PolicyGroup(loaded, expression, evaluator, logs, rules, options.message);
    } catch (error) {
      await evaluator.close();
      throw error;
    }
  }

  /** @internal */
  protected override verdict(review: Review): Promise<Verdict> {
    return groupVerdict(this.#rules, this.#expression, async (name): Promise<MemberAnswer> => {
      const outcome = await this.#evaluator.validate(this.#members.get(name)!.policy, review);
      if (outcome.kind === "verdict") return outcome;
      this.checkOpen();
      return {
        kind: "error",
        message: outcome.kind === "error" ? outcome.message : `unexpected outcome ${outcome.kind}`,
      };
    });
  }
}
