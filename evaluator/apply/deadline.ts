/**
 * The clock that instrumented guests ask whether they may go on (`render/instrument.ts`). It runs in the guest's own thread,
 * so that nothing the rest of the process does delays it, and it gives the thread's owner a turn while a guest is busy.
 */
import process from "node:process";
import { GUARD } from "../render/instrument.ts";

/** Exports its only import, so that a JavaScript function can stand in a WebAssembly table: `() -> i32`. */
const TRAMPOLINE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7f], // type () -> i32
  ...[0x02, 0x07, 0x01, 0x01, 0x68, 0x01, 0x74, 0x00, 0x00], // import "h" "t"
  ...[0x07, 0x05, 0x01, 0x01, 0x74, 0x00, 0x00], // export "t"
);

/** Guests of one thread, of which at most one runs at a time. */
export class Deadline {
  readonly #tick: CallableFunction;
  readonly #onBusy: (busyMs: number) => void;
  readonly #processorMs: number | undefined;
  #until = Infinity;
  #started = 0;
  /** What the thread had used of the processor when the task began, in milliseconds. */
  #usedBefore = 0;
  #expired = false;
  #cancelled = false;

  /**
   * `onBusy` is called now and then while a guest runs, with how long it has been running, in milliseconds. `processorMs`: a task
   * may take that much of the processor's time, whatever its calls may take by the clock; a thread that the system lets wait has
   * used nothing.
   */
  constructor(onBusy: (busyMs: number) => void = () => {}, processorMs?: number) {
    this.#onBusy = onBusy;
    this.#processorMs = processorMs;
    const ask = () => this.#look();
    const instance = new WebAssembly.Instance(new WebAssembly.Module(TRAMPOLINE), { h: { t: ask } });
    this.#tick = instance.exports["t"] as CallableFunction;
  }

  /**
   * To be called when a host function returns to the guest: what the host does for a guest takes time that no payment of the
   * guest's measures. Returns whether the guest's time is up; its budget must then be taken away, so that it asks at once.
   */
  afterHostCall(): boolean {
    if (this.#look() === 0) return false;
    this.expire();
    return true;
  }

  #look(): 0 | 1 {
    const now = performance.now();
    this.#onBusy(now - this.#started);
    if (!this.#isOver(now)) return 0;
    this.#expired = true;
    return 1;
  }

  #isOver(now: number): boolean {
    if (now < this.#until) return false;
    const left = this.#until === 0 ? 0 : this.#processorLeft();
    if (left <= 0) return true;
    this.#until = now + left;
    return false;
  }

  /** What the task has left of the processor's time; 0 where only the clock counts. */
  #processorLeft(): number {
    return this.#processorMs === undefined ? 0 : this.#usedBefore + this.#processorMs - processorTime();
  }

  /** Makes an instance ask this clock. */
  attach(instance: WebAssembly.Instance): void {
    (instance.exports[GUARD.tick] as WebAssembly.Table).set(0, this.#tick);
  }

  /**
   * Begins a task, which is calls of one guest. The host works for it before it arms the first one: without a time of its own that
   * was measured from the task before, and what had just begun was given out as busy.
   */
  begin(): void {
    this.#cancelled = false;
    this.#started = performance.now();
    if (this.#processorMs !== undefined) this.#usedBefore = processorTime();
  }

  /** Begins a call that may take `limitMs`. */
  arm(limitMs: number): void {
    this.#started = performance.now();
    this.#until = this.#cancelled ? 0 : this.#started + limitMs;
    this.#expired = false;
  }

  /**
   * Gives the thread's owner a turn, from within work that the host does for the guest and that may take until `until`. Returns
   * whether it may go on.
   */
  turn(until = Infinity): boolean {
    const now = performance.now();
    this.#onBusy(now - this.#started);
    if (this.#cancelled) return false;
    return now <= until || this.#processorLeft() > 0;
  }

  /** Gives the thread's owner a turn before work that no tick interrupts. */
  longWork(): void {
    this.#onBusy(Infinity);
  }

  /** Milliseconds left of the armed call; never negative. */
  left(): number {
    return Math.max(0, this.#until - performance.now());
  }

  /** Ends the armed call now: whatever the guest does next traps. */
  expire(): void {
    this.#expired = true;
    this.#until = 0;
  }

  /** Ends the running task: its calls have no time any more. */
  cancel(): void {
    this.#cancelled = true;
    this.expire();
  }

  /** Whether the running task was cancelled. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** Whether the guest was stopped because its time was up. */
  get expired(): boolean {
    return this.#expired;
  }
}

/** What this thread has used of the processor, in milliseconds. */
export function processorTime(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
