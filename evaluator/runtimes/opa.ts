/** Execution mode `opa`: Rego policies that answer with an AdmissionResponse (`spec/evaluator.md §7.3`). */
import type { RegoModule } from "../apply/rego_module.ts";
import { opaData } from "../render/rego_documents.ts";
import { opaVerdict } from "../render/rego_verdict.ts";
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
const BEFORE_REQUEST = encoder.encode('{"request":');
const END = encoder.encode("}");

class OpaGuest implements Guest {
  readonly #host: GuestHost;
  readonly #module: RegoModule;

  constructor(host: GuestHost, module: RegoModule) {
    this.#host = host;
    this.#module = module;
  }

  validate(request: EvaluationRequest, policy: EvaluablePolicy): Verdict {
    // The inventory is waited for within the same limit.
    this.#host.arm(policy.limitMs);
    const resources = policy.contextAwareResources ?? [];
    let data: readonly Uint8Array[] = [policy.settings];
    if (resources.length > 0) {
      const inventory = this.#host.inventory({ form: "opa", resources });
      if (this.#host.expired()) return failure(TEXT.regoInterrupted);
      if (!inventory.ok) return failure(inventory.error);
      const { pieces, overwritten } = opaData(policy.settings, inventory.payload);
      data = pieces;
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
}

/** Makes guests of OPA's kind. */
export const opa: Runtime = async (prepared, limitMs, host) => {
  // The builtins are large; threads that run no Rego do without.
  const { RegoModule } = await import("../apply/rego_module.ts");
  return new OpaGuest(host, await RegoModule.instantiate(prepared, limitMs, host));
};
