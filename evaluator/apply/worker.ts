/**
 * The worker thread: takes tasks from its inbox, evaluates them one after the other, and answers.
 *
 * It blocks on a shared counter while there is nothing to do, because waking from that is quicker than the event loop. A task
 * that runs long holds up nobody: from within the guest's ticks the worker sends what is done and gives back what has not
 * begun, so that another thread can take it.
 */
import { receiveMessageOnPort } from "node:worker_threads";
import type { MessagePort as NodePort } from "node:worker_threads";
import type { HostCall, HostCallAnswer, PolicyLogEntry } from "../types/evaluation.ts";
import {
  ACCEPTED,
  type FromWorker,
  type HostCallReply,
  NOT_BEGUN,
  type Outcome,
  type PackedOutcome,
  SIGNAL,
  type TaskHeader,
  type ToWorker,
  type WorkerStart,
} from "../types/protocol.ts";
import { confineThread } from "./confine.ts";
import { Deadline } from "./deadline.ts";
import { Engine } from "./engine.ts";
import { needStackRoom } from "./stack_room.ts";

/** A guest that runs this long is busy: what is done is sent, what waits goes back. Far above what a policy needs, because a
 * thread may well be kept waiting for a processor. */
const BUSY_MS = 10;
/** How soon to look again for a message that must have come. */
const MISSING_MESSAGE_MS = 1;
/** Outcomes are sent when this many are done, even when more tasks wait. */
const OUTCOMES_PER_MESSAGE = 32;
/** … or when the last ones were sent so long ago. */
const FLUSH_MS = 2;

function pack(outcome: Outcome): PackedOutcome {
  if (outcome.kind !== "verdict") return outcome;
  const { allowed, status, patch, warnings, auditAnnotations } = outcome.verdict;
  return allowed && !status && patch === undefined && !warnings && !auditAnnotations ? ACCEPTED : outcome;
}

