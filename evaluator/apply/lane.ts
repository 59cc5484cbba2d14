/**
 * Lanes: the evaluating threads, seen from the main thread, with what each of them has to do, and which of them is to take what
 * comes next (`pool.ts`).
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import {
  type FromWorker,
  type Operation,
  type Outcome,
  SIGNAL,
  type TaskHeader,
  type ToWorker,
  type WorkerStart,
} from "../types/protocol.ts";

/** A request as the pieces that make it up, so that it is copied once, into the message to its thread. */
export interface PiecedRequest {
  readonly pieces: readonly Uint8Array[];
  readonly length: number;
  readonly object: readonly [start: number, end: number] | undefined;
}

/** One call of a policy that was asked for. */
export interface Task {
  readonly id: number;
  readonly policy: number;
  readonly operation: Operation;
  readonly request: PiecedRequest;
  readonly resolve: (outcome: Outcome) => void;
  /** What it is expected to take, in milliseconds, since it was given to a lane. */
  costMs: number;
}

/** A thread and its work. */
export interface Lane {
  readonly port: MessagePort;
  readonly replies: MessagePort;
  readonly signal: Int32Array;
  readonly abort: AbortController;
  /** Tasks in the order in which they were sent. Of the first ones the outcomes may be ready but unsent. */
  readonly tasks: Map<number, Task>;
  pending: Task[];
  /** What the tasks sent and pending are expected to take, in milliseconds. */
  backlogMs: number;
  ready: boolean;
  busy: boolean;
  /** The policy that keeps it busy; it counts as slow as long as it does. */
  busyWith: number | undefined;
  slow: number;
  /** When the thread was last seen to do something else than before … */
  progressAt: number;
  /** … and the task that ran then. */
  ranAt: Task | undefined;
  closed: boolean;
}

/** A lane takes this much work before the next lane is used: one busy thread costs less than two half busy ones. */
const FULL_LANE_MS = 2;

/** A lane whose thread is started by `run`, which is given what to hand it. */
export function openLane(
  run: (start: WorkerStart, transfer: readonly unknown[], abort: AbortSignal) => void,
  receive: (lane: Lane, message: FromWorker) => void,
): Lane {
  const work = new MessageChannel();
  const replies = new MessageChannel();
  const signal = new Int32Array(
    new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * Object.keys(SIGNAL).length),
  );
  const lane: Lane = {
    port: work.port1,
    replies: replies.port1,
    signal,
    abort: new AbortController(),
    tasks: new Map(),
    pending: [],
    backlogMs: 0,
    ready: false,
    busy: false,
    busyWith: undefined,
    slow: 0,
    progressAt: performance.now(),
    ranAt: undefined,
    closed: false,
  };
  work.port1.on("message", (message: FromWorker) => receive(lane, message));
  // What keeps the process alive is up to the pool.
  work.port1.unref();
  replies.port1.unref();
  const start = { port: work.port2, replies: replies.port2, signal } as unknown as WorkerStart;
  run(start, [work.port2, replies.port2], lane.abort.signal);
  return lane;
}

/** Tells the thread to end, and hears it no more. */
export function closeLane(lane: Lane): void {
  lane.closed = true;
  post(lane, { kind: "close" });
  lane.port.close();
  lane.replies.close();
}

/** Sends the thread a message and wakes it. */
export function post(lane: Lane, message: ToWorker, transfer: ArrayBuffer[] = []): void {
  // The DOM's and Node's declarations of a message port differ in the list's type.
  lane.port.postMessage(message, transfer as never[]);
  Atomics.add(lane.signal, SIGNAL.inbox, 1);
  Atomics.notify(lane.signal, SIGNAL.inbox);
}

/** Sends the thread all pending tasks, their requests copied once, into the message. */
export function sendPending(lane: Lane): void {
  const tasks = lane.pending;
  lane.pending = [];
  if (lane.tasks.size === 0) lane.progressAt = performance.now();
  const bytes = new Uint8Array(tasks.reduce((sum, task) => sum + task.request.length, 0));
  let at = 0;
  const headers = tasks.map(({ id, policy, operation, request }): TaskHeader => {
    const start = at;
    for (const piece of request.pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    const [objectStart, objectEnd] = request.object ?? [-1, -1];
    return [id, policy, operation, start, at, objectStart, objectEnd];
  });
  for (const task of tasks) lane.tasks.set(task.id, task);
  post(lane, { kind: "tasks", tasks: headers, bytes }, [bytes.buffer]);
}

/**
 * The task that the thread has in hand; undefined when it has none, or none that is still waited for. Tasks before it are done,
 * though their outcomes may not have come.
 */
export function runningTask({ tasks, signal }: Lane): Task | undefined {
  const running = Atomics.load(signal, SIGNAL.running);
  for (const task of tasks.values()) if ((task.id | 0) === running) return task;
  return undefined;
}

/** Takes a task from the lane that it was sent to. */
export function takeBack(lane: Lane, id: number): Task | undefined {
  const task = lane.tasks.get(id);
  if (!task) return undefined;
  lane.tasks.delete(id);
  lane.backlogMs = lane.tasks.size + lane.pending.length === 0 ? 0 : lane.backlogMs - task.costMs;
  return task;
}

const holds = ({ tasks, pending }: Lane, policy: number): boolean =>
  [...tasks.values(), ...pending].some((task) => task.policy === policy);

function leastBacklog(lanes: readonly Lane[]): Lane | undefined {
  return lanes.reduce<Lane | undefined>(
    (best, lane) => !best || lane.backlogMs < best.backlogMs ? lane : best,
    undefined,
  );
}

/** A lane for what is quick: one that holds nothing slow, and not the second where the first has room. */
export function quickLane(among: readonly Lane[]): Lane | undefined {
  const quick = among.filter((lane) => !lane.busy && lane.slow === 0);
  return quick.find((lane) => lane.backlogMs < FULL_LANE_MS) ?? leastBacklog(quick);
}

/** Slow policies share their lanes, and never take the last one that holds nothing slow. Undefined: the task has to wait. */
export function slowLane(lanes: readonly Lane[], spares: number, policy: number): Lane | undefined {
  const shared = leastBacklog(lanes.filter((lane) => !lane.busy && lane.slow > 0));
  // A lane that has just been given the same policy may be about to tell that it is busy with it.
  const taken = lanes.filter((lane) => lane.busy || lane.slow > 0 || holds(lane, policy)).length;
  if (shared?.backlogMs === 0 || taken >= lanes.length - spares) return shared;
  return quickLane(lanes);
}

/** Of a policy that has not judged anything yet nobody knows that it isn't slow: it alone must not take all lanes. */
export function unprovenLane(lanes: readonly Lane[], spares: number, policy: number): Lane | undefined {
  const held = lanes.filter((lane) => holds(lane, policy));
  return quickLane(held.length >= lanes.length - spares ? held : lanes);
}
