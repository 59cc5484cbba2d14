/**
 * The state of an instance after its initialisation, to which it is put back before every further request: one guest never
 * sees another request's data (`render/instrument.ts` makes memory and globals reachable). Of the memory, what may have been written to is
 * put back, by the module's map (`render/written_map.ts`); all of it where the module has none.
 *
 * The size of its memory is a part of that state, though the guest has a page count of its own: what is loaded beyond that count
 * is zero where the memory has it, and a trap where it hasn't. So the memory gets room to grow when the snapshot is taken, by what
 * guests of its mode usually need for requests of the length that the instance is kept for (`request_room.ts`), and an instance that grew
 * beyond it is dropped: memory can't be made smaller.
 */
import { Buffer } from "node:buffer";
import { GUARD } from "../render/instrument.ts";
import { visitWritten } from "../render/written_map.ts";
import type { ExecutionMode } from "../types/metadata.ts";
import { wholeMemory } from "./guest_memory.ts";
import type { ByteRange } from "./seal.ts";

const PAGE = 65536;
/** Runs of equal treatment are found in blocks of this size: mostly zero memory then costs a fill, not a copy. */
const BLOCK = 4096;

/**
 * Pages that the memory gets beyond what the guest has, and the size that it has at least then. To put a page back takes 0.4 µs, a
 * new instance over 500 µs. Measured growth with requests of 10 KB and 100 KB: Rust on waPC 0 to 1 and 3 to 6 pages (TinyGo begins
 * with two and doubles), Rego 1 and 4, AssemblyScript 17, Go on WASI, whose runtime starts anew each time, 20 and 28.
 */
const ROOM: Readonly<Record<ExecutionMode, { readonly pages: number; readonly atLeast: number }>> = {
  "kubewarden-wapc": { pages: 3, atLeast: 20 },
  wasi: { pages: 32, atLeast: 0 },
  opa: { pages: 8, atLeast: 16 },
  gatekeeper: { pages: 8, atLeast: 16 },
  extism: { pages: 20, atLeast: 0 },
};

/** Longer zeros are looked at, in pieces; shorter ones are quicker written than looked at. */
const MAX_FILLED = 32 * PAGE;
const PIECE = 4 * PAGE;

const NOTHING = new Uint8Array(0);

type Run = { readonly start: number; readonly end: number; readonly content: Uint8Array | undefined };
/** Where a module keeps its map of what was written to. */
type Written = { readonly map: WebAssembly.Global; readonly shift: number };
type GlobalState = readonly [global: WebAssembly.Global, value: unknown];

const ZEROS = new Uint8Array(BLOCK);
const ZERO_PIECE = new Uint8Array(PIECE);

function takeRuns(bytes: Uint8Array, length: number, sealed: ByteRange | undefined): readonly Run[] {
  // Compares in native code, ten times as quick as a loop over words.
  const compared = Buffer.from(bytes.buffer);
  const runs: { start: number; end: number; zero: boolean }[] = [];
  for (let start = 0; start < length; start += BLOCK) {
    if (sealed !== undefined && start >= sealed.start && start < sealed.end) continue;
    const zero = compared.compare(ZEROS, 0, BLOCK, start, start + BLOCK) === 0;
    const last = runs.at(-1);
    if (last?.zero === zero && last.end === start) last.end = start + BLOCK;
    else runs.push({ start, end: start + BLOCK, zero });
  }
  // What lies beyond the guest's own page count must be zero, as freshly grown memory is.
  if (length < bytes.length) {
    const last = runs.at(-1);
    if (last?.zero && last.end === length) last.end = bytes.length;
    else runs.push({ start: length, end: bytes.length, zero: true });
  }
  return runs.map(({ start, end, zero }) => ({
    start,
    end,
    content: zero ? undefined : bytes.slice(start, end),
  }));
}

