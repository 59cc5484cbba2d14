/**
 * Evaluates in the thread that has the request, within a small budget of time, and in the pool what is not done by then, asks the
 * host something, wants to sleep, or has proved slow (`render/placement.ts`). Evaluations know nothing of each other, so that one can
 * be begun anew; what it logged before is forgotten. Whatever is out of the ordinary is the pool's to say: from here come only
 * verdicts of guests that were neither stopped nor short of anything.
 */
import type { PolicyLogEntry } from "../types/evaluation.ts";
import { TEXT } from "../types/evaluation.ts";
import type { PreparedModule } from "../types/module.ts";
import type { EvaluablePolicy } from "../types/policy.ts";
import type { Outcome, ThreadMemory } from "../types/protocol.ts";
import {
  isInPlace,
  type Placement,
  placementAfter,
  type PlacementEvent,
  UNKNOWN,
} from "../render/placement.ts";
import { Deadline, processorTime } from "./deadline.ts";
import { Engine } from "./engine.ts";
import { joinRequest } from "./inline.ts";
import type { EvaluationOptions, PiecedRequest } from "./pool.ts";

/** What the pool says of a request. */
export interface PooledOutcome {
  readonly outcome: Outcome;
  /** What the pool takes for an evaluation of this policy, in milliseconds. */
  readonly costMs: number;
}

/** How evaluations are placed. */
export interface PlacedOptions {
  /** What an evaluation may take in place of the processor's time, in milliseconds. */
  readonly budgetMs: number;
  /** What the thread may hold of guests that run no request. */
  readonly memory: ThreadMemory | undefined;
  /** Evaluates in the pool. Rejects as the pool does. */
  readonly pooled: (
    policy: number,
    request: PiecedRequest,
    options: EvaluationOptions,
  ) => Promise<PooledOutcome>;
  /** Gets what policies log in place. */
  readonly onLog: (policy: string, entry: PolicyLogEntry) => void;
  /** Called when guests begin to run in this thread, and when they no longer do. */
  readonly onRunning: (running: boolean) => void;
}

type Placed = { readonly id: string; placement: Placement };

type Waiting = {
  readonly id: number;
  readonly policy: Placed;
  readonly request: PiecedRequest;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (outcome: Outcome | undefined) => void;
  readonly reject: (why: unknown) => void;
};

/** How long an outcome waits for others of the same turn, in milliseconds. */
const MAX_TURN_MS = 2;
/**
 * What the evaluations of one policy may take of a turn, as a multiple of what one may: others of the turn wait for all of them, and the
 * pool does what is left at once. One that takes more than all of this by itself (it has to make its guest, which no limit stops) has left,
 * though its answer counts.
 */
const MAX_TURN_BUDGETS = 2;
/** Longer requests take longer, so that the pool has them in any case: bytes. */
const MAX_IN_PLACE_BYTES = 128 * 1024;
const INTERRUPTED: ReadonlySet<string | undefined> = new Set([TEXT.interrupted, TEXT.regoInterrupted]);
const STAYED: PlacementEvent = { kind: "stayed" };
const LEFT: PlacementEvent = { kind: "left" };

/** The policies of one thread that serves. */
export class PlacedEvaluator {
  readonly #options: PlacedOptions;
  readonly #deadline: Deadline;
  readonly #engine: Engine;
  readonly #policies = new Map<number, Placed>();
  /** What runs in this thread: one guest, or the collection of what guests left. */
  #running: Promise<unknown> | undefined;
  /** What the running guest logged. */
  #logged: PolicyLogEntry[] = [];
  /** Whether the running guest wanted what it can't have here. */
  #wanting = false;
  /** What arrived in this turn of the event loop. */
  readonly #waiting: Waiting[] = [];
  #soon: NodeJS.Immediate | undefined;
  #tidying: NodeJS.Immediate | undefined;
  #later: NodeJS.Timeout | undefined;

