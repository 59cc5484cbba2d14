/** Execution mode `gatekeeper`: Rego policies that answer with a list of violations (`spec/evaluator.md §7.4`). */
import type { RegoModule } from "../apply/rego_module.ts";
import { gatekeeperVerdict } from "../render/rego_verdict.ts";
import {
  type EvaluationRequest,
  failure,
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

class GatekeeperGuest implements Guest {
  readonly #host: GuestHost;
  readonly #module: RegoModule;

  constructor(host: GuestHost, module: RegoModule) {
    this.#host = host;
    this.#module = module;
  }

  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict {
    // What a mutation of a raw request is compared with is all of it; an AdmissionRequest's object stands within.
    if (request.object?.[0] === 0) {
      return failure("internal server error: Gatekeeper does not support raw validation requests");
    }
    // The inventory is waited for within the same limit.
    this.#host.arm(policy.limitMs);
    const resources = policy.contextAwareResources ?? [];
    let data: readonly Uint8Array[] = [NO_DATA];
    if (resources.length > 0) {
      const inventory = this.#host.inventory({ form: "gatekeeper", resources });
      if (this.#host.expired()) return failure(TEXT.regoInterrupted);
      if (!inventory.ok) return failure(inventory.error);
      data = [BEFORE_INVENTORY, inventory.payload, END];
    }
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
}

/** Makes guests of Gatekeeper's kind. */
export const gatekeeper: Runtime = async (prepared, limitMs, host) => {
  // The builtins are large; threads that run no Rego do without.
  const { RegoModule } = await import("../apply/rego_module.ts");
  return new GatekeeperGuest(host, await RegoModule.instantiate(prepared, limitMs, host));
};
