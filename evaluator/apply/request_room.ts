/**
 * How much room to grow a guest gets for its request. What a guest's memory grows by follows from the length of the request, and an instance
 * that outgrew its room is made anew, which takes longer than most evaluations. So instances are kept by the length of the requests that
 * they serve: the room that a guest can observe tells it of its own request, and nothing of any before.
 */

/** Requests of up to so many bytes, and the pages that their guests get besides what is usual. Rust on waPC takes 4 bytes a byte. */
interface RequestRoom {
  readonly bytes: number;
  readonly pages: number;
}

/** In order of length. Beyond the last one instances are not kept: they would take more memory than they save time. */
const ROOMS: readonly RequestRoom[] = [
  { bytes: 32 << 10, pages: 0 },
  { bytes: 128 << 10, pages: 12 },
  { bytes: 512 << 10, pages: 48 },
  { bytes: 2 << 20, pages: 192 },
];

/** Pages for a request of so many bytes, besides what is usual. */
export function roomFor(bytes: number): number {
  return ROOMS.find((room) => bytes <= room.bytes)?.pages ?? 0;
}

/** Instances with more room than usual that a thread keeps at most: each takes up to 12 MiB more. */
export const MAX_ROOMY = 3;
/** Milliseconds after which one that nobody needed is given back. */
export const ROOMY_IDLE_MS = 10_000;
