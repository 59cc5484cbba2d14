/**
 * The map of where a guest wrote, so that only that part of its memory is put back (`../apply/snapshot.ts`).
 *
 * A mutable global of 64 bits is the map: bit n stands for the chunks n, n + 64, n + 128 … of the memory, so that an address needs
 * neither a check nor a branch: `written |= 1 << (address >> shift)`, where a shift by 64 or more begins anew, as WebAssembly's do.
 * Before a store its address is recorded, or the base that its address begins from ({@link REACH}); which stores need it
 * is found by `recorded_stores.ts`. Bulk operations and the host record the whole range. Nothing but the host takes a bit away.
 *
 * Measured beside this (`npm run bench:restore`): to put all of the memory back costs a third of the processor time of a policy in
 * Rust, and throws everything else out of the caches; a branch to code that sets a bit costs QuickJS more than it saves on Bun,
 * and doubles the code; bits gathered in a local variable cost as much as these.
 */
import type { Writer } from "./wasm_binary.ts";

/**
 * A base that is recorded covers what is written from it up to so many bytes further, offsets and all. So a bit stands for its chunks and
 * this many bytes behind each.
 */
export const REACH = 4096;
/** The widest store: `v128.store`. */
const MAX_STORED = 16;
/** Chunks of 32 KiB: 2 MiB of memory before a bit stands for two of them. */
const LEAST_SHIFT = 15;
const BITS = 64;
const PAGE_SHIFT = 16;

/** Where a module keeps its map. */
export interface WrittenMap {
  readonly global: number;
  /** A chunk has so many (log2) bytes. */
  readonly shift: number;
}

/** The size of chunks, as log2, with which the memory that a module begins with has a bit for each. */
export function chunkShift(pages: number): number {
  let shift = LEAST_SHIFT;
  while (pages * 2 ** PAGE_SHIFT > BITS * 2 ** shift) shift++;
  return shift;
}

/** Whether a store at this offset from a recorded base stays within {@link REACH}. */
export function isWithinReach(offset: number): boolean {
  return offset + MAX_STORED <= REACH;
}

/** `written |= 1 << ((base + offset) >> shift)`, the base being a local variable. */
export function emitRecord(out: Writer, { global, shift }: WrittenMap, base: number, offset: number): void {
  out.u8(0x23);
  out.u32(global);
  out.raw(0x42, 1, 0x20); // i64.const 1, local.get
  out.u32(base);
  if (!isWithinReach(offset)) {
    // Where this goes beyond 32 bits the store traps.
    out.u8(0x41);
    out.s32(offset | 0);
    out.u8(0x6a);
  }
  out.raw(0x41, shift, 0x76, 0xad, 0x86, 0x84, 0x24); // i32.const, i32.shr_u, i64.extend_i32_u, i64.shl, i64.or, global.set
  out.u32(global);
}

/**
 * Records `length` bytes from `start`, both local variables: `written |= rotl(ones(last - first + 1), first)`, for the chunks that the
 * range begins and ends in. A range that is out of bounds may record anything: its operation traps.
 */
export function emitRecordRange(
  out: Writer,
  { global, shift }: WrittenMap,
  start: number,
  length: number,
): void {
  const chunk = (emitAddress: () => void) => {
    emitAddress();
    out.raw(0x41, shift, 0x76);
  };
  const first = () => chunk(() => out.raw(0x20, start));
  const beyondFirst = () => {
    chunk(() => out.raw(0x20, start, 0x20, length, 0x6a, 0x41, 1, 0x6b)); // start + length - 1
    first();
    out.u8(0x6b);
  };
  out.raw(0x20, length, 0x04, 0x40); // if (length != 0)
  out.u8(0x23);
  out.u32(global);
  // beyondFirst <u 64 ? rotl(-1 >>> (63 - beyondFirst), first) : -1
  out.raw(0x42, 0x7f, 0x41, BITS - 1);
  beyondFirst();
  out.raw(0x6b, 0xad, 0x88); // i32.sub, i64.extend_i32_u, i64.shr_u
  first();
  out.raw(0xad, 0x89, 0x42, 0x7f); // i64.extend_i32_u, i64.rotl, i64.const -1
  beyondFirst();
  out.raw(0x41, 0xc0, 0, 0x49, 0x1b); // i32.const 64, i32.lt_u, select
  out.raw(0x84, 0x24); // i64.or, global.set
  out.u32(global);
  out.u8(0x0b);
}

/** Calls `visit` with each range of a memory of `size` bytes that a map says may have been written to, in order. */
export function visitWritten(
  map: bigint,
  shift: number,
  size: number,
  visit: (start: number, end: number) => void,
): void {
  const low = Number(BigInt.asUintN(32, map));
  const high = Number(BigInt.asUintN(32, map >> 32n));
  if (low === 0 && high === 0) return;
  const chunk = 2 ** shift;
  let start = -1;
  const chunks = Math.ceil(size / chunk);
  for (let index = 0; index < chunks; index++) {
    const bit = index % BITS;
    const written = (bit < 32 ? low >>> bit : high >>> (bit - 32)) & 1;
    if (written && start < 0) start = index * chunk;
    else if (!written && start >= 0) {
      visit(start, Math.min(index * chunk + REACH, size));
      start = -1;
    }
  }
  if (start >= 0) visit(start, size);
}
