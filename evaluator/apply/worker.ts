/**
 * The worker thread: takes tasks from its inbox, evaluates them one after the other, and answers.
 *
 * It blocks on a shared counter while there is nothing to do, because waking from that is quicker than the event loop. A task
 * that runs long holds up nobody: from within the guest's ticks the worker sends what is done and gives back what has not
 * begun, so that another thread can take it.
 */
import { type MessagePort as NodePort, receiveMessageOnPort } from "node:worker_threads";
import type { HostCall, HostCallAnswer, PolicyLogEntry } from "../types/evaluation.ts";
import {
  ACCEPTED,
  type FromWorker,
  type HostCallReply,
  NOT_BEGUN,
  type Outcome,
  type PackedOutcome,
  SIGNAL,
  type ToWorker,
  type WorkerStart,
} from "../types/protocol.ts";
import { confineThread } from "./confine.ts";
import { Deadline } from "./deadline.ts";
import { Engine, type EngineHost } from "./engine.ts";
import { needStackRoom } from "./stack_room.ts";
import { Inbox, type Instruction } from "./worker_inbox.ts";

/** A guest that runs this long is busy: what is done is sent, what waits goes back. Far above what a policy needs, because a
 * thread may well be kept waiting for a processor. */
const BUSY_MS = 10;
/** Outcomes are sent when this many are done, even when more tasks wait. */
const OUTCOMES_PER_MESSAGE = 32;
/** … or when the last ones were sent so long ago. */
const FLUSH_MS = 2;

function pack(outcome: Outcome): PackedOutcome {
  if (outcome.kind !== "verdict") return outcome;
  const { allowed, status, patch, warnings, auditAnnotations } = outcome.verdict;
  return allowed && !status && patch === undefined && !warnings && !auditAnnotations ? ACCEPTED : outcome;
}

/** What a thread evaluates with, and what its guests call. */
class EvaluatingThread implements EngineHost {
  readonly #port: NodePort;
  readonly #replies: NodePort;
  readonly #signal: Int32Array;
  readonly #inbox: Inbox;
  readonly #deadline: Deadline;
  readonly #engine: Engine;
  #outcomes: (number | PackedOutcome)[] = [];
  #flushedAt = 0;
  /** Policies whose last evaluation here was so short that outcomes may wait for the next. */
  readonly #quick = new Set<number>();
  /** The task that runs, or ran last. */
  #running = 0;
  /** Whether the owner knows that the thread is busy with what runs. */
  #reportedBusy = false;
  #calls = 0;
  #replied = 0;
  #closing: (ToWorker & { readonly kind: "close" }) | undefined;

  constructor({ port, replies, signal, memory }: WorkerStart) {
    this.#port = port as unknown as NodePort;
    this.#replies = replies as unknown as NodePort;
    this.#signal = signal;
    this.#inbox = new Inbox(this.#port, signal, (task) => this.#cancel(task));
    this.#deadline = new Deadline((busyMs) => this.#turn(busyMs));
    this.#engine = new Engine(this, this.#deadline, memory);
  }

  /** Evaluates until told to close. */
  async run(): Promise<void> {
    this.#post({ kind: "ready" });
    while (!this.#closing) {
      const seen = this.#inbox.sent;
      this.#inbox.receive();
      // The owner sends a policy before its first task and removes it after its last, so what is no task goes first.
      for (const instruction of this.#inbox.takeInstructions()) this.#follow(instruction);
      await this.#evaluateWaiting();
      this.#flush();
      await this.#tidyAndWait(seen);
    }
    if (this.#closing.reuse) {
      this.#engine.clear();
      await this.#engine.collect();
    }
    this.#port.close();
    this.#replies.close();
  }

  #follow(instruction: Instruction): void {
    switch (instruction.kind) {
      case "module":
        return this.#engine.addModule(instruction.id, instruction.module);
      case "policy":
        return this.#engine.addPolicy(instruction.id, instruction.policy);
      case "remove":
        for (const policy of instruction.policies) this.#quick.delete(policy);
        return this.#engine.remove(instruction.policies, instruction.modules);
      case "shrink":
        return this.#engine.shrink();
      case "close":
        this.#closing = instruction;
    }
  }

