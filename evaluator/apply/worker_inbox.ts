/** What the main thread has sent to a worker thread and the worker has not begun. */
import { type MessagePort as NodePort, receiveMessageOnPort } from "node:worker_threads";
import { SIGNAL, type TaskHeader, type ToWorker } from "../types/protocol.ts";

/** A task that has not begun. */
interface WaitingTask {
  readonly header: TaskHeader;
  readonly bytes: Uint8Array;
}

/** A message that is no task. */
export type Instruction = Exclude<ToWorker, { kind: "tasks" | "cancel" }>;

/** How soon to look again for a message that must have come. */
const MISSING_MESSAGE_MS = 1;

/** Messages are taken from the port when the worker asks for them: it blocks its thread while it waits. */
export class Inbox {
  readonly #port: NodePort;
  readonly #signal: Int32Array;
  readonly #onCancel: (task: number) => void;
  #instructions: Instruction[] = [];
  readonly #waiting: WaitingTask[] = [];
  #next = 0;
  #received = 0;
  #cancellations = 0;

  /** `onCancel` is called with each task that nobody waits for any more. */
  constructor(port: NodePort, signal: Int32Array, onCancel: (task: number) => void) {
    this.#port = port;
    this.#signal = signal;
    this.#onCancel = onCancel;
  }

  /** How many messages have been counted, of which some may not have been received. */
  get sent(): number {
    return Atomics.load(this.#signal, SIGNAL.inbox);
  }

  /** Whether all that was counted has been received. */
  get upToDate(): boolean {
    return this.sent === this.#received;
  }

  get hasWaiting(): boolean {
    return this.#next < this.#waiting.length;
  }

  /** Takes all messages that are there. */
  receive(): void {
    for (;;) {
      const next = receiveMessageOnPort(this.#port);
      if (!next) return;
      this.#received++;
      const message = next.message as ToWorker;
      if (message.kind === "tasks") {
        for (const header of message.tasks) this.#waiting.push({ header, bytes: message.bytes });
      } else if (message.kind === "cancel") {
        this.#cancellations++;
        this.#onCancel(message.task);
      } else this.#instructions.push(message);
    }
  }

  /** Takes the messages, too, that were counted but can't be received yet, if they can after a moment. */
  receiveMissing(): void {
    const { sent } = this;
    if (sent === this.#received) return;
    this.waitForMessage(sent, MISSING_MESSAGE_MS);
    this.receive();
  }

  /** Takes cancellations in. On Bun one that was counted may come later. */
  receiveCancellations(): void {
    if (Atomics.load(this.#signal, SIGNAL.cancelled) !== this.#cancellations) this.receive();
  }

  /** The messages that are no tasks, in the order in which they came. */
  takeInstructions(): readonly Instruction[] {
    const taken = this.#instructions;
    if (taken.length > 0) this.#instructions = [];
    return taken;
  }

  /** The next task, which waits no longer. */
  takeTask(): WaitingTask | undefined {
    if (this.hasWaiting) return this.#waiting[this.#next++];
    this.#waiting.length = 0;
    this.#next = 0;
    return undefined;
  }

  /** Takes all tasks that wait. Returns their numbers. */
  takeRest(): readonly number[] {
    return this.#waiting.splice(this.#next).map(({ header }) => header[0]);
  }

  /** Drops a task that waits. Returns whether there was one. */
  drop(task: number): boolean {
    const place = this.#waiting.findIndex(({ header }, index) => index >= this.#next && header[0] === task);
    if (place < 0) return false;
    this.#waiting.splice(place, 1);
    return true;
  }

  /** Waits until more than `seen` messages were sent, for at most `limitMs`. */
  waitForMessage(seen: number, limitMs: number): void {
    this.wait(SIGNAL.inbox, seen, this.#received, limitMs);
  }

  /** Waits until there were more than `seen` cancellations, for at most `limitMs`. */
  waitForCancellation(seen: number, limitMs: number): void {
    this.wait(SIGNAL.cancelled, seen, this.#cancellations, limitMs);
  }

  /**
   * Waits for the counter at `index` to be another than `seen`, for at most `limitMs`. On Bun a message that was posted, and
   * counted, may not be there to be received yet: while fewer were received than counted, it looks again after a moment. The
   * same for cancellations, which end every wait.
   */
  wait(index: number, seen: number, received: number, limitMs: number): void {
    const missing = ((seen - received) | 0) > 0 ||
      Atomics.load(this.#signal, SIGNAL.cancelled) !== this.#cancellations;
    const limit = missing ? Math.min(limitMs, MISSING_MESSAGE_MS) : limitMs;
    Atomics.wait(this.#signal, index, seen, Number.isFinite(limit) ? limit : undefined);
  }
}
