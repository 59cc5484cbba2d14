/**
 * Lanes: the evaluating threads, seen from the main thread, with what each of them has to do, and which of them is to take what
 * comes next (`pool.ts`).
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import {
  type FromWorker,
  type HostCallReply,
  type Operation,
  type Outcome,
  SIGNAL,
  type TaskHeader,
  type ThreadMemory,
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
  readonly reject: (reason: unknown) => void;
  /** No longer waited for: it has its outcome, or was cancelled. */
  settled: boolean;
  /** The lane that it was given to. */
  lane: Lane | undefined;
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
  /** How many of the tasks sent and pending are of each policy. */
  readonly held: Map<number, number>;
  /** What the tasks sent and pending are expected to take, in milliseconds. */
  backlogMs: number;
  ready: boolean;
  busy: boolean;
  /** Since when it is busy. */
  busyAt: number;
  /** The policy that keeps it busy; it counts as slow as long as it does. */
  busyWith: number | undefined;
  slow: number;
  /** When the thread was last seen to do something else than before … */
  progressAt: number;
  /** … and the task that ran then. */
  ranAt: Task | undefined;
  /** Opened because others were held up; closed when it has had nothing to do for a while. */
  extra: boolean;
  closed: boolean;
}

/** A lane takes this much work before the next lane is used: one busy thread costs less than two half busy ones. */
const FULL_LANE_MS = 2;
const NO_REPLY: HostCallReply = { call: 0, answer: { ok: false, error: "cancelled" } };

/** A lane whose thread is started by `run`, which is given what to hand it. `ended` is called when nothing can come from it any more. */
export function openLane(
  run: (start: WorkerStart, transfer: readonly unknown[], abort: AbortSignal) => void,
  receive: (lane: Lane, message: FromWorker) => void,
  ended: (lane: Lane, reason: string) => void,
  memory?: ThreadMemory,
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
    held: new Map(),
    backlogMs: 0,
    ready: false,
    busy: false,
    busyAt: 0,
    busyWith: undefined,
    slow: 0,
    progressAt: performance.now(),
    ranAt: undefined,
    extra: false,
    closed: false,
  };
  work.port1.on("message", (message: FromWorker) => receive(lane, message));
  // Tinypool tells of errors, but not of a thread that exits: its task stays open for ever. Errors come first, with their reason.
  work.port1.on("close", () => ended(lane, "it exited"));
  work.port1.on("messageerror", () => ended(lane, "a message from it could not be read"));
  // What keeps the process alive is up to the pool.
  work.port1.unref();
  replies.port1.unref();
  const start = { port: work.port2, replies: replies.port2, signal, memory } as unknown as WorkerStart;
  run(start, [work.port2, replies.port2], lane.abort.signal);
  return lane;
}

/** Tells the thread to end, and hears it no more. `reuse` tells that the process goes on. */
export function closeLane(lane: Lane, reuse: boolean): void {
  lane.closed = true;
  post(lane, { kind: "close", reuse });
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

/** Gives the lane a task, to be sent by {@link sendPending}. */
export function assign(lane: Lane, task: Task): void {
  task.lane = lane;
  lane.pending.push(task);
  lane.backlogMs += task.costMs;
  lane.held.set(task.policy, (lane.held.get(task.policy) ?? 0) + 1);
}

/** Tells the thread that nobody waits for a task any more. The task stays the lane's until the thread is rid of it. */
export function cancel(lane: Lane, task: Task): void {
  post(lane, { kind: "cancel", task: task.id });
  Atomics.add(lane.signal, SIGNAL.cancelled, 1);
  Atomics.notify(lane.signal, SIGNAL.cancelled);
  // It may wait for the answer to a host call. The thread looks for cancellations after it has said what runs.
  if (Atomics.load(lane.signal, SIGNAL.running) === (task.id | 0)) reply(lane, NO_REPLY);
}

/** Sends the thread the answer to a host call and wakes it. */
export function reply(lane: Lane, message: HostCallReply): void {
  lane.replies.postMessage(message);
  Atomics.add(lane.signal, SIGNAL.reply, 1);
  Atomics.notify(lane.signal, SIGNAL.reply);
}

/** Takes a task from the lane that it was sent to. */
export function takeBack(lane: Lane, id: number): Task | undefined {
  const task = lane.tasks.get(id);
  if (!task) return undefined;
  lane.tasks.delete(id);
  task.lane = undefined;
  const left = lane.held.get(task.policy)! - 1;
  if (left === 0) lane.held.delete(task.policy);
  else lane.held.set(task.policy, left);
  lane.backlogMs = lane.held.size === 0 ? 0 : lane.backlogMs - task.costMs;
  return task;
}

/** Whether the lane's thread takes tasks. It says that it is busy before its message has come. */
const isFree = ({ busy, signal }: Lane): boolean => !busy && Atomics.load(signal, SIGNAL.busy) === 0;

function leastBacklog(lanes: readonly Lane[]): Lane | undefined {
  return lanes.reduce<Lane | undefined>(
    (best, lane) => !best || lane.backlogMs < best.backlogMs ? lane : best,
    undefined,
  );
}

/** A lane for what is quick: one that holds nothing slow, and not the second where the first has room. */
function quickLane(among: readonly Lane[]): Lane | undefined {
  const quick = among.filter((lane) => isFree(lane) && lane.slow === 0);
  return quick.find((lane) => lane.backlogMs < FULL_LANE_MS) ?? leastBacklog(quick);
}

/** How many lanes a policy may have. */
export interface LaneLimits {
  /** Lanes that nothing slow may take. */
  readonly spares: number;
  /** Lanes that one policy may have at a time. */
  readonly most: number;
}

/**
 * The lane for a task of a policy. Undefined: the task has to wait. No policy takes the last lane, however quick it has been so
 * far: it may turn hostile, and nothing tells before a lane has been busy with it for a while. Slow policies share their lanes, and
 * together never take the last one that holds nothing slow. Extra lanes are for policies that have no other.
 */
export function laneFor(
  lanes: readonly Lane[],
  policy: number,
  slow: boolean,
  { spares, most }: LaneLimits,
): Lane | undefined {
  const holding = lanes.filter((lane) => lane.held.has(policy));
  const open = holding.length >= most
    ? holding
    : holding.length > 0
    ? lanes.filter((lane) => !lane.extra || lane.held.has(policy))
    : lanes;
  if (!slow) return quickLane(open);
  const shared = leastBacklog(open.filter((lane) => isFree(lane) && lane.slow > 0));
  // A lane that has just been given the same policy may be about to tell that it is busy with it.
  const taken = lanes.filter((lane) => !isFree(lane) || lane.slow > 0 || lane.held.has(policy)).length;
  return shared?.backlogMs === 0 || taken >= lanes.length - spares ? shared : quickLane(open);
}

/** The tasks of policies that have no lane before the others, each in their order. */
export function inTurn(tasks: readonly Task[], lanes: readonly Lane[]): readonly Task[] {
  if (!lanes.some(({ busy }) => busy)) return tasks;
  const has = ({ policy }: Task) => lanes.some(({ held }) => held.has(policy));
  return [...tasks.filter((task) => !has(task)), ...tasks.filter(has)];
}
