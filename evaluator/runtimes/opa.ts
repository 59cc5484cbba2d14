/** Execution mode `opa`: Rego policies that answer with an AdmissionResponse (`spec/evaluator.md §7.3`). */
import type { RegoData, RegoModule } from "../apply/rego_module.ts";
import { opaData } from "../render/rego_documents.ts";
import { opaVerdict } from "../render/rego_verdict.ts";
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
const BEFORE_REQUEST = encoder.encode('{"request":');
const END = encoder.encode("}");

class OpaGuest implements Guest {
  readonly #host: GuestHost;
  readonly #module: RegoModule;
  /** For the evaluation that comes next. */
  #inventory: HostCallAnswer | undefined;

  constructor(host: GuestHost, module: RegoModule) {
    this.#host = host;
    this.#module = module;
  }

  prepare(_request: EvaluationRequest, policy: EvaluablePolicy): boolean {
    // The inventory is waited for within the limit.
    this.#host.arm(policy.limitMs);
    const resources = policy.contextAwareResources ?? [];
    this.#inventory = resources.length === 0 ? undefined : this.#host.inventory({ form: "opa", resources });
    // What is refused without being evaluated leaves what is held.
    return this.#inventory?.ok ? this.#module.accepts(this.#inventory.version) : true;
  }

  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict {
    const inventory = this.#inventory;
    this.#inventory = undefined;
    if (this.#host.expired()) return failure(TEXT.regoInterrupted);
    let data: RegoData = { pieces: [policy.settings], version: undefined };
    if (inventory?.ok === false) return failure(inventory.error);
    if (inventory) {
      const { pieces, overwritten } = opaData(policy.settings, inventory.payload);
      data = { pieces, version: inventory.version };
      if (overwritten) {
        this.#host.log({
          level: "warn",
          message: "the setting `kubernetes` is overwritten by the policy's context-aware data",
          data: undefined,
        });
      }
    }
    const result = this.#module.evaluate(data, [BEFORE_REQUEST, request.json, END]);
    switch (result.kind) {
      case "interrupted":
        return failure(TEXT.regoInterrupted);
      case "failed":
        return failure(`internal server error: ${result.error}`);
      case "result":
        return opaVerdict(result.json, {
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

/** Makes guests of OPA's kind. */
export const opa: Runtime = async (prepared, limitMs, host) => {
  // The builtins are large; threads that run no Rego do without.
  const { RegoModule } = await import("../apply/rego_module.ts");
  return new OpaGuest(host, await RegoModule.instantiate(prepared, limitMs, host));
};
