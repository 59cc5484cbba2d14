/**
 * Evaluates in the calling thread, which is there already, and in a thread of its own only what can't be done here: what asks the
 * host something while answers have to be waited for, what takes long, and guests that want more call stack than this thread has.
 * Evaluations know nothing of earlier ones, so that one can be begun anew.
 */
import type { HostCallHandler, PolicyLogEntry } from "../types/evaluation.ts";
import type { PreparedModule } from "../types/module.ts";
import type { EvaluablePolicy } from "../types/policy.ts";
import type { Outcome } from "../types/protocol.ts";
import type { InlineEvaluator, PolicyEvaluator } from "./inline.ts";
import { DEEP_THREADS, type PiecedRequest } from "./pool.ts";

/** What is evaluated here, and what in a thread. */
export interface InlineFirstOptions {
  /** What evaluates here. The engine is large; who has threads to evaluate in need not load it. */
  readonly Inline: typeof InlineEvaluator;
  /** Starts the thread that takes what can't be evaluated here; called at most once. */
  readonly openPool: () => Promise<PolicyEvaluator>;
  /** What takes longer here is begun anew in a thread, in milliseconds; `Infinity`: nothing is. */
  readonly inlineMs: number;
  /** Whether handlers answer host calls at once. Otherwise an evaluation that asks anything is begun anew in a thread. */
  readonly answersAtOnce: boolean;
  /** Gets what policies log, once an evaluation has ended here. */
  readonly onLog: (policy: string, entry: PolicyLogEntry) => void;
}

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
  #pool: Promise<PolicyEvaluator> | undefined;
  /** Whether the running evaluation asked the host something. */
  #asked = false;
  #logged: PolicyLogEntry[] = [];
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: InlineFirstOptions) {
    this.#options = options;
    this.#inline = new options.Inline((_, entry) => void this.#logged.push(entry));
  }

  addModule(module: PreparedModule): number {
    const id = this.#inline.addModule(module);
    this.#modules.set(id, module);
    return id;
  }

  addPolicy(policy: EvaluablePolicy, handler: HostCallHandler): number {
    const { inlineMs, answersAtOnce } = this.#options;
    const limitMs = Math.min(policy.limitMs, inlineMs);
    const id = this.#inline.addPolicy({ ...policy, limitMs }, (call) => {
      this.#asked = true;
      return answersAtOnce ? handler(call) : { ok: false, error: "asked again in a thread" };
    });
    this.#policies.set(id, { policy, handler, pooled: undefined });
    return id;
  }

  remove(policies: readonly number[], modules: readonly number[]): void {
    this.#inline.remove(policies, modules);
    const pooled = policies.flatMap((id) => this.#policies.get(id)?.pooled ?? []);
    const pooledModules = modules.flatMap((id) => this.#pooledModules.get(id) ?? []);
    for (const id of policies) this.#policies.delete(id);
    for (const id of modules) {
      this.#modules.delete(id);
      this.#pooledModules.delete(id);
    }
    this.#pool?.then((pool) => pool.remove(pooled, pooledModules)).catch(() => {});
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
    await (await this.#pool?.catch(() => undefined))?.close();
  }

  #inTurn(policy: number, ask: Ask): Promise<Outcome> {
    const outcome = this.#last.then(() => this.#evaluate(policy, ask));
    this.#last = outcome.catch(() => {});
    return outcome;
  }

  async #evaluate(id: number, ask: Ask): Promise<Outcome> {
    const known = this.#policies.get(id);
    if (!known) return { kind: "error", message: "the policy was removed" };
    if (known.pooled !== undefined) return await ask(await this.#openPool(), known.pooled);
    const { inlineMs, answersAtOnce, onLog } = this.#options;
    this.#asked = false;
    this.#logged = [];
    const started = performance.now();
    const outcome = await ask(this.#inline, id);
    const inTime = performance.now() - started < inlineMs || known.policy.limitMs <= inlineMs;
    // What the host has answered already it may not answer a second time: a session is played back once.
    const deeper = DEEP_THREADS && this.#inline.exhausted && !(answersAtOnce && this.#asked);
    const settled = () => {
      for (const entry of this.#logged) onLog(known.policy.id, entry);
      return outcome;
    };
    const here = inTime && (answersAtOnce || !this.#asked);
    if (here && !deeper) return settled();
    const pool = await this.#openPool();
    known.pooled = pool.addPolicy(
      { ...known.policy, module: this.#pooledModule(pool, known.policy.module) },
      known.handler,
    );
    const anew = await ask(pool, known.pooled);
    // Where no thread can be had, what was found here is right all the same.
    return here && anew.kind === "error" ? settled() : anew;
  }

  #openPool(): Promise<PolicyEvaluator> {
    return this.#pool ??= this.#options.openPool();
  }

  #pooledModule(pool: PolicyEvaluator, id: number): number {
    let pooled = this.#pooledModules.get(id);
    if (pooled === undefined) {
      this.#pooledModules.set(id, pooled = pool.addModule(this.#modules.get(id)!));
    }
    return pooled;
  }
}
