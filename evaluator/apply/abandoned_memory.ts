/**
 * Memories of guests that are no longer used, and the copies of what they answered. V8 does not count them among what makes it collect garbage: with a policy that grows
 * by 40 MB, a hundred requests took 4.4 GB. So the thread collects when enough of them have come together, or some time after the
 * first: a thread that was attacked and then serves what needs no new instance would keep the rest for ever.
 */
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { wholeMemory } from "./guest_memory.ts";

/**
 * Bytes that a thread's abandoned memories may take before they are given back; a collection takes some 5 ms. On Bun one takes more of the
 * processor and less memory waits for it: where each request leaves 8 MB, the server has 170 MB with either limit, and on Node 240 instead
 * of 320 MB with the lower.
 */
const MAX_ABANDONED = ("bun" in process.versions ? 128 : 48) << 20;
/** An answer is copied out of the guest, decoded, parsed, and sent to another thread. */
const COPIES = 4;
/** Milliseconds that less than that may wait. */
const MAX_WAIT_MS = 1_000;
/** A memory that outlives so many collections is not waited for: something refers to it, and a thread would collect for ever. */
const MAX_COLLECTIONS = 8;

/** Collects garbage. With `all`, whatever can be given back to the system is, which takes longer. */
type Collect = (all: boolean) => void;

/** V8's own function; without options it collects once, and keeps the pages that it has freed for later. */
type V8Collect = (options?: {
  readonly type: "major";
  readonly execution: "sync";
  readonly flavor: "last-resort";
}) => void;

/** Gives all back, also what the host made for a guest: after hostile builtins of Rego 240 MB of pages stayed without it. */
const ALL = { type: "major", execution: "sync", flavor: "last-resort" } as const;

/** How often V8's function is asked for: its flag is the process', and another thread may take it away in between. */
const MAX_TRIES = 100;

function v8Collector(): Collect {
  // Deno takes no flags of V8 once it runs; it collects by itself.
  if ("deno" in process.versions) return () => {};
  let collect: V8Collect | undefined;
  for (let tries = 0; collect === undefined && tries < MAX_TRIES; tries++) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("globalThis.gc") as V8Collect | undefined;
  }
  setFlagsFromString("--no-expose-gc");
  if (collect === undefined) return () => {};
  const found = collect;
  // With an argument, even an undefined one, V8 would collect the young generation alone.
  return (all) => all ? found(ALL) : found();
}

/**
 * JavaScriptCore counts memories, but collects when it allocates or has nothing to do; a thread of ours that has nothing to do is
 * blocked, and one that runs guests allocates little. After an attack each thread kept the memories of some 200 MB. Taken when
 * this file is loaded, because threads give up the global `Bun` (`confine.ts`).
 */
const bunCollect = (globalThis as { readonly Bun?: { gc(sync: boolean): number } }).Bun?.gc;
let collectGarbage: Collect | undefined = bunCollect && (() => {
  overwriteStack(STACK_LEVELS, 1, 2, 3, 4, 5, 6, 7, 8);
  bunCollect(true);
});

/** Deeper than a guest's own calls leave references behind; 50 KB or so. */
const STACK_LEVELS = 400;

/**
 * Writes numbers over the part of the stack that the collection is going to use: what guests left there JavaScriptCore takes for
 * references, as it can't tell them from numbers. Without it a thread of the bundle kept one or two memories of 256 MB for good.
 */
function overwriteStack(
  levels: number,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
  g: number,
  h: number,
): number {
  if (levels === 0) return a + b + c + d + e + f + g + h;
  return overwriteStack(levels - 1, b, c, d, e, f, g, h, a + levels) + levels;
}

/** What one thread has abandoned. */
export class AbandonedMemory {
  /** Those that were not collected yet. */
  readonly #left = new Set<WeakRef<WebAssembly.Memory>>();
  /** Bytes that were abandoned since the last collection. */
  #bytes = 0;
  /** Since when a collection is wanted; undefined when none is. */
  #since: number | undefined;
  /** Collections since a memory was added. */
  #collections = 0;
  readonly #max: number;

  /** @param max bytes that wait at most before they are given back */
  constructor(max = MAX_ABANDONED) {
    this.#max = Math.min(max, MAX_ABANDONED);
  }

  /** Counts a memory to which nothing refers any more when the caller has returned. */
  add(memory: WebAssembly.Memory | undefined): void {
    if (!memory) return;
    this.#since ??= performance.now();
    this.#collections = 0;
    this.#bytes += wholeMemory(memory).length;
    this.#left.add(new WeakRef(memory));
  }

  /** Counts what the host makes of so many bytes of a guest's, which is garbage when the request has ended. */
  addCopies(bytes: number): void {
    this.#since ??= performance.now();
    this.#bytes += COPIES * bytes;
  }

  /** Milliseconds until {@link collect} is to be called, 0 for now; Infinity when nothing waits. */
  due(): number {
    if (this.#since === undefined) return Infinity;
    if (this.#bytes >= this.#max) return 0;
    return Math.max(0, this.#since + MAX_WAIT_MS - performance.now());
  }

  /** Has {@link collect} called at once, and give back whatever it can. */
  expire(): void {
    this.#since = -Infinity;
    this.#bytes = 0;
  }

  /**
   * Gives back what was abandoned; nothing may refer to it any more. It takes 5 to 100 ms. JavaScriptCore takes what lies on the
   * stack for references, and keeps what a weak reference was made to or asked for until a timer had its turn (`setImmediate` is
   * none): without it one or two memories of 256 MB stayed in each thread. `begin` is called after that.
   */
  async collect(begin: () => void): Promise<void> {
    const much = this.#bytes >= this.#max;
    await new Promise((resolve) => setTimeout(resolve, 0));
    begin();
    collectGarbage ??= v8Collector();
    collectGarbage(!much);
    for (const memory of this.#left) if (!memory.deref()) this.#left.delete(memory);
    if (++this.#collections >= MAX_COLLECTIONS) this.#left.clear();
    this.#bytes = 0;
    // Under attack the next one comes at once; all is given back when none has come for a while.
    this.#since = much || this.#left.size > 0 ? performance.now() : undefined;
  }
}
