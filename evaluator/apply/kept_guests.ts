/**
 * The guests of one thread that wait for their next request, and what they may hold of memory. A guest serves all policies of its module,
 * but for those that were granted a view of the cluster: what such a guest may hold of that (`rego_module.ts`) is one policy's.
 */
import type { Guest } from "../types/guest.ts";
import type { ThreadMemory } from "../types/protocol.ts";
import { AbandonedMemory } from "./abandoned_memory.ts";
import { wholeMemory } from "./guest_memory.ts";
import { MAX_ROOMY, ROOMY_IDLE_MS } from "./request_room.ts";

/** The place of one guest. */
export interface Slot {
  readonly module: number;
  /** The only policy that the guest serves; undefined where it serves all of its module. */
  readonly policy: number | undefined;
  /** Pages that its guest gets besides what is usual. */
  readonly room: number;
  guest: Guest | undefined;
  memory: WebAssembly.Memory | undefined;
  dirty: boolean;
  /** What the guest's memory and its snapshots take. */
  bytes: number;
  /** When it was used last. */
  usedAt: number;
  /** The policy that used it last. */
  usedBy: number;
}

/** A guest's memory with its snapshot, as a multiple of the memory: half of it is not zero, for policies in Rust. */
const SNAPSHOT_SHARE = 1.5;

/** What one guest may hold of the cluster's objects, in bytes, where memory is ample: 10,000 RoleBindings take 90 MB. */
const MAX_HELD = 256 << 20;

/** The guests of one thread. */
export class KeptGuests {
  readonly abandoned: AbandonedMemory;
  /** Those that were used last stand last. */
  readonly #slots = new Map<string, Slot>();
  /** Instances for long requests; the one that was used last stands last. */
  readonly #roomy = new Map<string, Slot>();
  /** Bytes that guests which wait may hold. */
  readonly #max: number;
  #bytes = 0;
  /** Slots whose guest could not be put back after a request: the next one will want another. */
  readonly #spent = new Set<Slot>();
  /** The policies that used guests last which were dropped since the last collection. */
  readonly #dropped = new Set<number>();

  /** @param memory what may be held of guests that run no request; much unless given */
  constructor(memory?: ThreadMemory) {
    this.abandoned = new AbandonedMemory(memory?.abandoned);
    this.#max = memory?.kept ?? Infinity;
  }

  /** Whether one guest may hold so many bytes of what was prepared for it. */
  mayHold(bytes: number): boolean {
    return bytes <= Math.min(this.#max, MAX_HELD);
  }

  /** The place of the instance that serves requests to a module with so much room besides the usual, or of one policy alone. */
  slotFor(module: number, policy: number | undefined, room: number): Slot {
    const own = policy === undefined ? `${module}` : `${module}/${policy}`;
    const key = room === 0 ? own : `${own} ${room}`;
    const slots = room === 0 ? this.#slots : this.#roomy;
    const slot: Slot = slots.get(key) ??
      {
        module,
        policy,
        room,
        guest: undefined,
        memory: undefined,
        dirty: false,
        bytes: 0,
        usedAt: 0,
        usedBy: -1,
      };
    if (room > 0 || this.#max < Infinity) slots.delete(key);
    slots.set(key, slot);
    if (room === 0) return slot;
    slot.usedAt = performance.now();
    for (const [first, oldest] of slots) {
      if (slots.size <= MAX_ROOMY) break;
      this.#drop(first, oldest);
    }
    return slot;
  }

  /** Counts what the slot's guest takes, and drops those that were used longest ago until the others may be kept. */
  measure(slot: Slot): void {
    const size = slot.memory === undefined ? 0 : wholeMemory(slot.memory).length;
    const prepared = slot.guest?.preparedBytes?.() ?? 0;
    const bytes = prepared > 0 ? size + prepared : SNAPSHOT_SHARE * size;
    if (bytes === slot.bytes) return;
    this.#bytes += bytes - slot.bytes;
    slot.bytes = bytes;
    for (const other of this.#slots.values()) {
      if (this.#bytes <= this.#max) return;
      if (other !== slot && other.guest) this.abandon(other);
    }
  }

  /** Puts a guest that was used back to its snapshot, or drops it. */
  clean(slot: Slot): void {
    if (slot.guest && slot.dirty) {
      if (slot.guest.restore()) this.measure(slot);
      else {
        if (this.mayHold(slot.bytes)) this.#spent.add(slot);
        this.abandon(slot);
      }
    }
    slot.dirty = false;
  }

  /** A slot whose guest is better made anew before a request comes; undefined when there is none. Each is named once. */
  nextSpent(): Slot | undefined {
    for (const slot of this.#spent) {
      this.#spent.delete(slot);
      if (!slot.guest) return slot;
    }
    return undefined;
  }

  /** Drops the slot's guest. */
  abandon(slot: Slot): void {
    this.abandoned.add(slot.memory);
    if (slot.memory) this.#dropped.add(slot.usedBy);
    this.#bytes -= slot.bytes;
    slot.bytes = 0;
    slot.guest = slot.memory = undefined;
  }

  #drop(key: string, slot: Slot): void {
    this.abandon(slot);
    this.#spent.delete(slot);
    this.#roomy.delete(key);
  }

  /** Forgets the guests of these policies and modules. */
  remove(policies: readonly number[], modules: readonly number[]): void {
    for (const slots of [this.#slots, this.#roomy]) {
      for (const [key, slot] of slots) {
        if (
          !modules.includes(slot.module) && !(slot.policy !== undefined && policies.includes(slot.policy))
        ) {
          continue;
        }
        this.abandon(slot);
        this.#spent.delete(slot);
        slots.delete(key);
      }
    }
  }

  /** Gives back what dropped guests took. Returns the policies that used them last. */
  async collect(begin: () => void): Promise<readonly number[]> {
    const policies = [...this.#dropped];
    this.#dropped.clear();
    await this.abandoned.collect(begin);
    return policies;
  }

  /**
   * Puts guests that were used back to their snapshots. `done` is called after each, with the policy that had used it. Returns after how
   * many milliseconds to do so again; Infinity: no need.
   */
  tidy(done: (policy: number) => void = () => {}): number {
    const clean = (slot: Slot) => {
      if (!slot.dirty) return;
      this.clean(slot);
      done(slot.usedBy);
    };
    for (const slot of this.#slots.values()) clean(slot);
    let idleMs = Infinity;
    for (const [key, slot] of this.#roomy) {
      clean(slot);
      const left = slot.usedAt + ROOMY_IDLE_MS - performance.now();
      if (left <= 0) this.#drop(key, slot);
      else idleMs = Math.min(idleMs, left);
    }
    return idleMs;
  }

  /** Drops all guests. */
  clear(): void {
    for (const slot of this.#slots.values()) if (slot.guest) this.abandon(slot);
    this.#spent.clear();
    for (const [key, slot] of this.#roomy) this.#drop(key, slot);
  }
}