  constructor(options: PlacedOptions) {
    this.#options = options;
    this.#deadline = new Deadline(undefined, options.budgetMs);
    const leave = () => {
      this.#wanting = true;
      this.#deadline.expire();
    };
    this.#engine = new Engine(
      {
        call: () => {
          leave();
          return { ok: false, error: "asked again in the pool" };
        },
        log: (_, entry) => void this.#logged.push(entry),
        sleep: leave,
      },
      this.#deadline,
      options.memory,
    );
  }

  addModule(id: number, module: PreparedModule): void {
    this.#engine.addModule(id, module);
  }

  addPolicy(id: number, policy: EvaluablePolicy): void {
    this.#policies.set(id, { id: policy.id, placement: UNKNOWN });
    this.#engine.addPolicy(id, { ...policy, limitMs: Math.min(policy.limitMs, this.#options.budgetMs) });
  }

  /** Forgets policies and modules, of which nothing is evaluated any more. */
  remove(policies: readonly number[], modules: readonly number[]): void {
    for (const policy of policies) this.#policies.delete(policy);
    void this.#alone(() => this.#engine.remove(policies, modules));
  }

  /** Gives back the memory that no request needs just now. */
  shrink(): void {
    void this.#alone(() => this.#engine.shrink());
  }

  /** Evaluates one request. Rejects as the pool does. */
  async validate(
    id: number,
    request: PiecedRequest,
    options: EvaluationOptions = {},
  ): Promise<Outcome> {
    const policy = this.#policies.get(id);
    if (policy === undefined) return (await this.#options.pooled(id, request, options)).outcome;
    if (request.length <= MAX_IN_PLACE_BYTES && isInPlace(policy.placement, performance.now())) {
      const { signal } = options;
      const outcome = await new Promise<Outcome | undefined>((resolve, reject) => {
        this.#waiting.push({ id, policy, request, signal, resolve, reject });
        this.#soon ??= setImmediate(() => void this.#alone(() => this.#turn()));
      });
      if (outcome !== undefined) return outcome;
    }
    const { outcome, costMs } = await this.#options.pooled(id, request, options);
    note(policy, { kind: "pooled", costMs });
    return outcome;
  }

  /**
   * Evaluates what has arrived in this turn of the event loop, one after the other, and then answers: what evaluating needs of the
   * processor's caches, and what reading and answering needs, take turns less often so.
   */
  async #turn(): Promise<void> {
    this.#soon = undefined;
    const done: (() => void)[] = [];
    const answer = () => {
      for (const settle of done.splice(0)) settle();
    };
    const mostMs = MAX_TURN_BUDGETS * this.#options.budgetMs;
    const left = new Map<Placed, number>();
    let used = processorTime();
    let answeredAt = performance.now();
    for (const { id, policy, request, signal, resolve, reject } of this.#waiting.splice(0)) {
      if (signal?.aborted) {
        reject(signal.reason);
        continue;
      }
      // An evaluation of this turn may have shown that the others have no place here.
      const leftMs = left.get(policy) ?? mostMs;
      if (leftMs <= 0 || !isInPlace(policy.placement, performance.now())) {
        resolve(undefined);
        continue;
      }
      const before = used;
      // Whatever goes wrong here is the pool's to say, and must not keep the others of this turn from their answers.
      const outcome = await this.#inPlace(id, policy.id, request).catch(() => undefined);
      const tookMs = (used = processorTime()) - before;
      left.set(policy, leftMs - tookMs);
      note(policy, outcome === undefined || tookMs > mostMs ? LEFT : STAYED);
      done.push(() => resolve(outcome));
      if (performance.now() - answeredAt < MAX_TURN_MS) continue;
      answer();
      answeredAt = performance.now();
    }
    answer();
    this.#tidySoon();
  }

  /** The verdict, or nothing where the pool has to be asked. */
  async #inPlace(id: number, name: string, request: PiecedRequest): Promise<Outcome | undefined> {
    this.#wanting = false;
    this.#logged = [];
    this.#deadline.begin();
    const outcome = await this.#engine.run(id, "validate", joinRequest(request));
    if (outcome.kind !== "verdict" || this.#wanting || this.#deadline.expired || this.#engine.exhausted) {
      return undefined;
    }
    if (INTERRUPTED.has(outcome.verdict.status?.message ?? undefined)) return undefined;
    for (const entry of this.#logged) this.#options.onLog(name, entry);
    return outcome;
  }

  /** Does one thing at a time: guests that are being made take more than one turn of the event loop. */
  async #alone<T>(work: () => T | Promise<T>): Promise<T> {
    while (this.#running !== undefined) await this.#running.catch(() => {});
    this.#options.onRunning(true);
    const running = (async () => await work())();
    this.#running = running;
    try {
      return await running;
    } finally {
      this.#running = undefined;
      this.#options.onRunning(false);
    }
  }

  /** What policies have this thread do after their answers counts as what they do before. */
  #charge(policies: readonly number[], tookMs: number): void {
    if (tookMs <= this.#options.budgetMs) return;
    for (const id of policies) {
      const policy = this.#policies.get(id);
      if (policy !== undefined) note(policy, LEFT);
    }
  }

  /** Puts guests back to their snapshots once the answers are on their way. */
  #tidySoon(): void {
    this.#tidying ??= setImmediate(() => {
      this.#tidying = undefined;
      void this.#alone(() => this.#tidy());
    });
  }

  async #tidy(): Promise<void> {
    let before = processorTime();
    const tookMs = () => {
      const now = processorTime();
      const took = now - before;
      before = now;
      return took;
    };
    const laterMs = this.#engine.tidy((policy) => this.#charge([policy], tookMs()));
    clearTimeout(this.#later);
    if (laterMs === 0) {
      tookMs();
      this.#charge(await this.#engine.collect(), tookMs());
    } else if (laterMs < Infinity) this.#later = setTimeout(() => this.#tidySoon(), laterMs).unref();
  }
}

function note(policy: Placed, event: PlacementEvent): void {
  policy.placement = placementAfter(policy.placement, event, performance.now());
}
