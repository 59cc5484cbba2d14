/** A policy as a value to call: what the embeddable library hands out (`mod.ts`). */
import type { PolicyEvaluator } from "../../evaluator/apply/inline.ts";
import type { Review } from "../../evaluator/render/review.ts";
import type { SettingsVerdict, Verdict } from "../../evaluator/types/evaluation.ts";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import type { Outcome } from "../../evaluator/types/protocol.ts";
import { checkPolicyOptions } from "../render/check_options.ts";
import type { ResponseRules } from "../types/admission.ts";
import type { PolicyOptions } from "../types/options.ts";
import { PolicyError } from "../types/policy_error.ts";
import { Evaluated } from "./evaluated.ts";
import { LogStream } from "./log_stream.ts";
import { type LoadedModule, loadModule, openEvaluator } from "./open_evaluator.ts";

/** A loaded policy. Close it, or declare it with `await using`, to end its threads. */
export class Policy extends Evaluated {
  /** What the module says of itself. */
  readonly metadata: PolicyMetadata;
  readonly #evaluator: PolicyEvaluator;
  readonly #policy: number;

  private constructor(
    { metadata, policy }: LoadedModule,
    evaluator: PolicyEvaluator,
    logs: LogStream,
    rules: ResponseRules,
  ) {
    super(evaluator, logs, rules, metadata.policyType === "raw");
    this.metadata = metadata;
    this.#evaluator = evaluator;
    this.#policy = policy;
  }

  /** Loads a policy from the bytes of its module. Throws {@link PolicyError} or `ModuleError`. */
  static async fromBytes(module: Uint8Array, options: PolicyOptions = {}): Promise<Policy> {
    checkPolicyOptions(options);
    const { name = "policy", mode = "protect", message = null, allowedToMutate } = options;
    const logs = new LogStream(options.onLog);
    const evaluator = await openEvaluator(options, (entry) => logs.add(entry));
    try {
      const loaded = await loadModule(evaluator, module, name, options, options);
      const rules = {
        policy: name,
        mode,
        message,
        allowedToMutate: allowedToMutate ?? loaded.metadata.mutating,
      };
      return new Policy(loaded, evaluator, logs, rules);
    } catch (error) {
      await evaluator.close();
      throw error;
    }
  }

  /** @internal */
  protected override async verdict(review: Review): Promise<Verdict> {
    const outcome = await this.#evaluator.validate(this.#policy, review);
    if (outcome.kind === "verdict") return outcome.verdict;
    throw unexpected(outcome);
  }

  /** Whether the policy takes the settings it was loaded with. */
  async validateSettings(): Promise<SettingsVerdict> {
    this.checkOpen();
    const outcome = await this.#evaluator.validateSettings(this.#policy);
    if (outcome.kind === "settings") return outcome.settings;
    this.checkOpen();
    throw unexpected(outcome);
  }

  /** The protocol version that the policy answers when it is asked; only waPC and Extism policies can be. */
  async protocolVersion(): Promise<string> {
    this.checkOpen();
    const outcome = await this.#evaluator.protocolVersion(this.#policy);
    if (outcome.kind === "protocol") return outcome.version;
    this.checkOpen();
    throw unexpected(outcome);
  }
}

function unexpected(outcome: Outcome): PolicyError {
  const message = outcome.kind === "error" ? outcome.message : `unexpected outcome ${outcome.kind}`;
  return new PolicyError("not_runnable", message);
}
