/**
 * Evaluates in the calling thread, which is there already, and in a thread of its own only what asks the host something or takes
 * long: a guest has to wait for the host's answer, and this thread is the one that gets it, and hears of Ctrl-C. A process that
 * runs one policy once starts much sooner this way. Evaluations know nothing of earlier ones, so that one can be begun anew.
 */
import { InlineEvaluator, type PolicyEvaluator } from "../../evaluator/apply/inline.ts";
import { EvaluatorPool, type PiecedRequest } from "../../evaluator/apply/pool.ts";
import { workerUrl } from "../../evaluator/apply/worker_url.ts";
import type { HostCallHandler, PolicyLogEntry } from "../../evaluator/types/evaluation.ts";
import type { PreparedModule } from "../../evaluator/types/module.ts";
import type { EvaluablePolicy } from "../../evaluator/types/policy.ts";
import type { Outcome } from "../../evaluator/types/protocol.ts";

export interface InlineFirstOptions {
  /** Gets what policies log. */
  readonly onLog: (policy: string, entry: PolicyLogEntry) => void;
  readonly onThreadError: (message: string) => void;
}

/** What takes longer in the calling thread is begun anew in another, in milliseconds. */
const INLINE_MS = 500;

type Known = {
  readonly policy: EvaluablePolicy;
  readonly handler: HostCallHandler;
  pooled: number | undefined;
};
type Ask = (evaluator: PolicyEvaluator, policy: number) => Promise<Outcome>;

/** One evaluation after the other; see above. */
export class InlineFirstEvaluator implements PolicyEvaluator {
  readonly #options: InlineFirstOptions;
  readonly #inline: InlineEvaluator;
  readonly #modules = new Map<number, PreparedModule>();
  readonly #policies = new Map<number, Known>();
  readonly #pooledModules = new Map<number, number>();
  #pool: EvaluatorPool | undefined;
  /** Whether the running evaluation asked the host something. */
  #asked = false;
  #logged: PolicyLogEntry[] = [];
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: InlineFirstOptions) {
    this.#options = options;
    this.#inline = new InlineEvaluator((_, entry) => void this.#logged.push(entry));
  }

  addModule(module: PreparedModule): number {
    const id = this.#inline.addModule(module);
    this.#modules.set(id, module);
    return id;
  }

  addPolicy(policy: EvaluablePolicy, handler: HostCallHandler): number {
    const limitMs = Math.min(policy.limitMs, INLINE_MS);
    const id = this.#inline.addPolicy({ ...policy, limitMs }, () => {
      this.#asked = true;
      return { ok: false, error: "asked again in a thread" };
    });
    this.#policies.set(id, { policy, handler, pooled: undefined });
    return id;
  }

  remove(policies: readonly number[], modules: readonly number[]): void {
    this.#inline.remove(policies, modules);
    const pooled = policies.flatMap((id) => this.#policies.get(id)?.pooled ?? []);
    this.#pool?.remove(pooled, modules.flatMap((id) => this.#pooledModules.get(id) ?? []));
    for (const id of policies) this.#policies.delete(id);
    for (const id of modules) this.#modules.delete(id);
  }

  validate(policy: number, request: PiecedRequest): Promise<Outcome> {
    return this.#inTurn(policy, (evaluator, id) => evaluator.validate(id, request));
  }

  validateSettings(policy: number): Promise<Outcome> {
    return this.#inTurn(policy, (evaluator, id) => evaluator.validateSettings(id));
  }

  protocolVersion(policy: number): Promise<Outcome> {
    return this.#inTurn(policy, (evaluator, id) => evaluator.protocolVersion(id));
  }

  async close(): Promise<void> {
    await this.#last.catch(() => {});
    await this.#inline.close();
    await this.#pool?.close();
  }

  #inTurn(policy: number, ask: Ask): Promise<Outcome> {
    const outcome = this.#last.then(() => this.#evaluate(policy, ask));
    this.#last = outcome.catch(() => {});
    return outcome;
  }

  async #evaluate(id: number, ask: Ask): Promise<Outcome> {
    const known = this.#policies.get(id);
    if (!known) return { kind: "error", message: "the policy was removed" };
    if (known.pooled === undefined) {
      this.#asked = false;
      this.#logged = [];
      const started = performance.now();
      const outcome = await ask(this.#inline, id);
      const inTime = performance.now() - started < INLINE_MS || known.policy.limitMs <= INLINE_MS;
      if (!this.#asked && inTime) {
        for (const entry of this.#logged) this.#options.onLog(known.policy.id, entry);
        return outcome;
      }
      const pool = await this.#openPool();
      known.pooled = pool.addPolicy(
        { ...known.policy, module: this.#pooledModule(pool, known.policy.module) },
        known.handler,
      );
    }
    return await ask(await this.#openPool(), known.pooled);
  }

  async #openPool(): Promise<EvaluatorPool> {
    return this.#pool ??= new EvaluatorPool({
      worker: await workerUrl(),
      threads: 1,
      spare: false,
      ownProcess: true,
      ...this.#options,
    });
  }

  #pooledModule(pool: EvaluatorPool, id: number): number {
    let pooled = this.#pooledModules.get(id);
    if (pooled === undefined) {
      this.#pooledModules.set(id, pooled = pool.addModule(this.#modules.get(id)!));
    }
    return pooled;
  }
}
