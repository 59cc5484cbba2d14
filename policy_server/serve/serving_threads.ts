/**
 * The threads that serve, seen from the main thread: it tells them of policies, certificates and the end, evaluates in its pool what
 * they leave to it, writes their log and counts for them. A thread that dies, or does not come back from a guest, is replaced; its
 * connections are closed by that, and their clients connect anew.
 */
import process from "node:process";
import { createSecureContext } from "node:tls";
import { MessageChannel, type MessagePort as NodePort } from "node:worker_threads";
import { EvaluatorPool, OverloadedError, wholeRequest } from "../../evaluator/apply/pool.ts";
import { pooledThreads } from "../../evaluator/apply/pooled_threads.ts";
import type { Threads } from "../../evaluator/apply/thread.ts";
import type { Ending, TlsSettings } from "../../http/types.ts";
import { within } from "../../program/apply/within.ts";
import type { SharedLog } from "../apply/log.ts";
import type { Metrics } from "../apply/metrics.ts";
import { addCounted } from "../apply/metrics_relay.ts";
import type { Evaluators, PolicySet } from "../apply/policy_set.ts";
import {
  type FromServing,
  type ServingSettings,
  type ServingStart,
  SHARED,
  type ToServing,
} from "../apply/serving_messages.ts";

/** What the threads are started with. */
export interface ServingOptions {
  /** The file that holds `serving_entry.ts`, or its bundle. */
  readonly worker: URL;
  readonly settings: ServingSettings;
  readonly pool: EvaluatorPool;
  readonly log: SharedLog;
  readonly metrics: Metrics;
}

/** A guest is stopped after milliseconds; a thread that has been with one for so long will not come back. */
const STUCK_MS = 10_000;
const WATCH_MS = 500;
/** Before a thread that could not start is started again: the first time and at most, in milliseconds. */
const RESTART_MS = 1_000;
const MAX_RESTART_MS = 60_000;
/** How long threads may take to do what they are told before nobody waits for them any more. */
const RELAY_MS = 1_000;
/** How much longer than its connections a thread may take to end. */
const END_MS = 1_000;

/** A thread, or where one is about to be again. */
type Serving = {
  readonly port: NodePort;
  readonly shared: Int32Array;
  readonly abort: AbortController;
  state: "starting" | "loaded" | "listening" | "gone";
  /** Evaluations of this thread that the pool has. */
  readonly pooled: Map<number, AbortController>;
  readonly relays: Map<number, () => void>;
  /** What it was seen to run, and when first. */
  ran: number;
  ranAt: number;
  changed: (() => void)[];
};

type Listening = { readonly port: number; tls: TlsSettings | undefined };

/** The threads of a server. */
export class ServingThreads {
  /** What policy sets are built with: tells the pool and all threads. */
  readonly evaluators: Evaluators;
  readonly #options: ServingOptions;
  readonly #threads: Threads;
  readonly #all = new Set<Serving>();
  readonly #known = new Map<number, ToServing>();
  /** Sets that are served or still used, and by whom. */
  readonly #sets = new Map<number, { readonly set: PolicySet; readonly users: Set<Serving> }>();
  readonly #watch: NodeJS.Timeout;
  #current = 0;
  #ids = 0;
  #listening: Listening | undefined;
  #failures = 0;
  #ending: Promise<void> | undefined;
  /** What kept the last thread that could not listen from it. */
  #refusal: Error | undefined;
  #memoryIsShort = false;