/** Zeros what is not zero. Most of a large room was never written to, and writing to it would have the kernel provide it. */
function zero(bytes: Uint8Array, start: number, end: number): void {
  const compared = Buffer.from(bytes.buffer);
  for (let at = start; at < end; at += PIECE) {
    const behind = Math.min(at + PIECE, end);
    if (compared.compare(ZERO_PIECE, 0, behind - at, at, behind) !== 0) bytes.fill(0, at, behind);
  }
}

/** Grows by as many of the pages as the memory's maximum allows. */
function grow(memory: WebAssembly.Memory, pages: number): void {
  for (let wanted = pages; wanted > 0; wanted = Math.floor(wanted / 2)) {
    try {
      memory.grow(wanted);
      return;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
}

/**
 * Since which snapshot each map of writes tells: an instance may have two, one with an inventory and one without (`rego_module.ts`), and
 * what was written before the later one is in neither's map. Whoever puts an instance back to another than that one puts back all of it.
 */
const since = new WeakMap<WebAssembly.Global, Snapshot>();

/** One instance and the state it is put back to. */
export class Snapshot {
  readonly #bytes: Uint8Array = NOTHING;
  readonly #runs: readonly Run[] = [];
  readonly #globals: readonly GlobalState[];
  readonly #size: number = 0;
  readonly #written: Written | undefined;
  readonly #restorable: boolean;

  /**
   * Takes the state that `instance` has now, and gives its memory room to grow: what is usual for its mode, and `room` pages besides. What
   * is `sealed`, whole pages, is neither kept nor put back (`seal.ts`).
   */
  constructor(instance: WebAssembly.Instance, mode: ExecutionMode, room = 0, sealed?: ByteRange) {
    const globals: GlobalState[] = [];
    for (const [name, value] of Object.entries(instance.exports)) {
      if (!name.startsWith(GUARD.prefix) || !(value instanceof WebAssembly.Global)) continue;
      if (name.startsWith(GUARD.written)) {
        this.#written = { map: value, shift: Number(name.slice(GUARD.written.length)) };
      } else globals.push([value, value.value]);
    }
    this.#globals = globals;
    // JavaScript does not keep the bits of a NaN.
    this.#restorable = globals.every(([, value]) => !Number.isNaN(value));
    const memory = instance.exports[GUARD.memory] as WebAssembly.Memory | undefined;
    if (!memory) return;
    const pages = Number((instance.exports[GUARD.pages] as WebAssembly.Global).value);
    const { pages: more, atLeast } = ROOM[mode];
    grow(memory, Math.max(pages + more, atLeast) + room - wholeMemory(memory).length / PAGE);
    const bytes = this.#bytes = wholeMemory(memory);
    this.#size = bytes.length;
    this.#runs = takeRuns(bytes, pages * PAGE, sealed);
    this.#isNow();
  }

  /** Puts the instance back. Returns false when it must be dropped instead, because that can't be done. */
  restore(): boolean {
    if (!this.#restorable) return false;
    for (const [global, value] of this.#globals) global.value = value;
    // Growth detaches the buffer: then this is empty.
    const bytes = this.#bytes;
    if (bytes.length !== this.#size) return false;
    const written = this.#written;
    if (written && since.get(written.map) === this) {
      visitWritten(
        written.map.value as bigint,
        written.shift,
        bytes.length,
        (start, end) => this.#putBack(start, end),
      );
    } else this.#putBack(0, bytes.length);
    this.#isNow();
    return true;
  }

  /** The instance is as it was when this snapshot was taken: from here on the map tells what differs from it. */
  #isNow(): void {
    if (!this.#written) return;
    this.#written.map.value = 0n;
    since.set(this.#written.map, this);
  }

  #putBack(from: number, to: number): void {
    const bytes = this.#bytes;
    for (const run of this.#runs) {
      if (run.end <= from) continue;
      if (run.start >= to) break;
      const start = Math.max(run.start, from), end = Math.min(run.end, to);
      if (run.content) bytes.set(run.content.subarray(start - run.start, end - run.start), start);
      else if (end - start <= MAX_FILLED) bytes.fill(0, start, end);
      else zero(bytes, start, end);
    }
  }
}
