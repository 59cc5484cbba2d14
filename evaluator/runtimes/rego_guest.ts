/** What the two execution modes of Rego share: how a guest comes by what it may see of the cluster, and how it ends. */
import type { RegoData, RegoModule } from "../apply/rego_module.ts";
import type { RegoContext } from "../render/rego_verdict.ts";
import {
  type EvaluationRequest,
  failure,
  type HostCallAnswer,
  type InventoryRequest,
  type SettingsVerdict,
  TEXT,
  type Verdict,
} from "../types/evaluation.ts";
import type { Guest, GuestHost, Runtime } from "../types/guest.ts";
import type { EvaluablePolicy } from "../types/policy.ts";

/** What they differ in. */
export interface RegoDialect {
  readonly form: InventoryRequest["form"];
  /** Why a request is not evaluated at all; undefined if it is. */
  readonly refusal: (request: EvaluationRequest) => string | undefined;
  /** The document `data`; `inventory` is what the policy sees of the cluster, if it was granted anything. */
  readonly data: (
    policy: EvaluablePolicy,
    inventory: Uint8Array | undefined,
    warn: (message: string) => void,
  ) => readonly Uint8Array[];
  /** The pieces of the document `input`. */
  readonly input: (policy: EvaluablePolicy, request: Uint8Array) => readonly Uint8Array[];
  readonly verdict: (json: Uint8Array, context: RegoContext) => Verdict;
}

class RegoGuest implements Guest {
  readonly #dialect: RegoDialect;
  readonly #host: GuestHost;
  readonly #module: RegoModule;
  /** For the evaluation that comes next. */
  #inventory: HostCallAnswer | undefined;

  constructor(dialect: RegoDialect, host: GuestHost, module: RegoModule) {
    this.#dialect = dialect;
    this.#host = host;
    this.#module = module;
  }

  prepare(request: EvaluationRequest, policy: EvaluablePolicy): boolean {
    const { form, refusal } = this.#dialect;
    // The inventory is waited for within the limit.
    this.#host.arm(policy.limitMs);
    const resources = policy.contextAwareResources ?? [];
    this.#inventory = resources.length === 0 || refusal(request) !== undefined
      ? undefined
      : this.#host.inventory({ form, resources });
    // What is refused without being evaluated leaves what is held.
    return this.#inventory?.ok ? this.#module.accepts(this.#inventory.version) : true;
  }

  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict {
    const { refusal, input, verdict } = this.#dialect;
    const refused = refusal(request);
    if (refused !== undefined) return failure(refused);
    const inventory = this.#inventory;
    this.#inventory = undefined;
    if (this.#host.expired()) return failure(TEXT.regoInterrupted);
    if (inventory?.ok === false) return failure(inventory.error);
    const warn = (message: string) => this.#host.log({ level: "warn", message, data: undefined });
    const data: RegoData = {
      pieces: this.#dialect.data(policy, inventory?.payload, warn),
      version: inventory?.version,
    };
    const result = this.#module.evaluate(data, input(policy, request.json));
    switch (result.kind) {
      case "interrupted":
        return failure(TEXT.regoInterrupted);
      case "failed":
        return failure(`internal server error: ${result.error}`);
      case "result":
        this.#host.answered(result.json.length);
        return verdict(result.json, { entryPoints: () => this.#module.entryPoints(), note: warn });
    }
  }

  validateSettings(): SettingsVerdict {
    return { valid: true };
  }

  protocolVersion(): string {
    throw new Error("protocol_version is only applicable to a Kubewarden policy");
  }

  restore(): boolean {
    return this.#module.restore();
  }

  preparedBytes(): number {
    return this.#module.heldBytes();
  }
}

/** Makes guests that speak a dialect. */
export const regoRuntime = (dialect: RegoDialect): Runtime => async (prepared, limitMs, host) => {
  // The builtins are large; threads that run no Rego do without.
  const { RegoModule } = await import("../apply/rego_module.ts");
  return new RegoGuest(dialect, host, await RegoModule.instantiate(prepared, limitMs, host));
};