/** Evaluates until told to close. Called once, at the beginning of the thread (`worker_entry.ts`). */
export default async function serve(start: WorkerStart): Promise<void> {
  confineThread();
  const port = start.port as unknown as NodePort;
  const replies = start.replies as unknown as NodePort;
  const { signal } = start;
  /** Messages that are no tasks keep their order with the tasks around them. */
  const inbox: Exclude<ToWorker, { kind: "tasks" | "cancel" }>[] = [];
  const waiting: { readonly header: TaskHeader; readonly bytes: Uint8Array }[] = [];
  let next = 0;
  let received = 0;
  let cancellations = 0;
  let outcomes: (number | PackedOutcome)[] = [];
  let calls = 0;
  let replied = 0;
  let closing = false;
  let reuse = false;
  let flushedAt = 0;
  let running = 0;
  /** Policies whose last evaluation here was so short that outcomes may wait for the next. */
  const quick = new Set<number>();

  /**
   * Waits for the counter at `index` to be another than `seen`, for at most `limitMs`. On Bun a message that was posted, and
   * counted, may not be there to be received yet: while fewer were received than counted, it looks again after a moment. The
   * same for cancellations, which end every wait.
   */
  const rest = (index: number, seen: number, got: number, limitMs: number) => {
    const missing = ((seen - got) | 0) > 0 || Atomics.load(signal, SIGNAL.cancelled) !== cancellations;
    const limit = missing ? Math.min(limitMs, MISSING_MESSAGE_MS) : limitMs;
    Atomics.wait(signal, index, seen, Number.isFinite(limit) ? limit : undefined);
  };
  const post = (message: FromWorker) => port.postMessage(message);
  const flush = () => {
    flushedAt = performance.now();
    if (outcomes.length === 0) return;
    post({ kind: "done", outcomes });
    outcomes = [];
  };
  const receive = () => {
    for (;;) {
      const next = receiveMessageOnPort(port);
      if (!next) return;
      received++;
      const message = next.message as ToWorker;
      if (message.kind === "tasks") {
        for (const header of message.tasks) waiting.push({ header, bytes: message.bytes });
      } else if (message.kind === "cancel") cancel(message.task);
      else inbox.push(message);
    }
  };
  const cancel = (task: number) => {
    cancellations++;
    // If it has just ended, that is forgotten when the next one begins.
    if (task === running) return deadline.cancel();
    const place = waiting.findIndex(({ header }, index) => index >= next && header[0] === task);
    if (place < 0) return;
    waiting.splice(place, 1);
    outcomes.push(task, NOT_BEGUN, 0);
  };
  /** Takes cancellations in. On Bun one that was counted may come later. */
  const heed = () => {
    if (Atomics.load(signal, SIGNAL.cancelled) !== cancellations) receive();
  };
  let told = false;
  const onBusy = (busyMs: number) => {
    heed();
    if (busyMs < BUSY_MS) return;
    // A guest that runs for long asks again and again, and to find that there is room takes longer than to find that there is no need.
    if (
      told && outcomes.length === 0 && next >= waiting.length &&
      Atomics.load(signal, SIGNAL.inbox) === received
    ) {
      return;
    }
    needStackRoom();
    flush();
    receive();
    const sent = Atomics.load(signal, SIGNAL.inbox);
    if (busyMs === Infinity && sent !== received) {
      rest(SIGNAL.inbox, sent, received, MISSING_MESSAGE_MS);
      receive();
    }
    const returned = waiting.splice(next).map(({ header }) => header[0]);
    if (told && returned.length === 0) return;
    told = true;
    Atomics.store(signal, SIGNAL.busy, 1);
    post({ kind: "busy", returned });
  };
  const deadline = new Deadline(onBusy);

  const call = (policy: number, request: HostCall, limitMs: number): HostCallAnswer => {
    onBusy(Infinity);
    const id = ++calls;
    let seen = Atomics.load(signal, SIGNAL.reply);
    post({ kind: "call", call: id, policy, request });
    const until = performance.now() + limitMs;
    for (;;) {
      for (let reply = receiveMessageOnPort(replies); reply; reply = receiveMessageOnPort(replies)) {
        replied++;
        const { call: answered, answer } = reply.message as HostCallReply;
        if (answered === id) return answer;
      }
      heed();
      const left = deadline.cancelled ? 0 : until - performance.now();
      if (left <= 0) return { ok: false, error: "Callback evaluation failure: the policy's time is up" };
      rest(SIGNAL.reply, seen, replied, left);
      seen = Atomics.load(signal, SIGNAL.reply);
    }
  };
  const host = {
    call,
    log: (policy: number, entry: PolicyLogEntry) => post({ kind: "log", policy, task: running, entry }),
    sleep: (milliseconds: number) => {
      const until = performance.now() + milliseconds;
      for (;;) {
        const seen = Atomics.load(signal, SIGNAL.cancelled);
        onBusy(milliseconds);
        const left = until - performance.now();
        if (deadline.cancelled || left <= 0) return;
        rest(SIGNAL.cancelled, seen, cancellations, left);
      }
    },
  };
  const engine = new Engine(host, deadline, start.memory);

  const handle = (message: (typeof inbox)[number]) => {
    switch (message.kind) {
      case "module":
        return engine.addModule(message.id, message.module);
      case "policy":
        return engine.addPolicy(message.id, message.policy);
      case "remove":
        for (const policy of message.policies) quick.delete(policy);
        return engine.remove(message.policies, message.modules);
      case "shrink":
        return engine.shrink();
      case "close":
        closing = true;
        reuse = message.reuse;
    }
  };

  post({ kind: "ready" });
  while (!closing) {
    const seen = Atomics.load(signal, SIGNAL.inbox);
    receive();
    // The owner sends a policy before its first task and removes it after its last, so what is no task goes first.
    for (const message of inbox.splice(0)) handle(message);
    while (next < waiting.length) {
      const { header: [id, policy, operation, from, to, objectStart, objectEnd], bytes } = waiting[next++]!;
      told = false;
      running = id;
      // What is ready does not wait for a policy that may take long: it has to make its guest first, or was slow the last time.
      if (outcomes.length > 0 && !quick.has(policy)) flush();
      Atomics.store(signal, SIGNAL.running, id);
      deadline.begin();
      heed();
      if (deadline.cancelled) {
        outcomes.push(id, NOT_BEGUN, 0);
        continue;
      }
      const request = {
        json: bytes.subarray(from, to),
        object: objectStart < 0 ? undefined : [objectStart, objectEnd] as const,
      };
      // Not in one expression with the push: a flush while the guest runs puts another array in its place.
      const started = performance.now();
      const outcome = pack(await engine.run(policy, operation, request));
      const ended = performance.now();
      if (told) Atomics.store(signal, SIGNAL.busy, 0);
      outcomes.push(id, outcome, ended - started);
      if (ended - started < FLUSH_MS) quick.add(policy);
      else quick.delete(policy);
      if (outcomes.length >= 3 * OUTCOMES_PER_MESSAGE || ended - flushedAt > FLUSH_MS) flush();
    }
    waiting.length = 0;
    next = 0;
    flush();
    const limitMs = engine.tidy();
    if (limitMs === 0) {
      // Nobody is to wait for that.
      told = false;
      await engine.collect();
      Atomics.store(signal, SIGNAL.busy, 0);
      post({ kind: "done", outcomes: [] });
      continue;
    }
    if (closing) break;
    told = false;
    if (Atomics.load(signal, SIGNAL.inbox) === seen && await engine.makeAhead()) {
      if (told) {
        Atomics.store(signal, SIGNAL.busy, 0);
        post({ kind: "done", outcomes: [] });
      }
      continue;
    }
    rest(SIGNAL.inbox, seen, received, limitMs);
  }
  if (reuse) {
    engine.clear();
    await engine.collect();
  }
  port.close();
  replies.close();
}
