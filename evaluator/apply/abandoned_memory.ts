/**
 * Memories of guests that are no longer used. V8 does not count them among what makes it collect garbage: with a policy that grows
 * by 40 MB, a hundred requests took 4.4 GB. So the thread collects when enough of them have come together, or some time after the
 * first: a thread that was attacked and then serves what needs no new instance would keep the rest for ever.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { wholeMemory } from "./guest_memory.ts";

/** Bytes that a thread's abandoned memories may take before they are given back; a collection takes some 5 ms. */
const MAX_ABANDONED = 128 << 20;
/** Milliseconds that less than that may wait. */
const MAX_WAIT_MS = 1_000;

/**
 * JavaScriptCore counts memories, but collects when something else asks for memory: three guests that took 256 MB each stayed with a
 * thread that had nothing more to do. Taken before the thread's powers are.
 */
const { Bun: bun } = globalThis as unknown as { readonly Bun?: { gc(force: boolean): void } };
let collect: Collect | undefined;

/** V8's own function; without options it collects once, and keeps the pages that it has freed for later. */
type Collect = (options?: {
  readonly type: "major";
  readonly execution: "sync";
  readonly flavor: "last-resort";
}) => void;

/** Gives all back, also what the host made for a guest: after hostile builtins of Rego 240 MB of pages stayed without it. */
const ALL = { type: "major", execution: "sync", flavor: "last-resort" } as const;

function collector(): Collect {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as Collect;
  setFlagsFromString("--no-expose-gc");
  return gc;
}

/** What one thread has abandoned. */
export class AbandonedMemory {
  readonly #max: number;
  #bytes = 0;
  /** When the first of them was abandoned. */
  #since = 0;

  /** @param max bytes that wait at most before they are given back */
  constructor(max = MAX_ABANDONED) {
    this.#max = max;
  }

  /** Counts a memory to which nothing refers any more when the caller has returned. */
  add(memory: WebAssembly.Memory | undefined): void {
    if (!memory) return;
    if (this.#bytes === 0) this.#since = performance.now();
    this.#bytes += wholeMemory(memory).length;
  }

  /**
   * Gives back what was abandoned, if it is much or has waited for long. Nothing may refer to it any more. Returns after how many
   * milliseconds to call again; Infinity when nothing waits.
   */
  release(): number {
    if (this.#bytes === 0) return Infinity;
    const waited = performance.now() - this.#since;
    const much = this.#bytes >= this.#max;
    if (!much && waited < MAX_WAIT_MS) return MAX_WAIT_MS - waited;
    if (bun) bun.gc(true);
    else {
      collect ??= collector();
      // With an argument, even an undefined one, V8 would collect the young generation alone.
      if (much) collect();
      else collect(ALL);
    }
    // Under attack the next one comes at once; all is given back when none has come for a while.
    this.#bytes = much ? 1 : 0;
    this.#since = performance.now();
    return much ? MAX_WAIT_MS : Infinity;
  }

  /** Gives back everything to which nothing refers, now. */
  releaseAll(): void {
    this.#bytes = 0;
    if (bun) bun.gc(true);
    else (collect ??= collector())(ALL);
  }
}
