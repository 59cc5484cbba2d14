/**
 * Follows a collection: a list, then a watch from there, and a new list where the watch is too old (410 Gone). The controller's
 * caches and the policy server's are filled by it.
 */
import { sleep } from "../../program/apply/sleep.ts";

/** How a collection is read, and what becomes of it. */
export interface Followed<Line> {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Without even a bookmark for so long, in milliseconds, a connection is taken for dead. */
  readonly silenceMs: number;
  /** Reads everything. Resolves to the version to watch from. */
  list(): Promise<string>;
  /** The lines of a watch from a version. */
  lines(from: string, signal: AbortSignal): AsyncIterable<Line>;
  /** Takes an event. Returns the version to go on from, undefined where it tells none. Throws what the event says went wrong. */
  take(line: Line): string | undefined;
  /** Whether an error counts also where the watch had told something before it, as that of a broken connection does not. */
  isAnswer(error: unknown): boolean;
  /** Called with what went wrong. Resolves to whether it is tried again. */
  failed(error: unknown): boolean | Promise<boolean>;
}

/** Between two watches, so that a server which ends them at once is not pressed, in milliseconds. */
const RENEWAL_PAUSE_MS = 50;
const FIRST_PAUSE_MS = 200;
const LAST_PAUSE_MS = 15_000;

/** Watches from a version. Resolves to the version to go on from, undefined when a new list is needed. */
async function watch<Line>(followed: Followed<Line>, from: string): Promise<string | undefined> {
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const received = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), followed.silenceMs);
  };
  let version = from;
  try {
    received();
    for await (const line of followed.lines(from, AbortSignal.any([followed.signal, silence.signal]))) {
      received();
      if (followed.signal.aborted) return undefined;
      version = followed.take(line) ?? version;
    }
    return version;
  } catch (error) {
    if ((error as { readonly status?: unknown }).status === 410) return undefined;
    // A connection that broke: what was seen so far was seen.
    if (!followed.isAnswer(error) && version !== from) return version;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Lists, unless the version of a list is given, and watches until the signal ends it, or what failed is not tried again. */
export async function listAndWatch<Line>(followed: Followed<Line>, listed?: string): Promise<void> {
  const { signal } = followed;
  let version = listed;
  let wait = FIRST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      version ??= await followed.list();
      version = await watch(followed, version);
      wait = FIRST_PAUSE_MS;
      await sleep(RENEWAL_PAUSE_MS, signal);
    } catch (error) {
      if (signal.aborted || !await followed.failed(error)) return;
      await sleep(wait, signal);
      wait = Math.min(wait * 2, LAST_PAUSE_MS);
    }
  }
}
