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
import { Deadline } from "./deadline.ts";
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

type Waiting = {
  readonly id: number;
  readonly name: string;
  readonly request: PiecedRequest;
  readonly resolve: (outcome: Outcome | undefined) => void;
};

/** How long an outcome waits for others of the same turn, in milliseconds. */
const MAX_TURN_MS = 2;
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
  readonly #policies = new Map<number, { readonly id: string; placement: Placement }>();
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
      const outcome = await new Promise<Outcome | undefined>((resolve) => {
        this.#waiting.push({ id, name: policy.id, request, resolve });
        this.#soon ??= setImmediate(() => void this.#alone(() => this.#turn()));
      });
      const event = outcome === undefined ? LEFT : STAYED;
      policy.placement = placementAfter(policy.placement, event, performance.now());
      if (outcome !== undefined) return outcome;
    }
    const { outcome, costMs } = await this.#options.pooled(id, request, options);
    policy.placement = placementAfter(policy.placement, { kind: "pooled", costMs }, performance.now());
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
    let answeredAt = performance.now();
    for (const { id, name, request, resolve } of this.#waiting.splice(0)) {
      const outcome = await this.#inPlace(id, name, request);
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

  /** Puts guests back to their snapshots once the answers are on their way. */
  #tidySoon(): void {
    this.#tidying ??= setImmediate(() => {
      this.#tidying = undefined;
      void this.#alone(async () => {
        const laterMs = this.#engine.tidy();
        clearTimeout(this.#later);
        if (laterMs === 0) await this.#engine.collect();
        else if (laterMs < Infinity) this.#later = setTimeout(() => this.#tidySoon(), laterMs).unref();
      });
    });
  }
}