  /** Evaluates what has been received, one task after the other. */
  async #evaluateWaiting(): Promise<void> {
    for (let task = this.#inbox.takeTask(); task; task = this.#inbox.takeTask()) {
      const { header: [id, policy, operation, from, to, objectStart, objectEnd], bytes } = task;
      this.#begin(id, policy);
      if (this.#deadline.cancelled) {
        this.#outcomes.push(id, NOT_BEGUN, 0);
        continue;
      }
      const request = {
        json: bytes.subarray(from, to),
        object: objectStart < 0 ? undefined : [objectStart, objectEnd] as const,
      };
      const started = performance.now();
      const outcome = await this.#engine.run(policy, operation, request);
      this.#finish(id, policy, pack(outcome), started);
    }
  }

  #begin(task: number, policy: number): void {
    this.#reportedBusy = false;
    this.#running = task;
    // What is ready does not wait for a policy that may take long: it has to make its guest first, or was slow the last time.
    if (this.#outcomes.length > 0 && !this.#quick.has(policy)) this.#flush();
    Atomics.store(this.#signal, SIGNAL.running, task);
    this.#deadline.begin();
    this.#inbox.receiveCancellations();
  }

  #finish(task: number, policy: number, outcome: PackedOutcome, started: number): void {
    const ended = performance.now();
    if (this.#reportedBusy) Atomics.store(this.#signal, SIGNAL.busy, 0);
    this.#outcomes.push(task, outcome, ended - started);
    if (ended - started < FLUSH_MS) this.#quick.add(policy);
    else this.#quick.delete(policy);
    if (this.#outcomes.length >= 3 * OUTCOMES_PER_MESSAGE || ended - this.#flushedAt > FLUSH_MS) {
      this.#flush();
    }
  }

  /** Does what no request waits for, and then waits until more than `seen` messages were sent. */
  async #tidyAndWait(seen: number): Promise<void> {
    const limitMs = this.#engine.tidy();
    if (limitMs !== 0 && this.#closing) return;
    this.#reportedBusy = false;
    if (limitMs === 0) {
      await this.#engine.collect();
      return this.#becomeFree();
    }
    if (this.#inbox.sent === seen && await this.#engine.makeAhead()) {
      if (this.#reportedBusy) this.#becomeFree();
      return;
    }
    this.#inbox.waitForMessage(seen, limitMs);
  }

  /** Tells the owner that the thread takes tasks again. */
  #becomeFree(): void {
    Atomics.store(this.#signal, SIGNAL.busy, 0);
    this.#post({ kind: "done", outcomes: [] });
  }

  #post(message: FromWorker): void {
    this.#port.postMessage(message);
  }

  #flush(): void {
    this.#flushedAt = performance.now();
    if (this.#outcomes.length === 0) return;
    this.#post({ kind: "done", outcomes: this.#outcomes });
    this.#outcomes = [];
  }

  #cancel(task: number): void {
    // If it has just ended, that is forgotten when the next one begins.
    if (task === this.#running) this.#deadline.cancel();
    else if (this.#inbox.drop(task)) this.#outcomes.push(task, NOT_BEGUN, 0);
  }

  /** Called from within the guest's ticks: what runs long, or for as long as nobody knows (`Infinity`), holds up nobody. */
  #turn(busyMs: number): void {
    this.#inbox.receiveCancellations();
    if (busyMs < BUSY_MS) return;
    // A guest that runs for long asks again and again, and to find that there is room takes longer than to find that there is no need.
    if (
      this.#reportedBusy && this.#outcomes.length === 0 && !this.#inbox.hasWaiting && this.#inbox.upToDate
    ) return;
    needStackRoom();
    this.#flush();
    this.#inbox.receive();
    if (busyMs === Infinity) this.#inbox.receiveMissing();
    const returned = this.#inbox.takeRest();
    if (this.#reportedBusy && returned.length === 0) return;
    this.#reportedBusy = true;
    Atomics.store(this.#signal, SIGNAL.busy, 1);
    this.#post({ kind: "busy", returned });
  }

  call(policy: number, request: HostCall, limitMs: number): HostCallAnswer {
    this.#turn(Infinity);
    const id = ++this.#calls;
    let seen = Atomics.load(this.#signal, SIGNAL.reply);
    this.#post({ kind: "call", call: id, policy, request });
    const until = performance.now() + limitMs;
    for (;;) {
      const answer = this.#answerTo(id);
      if (answer) return answer;
      this.#inbox.receiveCancellations();
      const left = this.#deadline.cancelled ? 0 : until - performance.now();
      if (left <= 0) return { ok: false, error: "Callback evaluation failure: the policy's time is up" };
      this.#inbox.wait(SIGNAL.reply, seen, this.#replied, left);
      seen = Atomics.load(this.#signal, SIGNAL.reply);
    }
  }

  /** The answer to a host call, if it has come. Those to earlier calls, for which nobody waits any more, are dropped. */
  #answerTo(id: number): HostCallAnswer | undefined {
    for (;;) {
      const reply = receiveMessageOnPort(this.#replies);
      if (!reply) return undefined;
      this.#replied++;
      const { call, answer } = reply.message as HostCallReply;
      if (call === id) return answer;
    }
  }

  log(policy: number, entry: PolicyLogEntry): void {
    this.#post({ kind: "log", policy, task: this.#running, entry });
  }

  sleep(milliseconds: number): void {
    const until = performance.now() + milliseconds;
    for (;;) {
      const seen = Atomics.load(this.#signal, SIGNAL.cancelled);
      this.#turn(milliseconds);
      const left = until - performance.now();
      if (this.#deadline.cancelled || left <= 0) return;
      this.#inbox.waitForCancellation(seen, left);
    }
  }
}

/** Evaluates until told to close. Called once, at the beginning of the thread (`worker_entry.ts`). */
export default async function serve(start: WorkerStart): Promise<void> {
  confineThread();
  await new EvaluatingThread(start).run();
}