  constructor(options: ServingOptions) {
    this.#options = options;
    const { worker, settings: { threads }, log, pool } = options;
    this.#threads = pooledThreads(
      worker,
      threads,
      (message) => log.error(`a serving thread: ${message}`),
      true,
    );
    this.evaluators = {
      addModule: (module) => {
        const id = pool.addModule(module);
        this.#know(id, { kind: "module", id, module });
        return id;
      },
      addPolicy: (policy, handler) => {
        const id = pool.addPolicy(policy, handler);
        this.#know(id, { kind: "policy", id, policy });
        return id;
      },
      remove: (policies, modules) => {
        pool.remove(policies, modules);
        for (const id of [...policies, ...modules]) this.#known.delete(id);
        this.#tellAll({ kind: "remove", policies, modules });
      },
      validateSettings: (policy) => pool.validateSettings(policy),
    };
    for (let thread = 0; thread < threads; thread++) this.#open();
    this.#watch = setInterval(() => this.#look(), WATCH_MS).unref();
  }

  /** Resolves when all threads have loaded their code, or can't. Whether there is any. */
  async loaded(): Promise<boolean> {
    const threads = [...this.#all];
    await Promise.all(threads.map((thread) => until(thread, () => thread.state !== "starting")));
    return threads.some(({ state }) => state === "loaded");
  }

  /** Has all threads listen. Rejects with what keeps one of them from it. */
  async listen(port: number, tls: TlsSettings | undefined): Promise<void> {
    this.#listening = { port, tls };
    const threads = [...this.#all].filter(({ state }) => state === "loaded");
    for (const thread of threads) post(thread, { kind: "listen", port, tls });
    await Promise.all(threads.map((thread) => until(thread, () => thread.state !== "loaded")));
    if (!threads.some(({ state }) => state === "listening")) {
      throw this.#refusal ?? new Error("no thread can serve");
    }
  }

  /** New connections get these, in all threads when it resolves. Rejects when they can't be used. */
  async setTls(tls: TlsSettings): Promise<void> {
    if (this.#listening === undefined) return;
    createSecureContext({ cert: tls.cert, key: tls.key, ...(tls.clientCas && { ca: [...tls.clientCas] }) });
    this.#listening.tls = tls;
    this.#tellAll({ kind: "tls", tls });
    await this.settled();
  }

  /**
   * Serves this set from now on, in all threads when it resolves. The former one is disposed of when no thread uses it any more.
   */
  async serve(set: PolicySet): Promise<void> {
    const former = this.#current;
    this.#current = ++this.#ids;
    this.#sets.set(this.#current, { set, users: new Set() });
    for (const thread of this.#all) this.#hand(thread);
    this.#dispose(former);
    await this.settled();
  }

  /** Gives back the memory that no request needs just now. */
  shrink(): void {
    this.#tellAll({ kind: "shrink" });
  }

  /** Whether requests are to be refused. */
  setMemoryIsShort(short: boolean): void {
    this.#memoryIsShort = short;
    for (const { shared } of this.#all) Atomics.store(shared, SHARED.memoryIsShort, Number(short));
  }

  /** Resolves when threads have done what they were told so far, and handed on what they have counted. */
  async settled(): Promise<void> {
    const listening = [...this.#all].filter(({ state }) => state === "listening");
    const relayed = listening.map((thread) =>
      new Promise<void>((resolve) => {
        const id = ++this.#ids;
        thread.relays.set(id, resolve);
        post(thread, { kind: "relay", id });
      })
    );
    await within<unknown>(RELAY_MS, Promise.all(relayed), () => {});
  }

  /** Lets requests that have begun end, as a listener does, and then the threads. Called again, it waits for the same end. */
  end(ending: Ending): Promise<void> {
    return this.#ending ??= this.#end(ending);
  }

  async #end(ending: Ending): Promise<void> {
    clearInterval(this.#watch);
    const left = [...this.#all];
    this.#tellAll({ kind: "end", ending });
    const gone = left.map((thread) => until(thread, () => thread.state === "gone"));
    await within<unknown>(ending.graceMs + END_MS, Promise.all(gone), () => {});
    for (const thread of [...this.#all]) this.#gone(thread);
    await within(END_MS, this.#threads.close(), () => {});
  }

  #know(id: number, message: ToServing): void {
    this.#known.set(id, message);
    this.#tellAll(message);
  }

  #tellAll(message: ToServing): void {
    for (const thread of this.#all) post(thread, message);
  }

  #open(): void {
    const channel = new MessageChannel();
    const shared = new Int32Array(
      new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * Object.keys(SHARED).length),
    );
    const thread: Serving = {
      port: channel.port1,
      shared,
      abort: new AbortController(),
      state: "starting",
      pooled: new Map(),
      relays: new Map(),
      ran: 0,
      ranAt: performance.now(),
      changed: [],
    };
    this.#all.add(thread);
    Atomics.store(shared, SHARED.memoryIsShort, Number(this.#memoryIsShort));
    channel.port1.on("message", (message: FromServing) => this.#receive(thread, message));
    // Tinypool tells of errors, but not of a thread that exits.
    channel.port1.on("close", () => this.#lost(thread, "it exited"));
    const start: ServingStart = {
      port: channel.port2 as unknown as MessagePort,
      settings: this.#options.settings,
      shared,
    };
    this.#threads.run(start, [channel.port2], thread.abort.signal).then(
      () => this.#lost(thread, "it ended by itself"),
      (error) => this.#lost(thread, error instanceof Error ? error.message : String(error)),
    );
    for (const message of this.#known.values()) post(thread, message);
    this.#hand(thread);
  }

  /** Gives a thread the current set. */
  #hand(thread: Serving): void {
    const current = this.#sets.get(this.#current);
    if (current === undefined) return;
    current.users.add(thread);
    post(thread, { kind: "set", set: this.#current, policies: current.set.policies });
  }

  #dispose(id: number): void {
    const used = this.#sets.get(id);
    if (used === undefined || id === this.#current || used.users.size > 0) return;
    this.#sets.delete(id);
    used.set.dispose();
  }

  #receive(thread: Serving, message: FromServing): void {
    const { log, metrics } = this.#options;
    switch (message.kind) {
      case "loaded":
        change(thread, "loaded");
        // One that takes the place of another.
        if (this.#listening !== undefined) post(thread, { kind: "listen", ...this.#listening });
        return;
      case "listening":
        this.#failures = 0;
        return change(thread, "listening");
      case "refused":
        this.#refusal = Object.assign(new Error(message.message), { code: message.code });
        return this.#lost(thread, message.message);
      case "evaluate":
        return void this.#evaluate(thread, message);
      case "cancel":
        return thread.pooled.get(message.id)?.abort();
      case "log":
        return log.pass(message.lines);
      case "counted":
        return addCounted(metrics, message.counted);
      case "relayed":
        thread.relays.get(message.id)?.();
        return void thread.relays.delete(message.id);
      case "unused":
        this.#sets.get(message.set)?.users.delete(thread);
        return this.#dispose(message.set);
      case "ended":
        return this.#gone(thread);
    }
  }

  async #evaluate(
    thread: Serving,
    { id, policy, json, object }: Extract<FromServing, { kind: "evaluate" }>,
  ): Promise<void> {
    const { pool } = this.#options;
    const abort = new AbortController();
    thread.pooled.set(id, abort);
    try {
      const outcome = await pool.validate(policy, wholeRequest({ json, object }), { signal: abort.signal });
      post(thread, { kind: "outcome", id, outcome, costMs: pool.costMs(policy) });
    } catch (error) {
      if (abort.signal.aborted) return;
      const { message } = error as Error;
      if (error instanceof OverloadedError) return post(thread, { kind: "overloaded", id, message });
      post(thread, { kind: "outcome", id, outcome: { kind: "error", message }, costMs: Infinity });
    } finally {
      thread.pooled.delete(id);
    }
  }

  /** A thread is no more, and was not told to end. */
  #lost(thread: Serving, reason: string): void {
    if (thread.state === "gone") return;
    const { state } = thread;
    this.#gone(thread);
    if (this.#ending !== undefined) return;
    const { log } = this.#options;
    if (state === "listening") {
      log.error(`a serving thread was replaced: ${reason}`);
      return this.#open();
    }
    log.error(`a serving thread can't ${state === "starting" ? "start" : "listen"}, others serve: ${reason}`);
    const laterMs = Math.min(RESTART_MS * 2 ** this.#failures++, MAX_RESTART_MS);
    setTimeout(() => this.#ending === undefined && this.#open(), laterMs).unref();
  }

  #gone(thread: Serving): void {
    if (thread.state === "gone") return;
    this.#all.delete(thread);
    for (const pooled of thread.pooled.values()) pooled.abort();
    for (const relayed of thread.relays.values()) relayed();
    change(thread, "gone");
    thread.port.close();
    thread.abort.abort();
    for (const [id, { users }] of [...this.#sets]) {
      users.delete(thread);
      this.#dispose(id);
    }
  }

  /** Looks for threads that a guest holds. */
  #look(): void {
    const now = performance.now();
    for (const thread of [...this.#all]) {
      const ran = Atomics.load(thread.shared, SHARED.running);
      if (ran !== thread.ran || ran % 2 === 0) {
        thread.ran = ran;
        thread.ranAt = now;
      } else if (now - thread.ranAt > STUCK_MS) this.#stuck(thread);
    }
  }

  #stuck(thread: Serving): void {
    const reason = "its guest was over its time limit and did not stop";
    if (!("bun" in process.versions)) return this.#lost(thread, reason);
    // Bun can't end such a thread, which goes on to be dealt connections.
    this.#options.log.error(
      `a serving thread can't be replaced: ${reason}; the process ends to be started anew`,
    );
    this.#options.log.flush();
    process.exit(1);
  }
}

function post({ state, port }: Serving, message: ToServing): void {
  if (state !== "gone") port.postMessage(message);
}

function change(thread: Serving, state: Serving["state"]): void {
  thread.state = state;
  for (const changed of thread.changed.splice(0)) changed();
}

async function until(thread: Serving, is: () => boolean): Promise<void> {
  while (!is()) await new Promise<void>((resolve) => thread.changed.push(resolve));
}
