/** Evaluates in the calling thread: for short scripts, where threads would cost more than they give. */
import { joined } from "../../program/types/bytes.ts";
import type {
  EvaluationRequest,
  HostCallAnswer,
  HostCallHandler,
  PolicyLogEntry,
} from "../types/evaluation.ts";
import type { PreparedModule } from "../types/module.ts";
import type { EvaluablePolicy } from "../types/policy.ts";
import type { Operation, Outcome } from "../types/protocol.ts";
import { Deadline } from "./deadline.ts";
import { Engine } from "./engine.ts";
import type { PiecedRequest } from "./pool.ts";
import { sleep } from "./sleep.ts";
import { needStackRoom } from "./stack_room.ts";

/** What pools and inline evaluators have in common. */
export interface PolicyEvaluator {
  addModule(module: PreparedModule): number;
  addPolicy(policy: EvaluablePolicy, handler: HostCallHandler): number;
  remove(policies: readonly number[], modules: readonly number[]): void;
  validate(policy: number, request: PiecedRequest): Promise<Outcome>;
  validateSettings(policy: number): Promise<Outcome>;
  protocolVersion(policy: number): Promise<Outcome>;
  close(): Promise<void>;
}

/** The pieces of a request as one. */
export function joinRequest({ pieces, length, object }: PiecedRequest): EvaluationRequest {
  return { json: joined(pieces, length), object };
}

/** An evaluator without threads. Host calls must be answered at once: the guest can't wait for a promise here. */
export class InlineEvaluator implements PolicyEvaluator {
  readonly #engine: Engine;
  readonly #handlers = new Map<number, HostCallHandler>();
  #ids = 0;
  /** One call at a time: the next waits for the one before. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(onLog: (policy: number, entry: PolicyLogEntry) => void = () => {}) {
    const deadline = new Deadline();
    this.#engine = new Engine({
      call: (policy, call) => this.#answer(policy, call),
      log: (policy, entry) => {
        // Whoever embeds the evaluator gets this in the midst of the guest.
        needStackRoom();
        onLog(policy, entry);
      },
      // Blocks this thread, as everything here does.
      sleep,
    }, deadline);
  }

  #answer(policy: number, call: Parameters<HostCallHandler>[0]): HostCallAnswer {
    const answer = this.#handlers.get(policy)?.(call);
    if (answer === undefined || answer instanceof Promise) {
      answer?.catch(() => {});
      return {
        ok: false,
        error:
          "Cannot process Wasm guest request: callback channel not provided (host calls need worker threads)",
      };
    }
    return answer;
  }

  /** Whether the last evaluation wanted more of this thread's call stack than there is. */
  get exhausted(): boolean {
    return this.#engine.exhausted;
  }

  addModule(module: PreparedModule): number {
    this.#engine.addModule(++this.#ids, module);
    return this.#ids;
  }

  addPolicy(policy: EvaluablePolicy, handler: HostCallHandler): number {
    this.#handlers.set(++this.#ids, handler);
    this.#engine.addPolicy(this.#ids, policy);
    return this.#ids;
  }

  remove(policies: readonly number[], modules: readonly number[]): void {
    this.#engine.remove(policies, modules);
    for (const policy of policies) this.#handlers.delete(policy);
  }

  #run(policy: number, operation: Operation, request?: PiecedRequest): Promise<Outcome> {
    const outcome = this.#last.then(async () => {
      const result = await this.#engine.run(policy, operation, request && joinRequest(request));
      if (this.#engine.tidy() === 0) await this.#engine.collect();
      return result;
    });
    this.#last = outcome;
    return outcome;
  }

  validate(policy: number, request: PiecedRequest): Promise<Outcome> {
    return this.#run(policy, "validate", request);
  }

  validateSettings(policy: number): Promise<Outcome> {
    return this.#run(policy, "validate_settings");
  }

  protocolVersion(policy: number): Promise<Outcome> {
    return this.#run(policy, "protocol_version");
  }

  async close(): Promise<void> {
    await this.#last;
  }
}
