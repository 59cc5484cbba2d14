/** Execution mode `gatekeeper`: Rego policies that answer with a list of violations (`spec/evaluator.md §7.4`). */
import type { RegoModule } from "../apply/rego_module.ts";
import { gatekeeperVerdict } from "../render/rego_verdict.ts";
import {
  type EvaluationRequest,
  failure,
  type HostCallAnswer,
  type SettingsVerdict,
  TEXT,
  type Verdict,
} from "../types/evaluation.ts";
import type { Guest, GuestHost, Runtime } from "../types/guest.ts";
import type { EvaluablePolicy } from "../types/policy.ts";

const encoder = new TextEncoder();
const BEFORE_PARAMETERS = encoder.encode('{"parameters":');
const BEFORE_REVIEW = encoder.encode(',"review":');
const BEFORE_INVENTORY = encoder.encode('{"inventory":');
const END = encoder.encode("}");
const NO_DATA = encoder.encode("{}");

/** What a mutation of a raw request is compared with is all of it; an AdmissionRequest's object stands within. */
const isRaw = ({ object }: EvaluationRequest): boolean => object?.[0] === 0;

class GatekeeperGuest implements Guest {
  readonly #host: GuestHost;
  readonly #module: RegoModule;
  /** For the evaluation that comes next. */
  #inventory: HostCallAnswer | undefined;

  constructor(host: GuestHost, module: RegoModule) {
    this.#host = host;
    this.#module = module;
  }

  prepare(request: EvaluationRequest, policy: EvaluablePolicy): boolean {
    // The inventory is waited for within the limit.
    this.#host.arm(policy.limitMs);
    const resources = policy.contextAwareResources ?? [];
    this.#inventory = isRaw(request) || resources.length === 0
      ? undefined
      : this.#host.inventory({ form: "gatekeeper", resources });
    // What is refused without being evaluated leaves what is held.
    return this.#inventory?.ok ? this.#module.accepts(this.#inventory.version) : true;
  }

  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict {
    if (isRaw(request)) {
      return failure("internal server error: Gatekeeper does not support raw validation requests");
    }
    const inventory = this.#inventory;
    this.#inventory = undefined;
    if (this.#host.expired()) return failure(TEXT.regoInterrupted);
    if (inventory?.ok === false) return failure(inventory.error);
    const data = {
      pieces: inventory === undefined ? [NO_DATA] : [BEFORE_INVENTORY, inventory.payload, END],
      version: inventory?.version,
    };
    const input = [BEFORE_PARAMETERS, policy.settings, BEFORE_REVIEW, request.json, END];
    const result = this.#module.evaluate(data, input);
    switch (result.kind) {
      case "interrupted":
        return failure(TEXT.regoInterrupted);
      case "failed":
        return failure(`internal server error: ${result.error}`);
      case "result":
        return gatekeeperVerdict(result.json, {
          entryPoints: () => this.#module.entryPoints(),
          note: (message) => this.#host.log({ level: "warn", message, data: undefined }),
        });
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

/** Makes guests of Gatekeeper's kind. */
export const gatekeeper: Runtime = async (prepared, limitMs, host) => {
  // The builtins are large; threads that run no Rego do without.
  const { RegoModule } = await import("../apply/rego_module.ts");
  return new GatekeeperGuest(host, await RegoModule.instantiate(prepared, limitMs, host));
};
