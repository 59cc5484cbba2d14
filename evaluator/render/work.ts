/**
 * What a builtin's work costs. Every loop over a policy's or a request's data calls {@link work}; after so many units the clock is
 * looked at, and a builtin whose time is up throws {@link BuiltinHalt} from wherever it is.
 *
 * The meter is one variable of the thread instead of a parameter, because comparisons called by `sort`, number arithmetic and
 * text writers far below a builtin have to reach it. A builtin runs to its end without waiting, so that no two can mix.
 */
import { BuiltinHalt } from "../types/rego.ts";

/** Units between two looks at the clock. One unit is some ten nanoseconds to a microsecond of work, so at most 5 ms pass. */
const UNITS_PER_CHECK = 5_000;

let remaining = UNITS_PER_CHECK;
let checkTime: (() => void) | undefined;
/** What ended the task that is metered now. */
let ended: readonly [error: unknown] | undefined;

/** Counts work. Throws what the meter's check throws when the time is up. */
export function work(units = 1): void {
  remaining -= units;
  if (remaining > 0) return;
  if (checkTime === undefined) {
    remaining = UNITS_PER_CHECK;
    return;
  }
  try {
    checkTime();
    remaining = UNITS_PER_CHECK;
  } catch (error) {
    // The next unit looks again.
    ended ??= [error];
    throw error;
  }
}

/** Counts work that is native and linear in the length of a text or a list of bytes (16 characters are a unit). */
export function workOn(length: number): void {
  work(1 + (length >> 4));
}

/** Looks at the clock now: before and after a call into the runtime that can't be interrupted. */
export function pause(): void {
  work(UNITS_PER_CHECK);
}

/**
 * Runs `task`, whose work is paid from the time that `check` watches: it throws when that is up. What {@link check} or {@link halt} threw is
 * thrown here too, whatever the task made of it: a task that takes every error for a fault of its input must not answer with a part.
 */
export function metered<T>(check: () => void, task: () => T): T {
  const outer = checkTime;
  const outerEnded = ended;
  checkTime = check;
  ended = undefined;
  try {
    pause();
    const result = task();
    if (ended) throw (ended as readonly [unknown])[0];
    return result;
  } catch (error) {
    throw ended ? (ended as readonly [unknown])[0] : error;
  } finally {
    checkTime = outer;
    ended = outerEnded;
    remaining = UNITS_PER_CHECK;
  }
}

/** Ends the evaluation, because a limit was reached. */
export function halt(message: string): never {
  const error = new BuiltinHalt(message);
  if (checkTime) ended ??= [error];
  throw error;
}

const PARTS = 4096;

/** A text that grows piece by piece up to a limit, beyond which the evaluation ends. */
export class BoundedText {
  readonly #max: number;
  readonly #what: string;
  readonly #done: string[] = [];
  #parts: string[] = [];
  #length = 0;

  /** `max` in UTF-16 units; `what` names the text in the error. */
  constructor(max: number, what: string) {
    this.#max = max;
    this.#what = what;
  }

  get length(): number {
    return this.#length;
  }

  /** Throws {@link BuiltinHalt} when so many more characters are too many: to be asked before they are made. */
  reserve(length: number): void {
    if (this.#length + length > this.#max) {
      halt(`${this.#what} is longer than ${this.#max} characters`);
    }
  }

  add(text: string): void {
    this.reserve(text.length);
    workOn(text.length);
    this.#length += text.length;
    // Joined in batches, so that a text of single characters takes no more memory than its length.
    if (this.#parts.push(text) < PARTS) return;
    this.#done.push(this.#parts.join(""));
    this.#parts = [];
  }

  toString(): string {
    return this.#done.join("") + this.#parts.join("");
  }
}

/** Pieces of a text of at most `size` UTF-16 units, none of which cuts a character of two units; each is counted as work. */
export function* chunks(text: string, size = 16_384): Generator<string> {
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + size, text.length);
    const unit = text.charCodeAt(end - 1);
    if (end < text.length && unit >= 0xd800 && unit <= 0xdbff && end - at > 1) end--;
    workOn(end - at);
    yield text.slice(at, end);
    at = end;
  }
}

/** A text with every piece of it changed on its own: for changes of single characters. */
export function mapText(text: string, max: number, change: (piece: string) => string): string {
  const result = new BoundedText(max, "the result");
  for (const piece of chunks(text)) result.add(change(piece));
  return result.toString();
}

/** How many characters (code points) a text has. */
export function runeCount(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; count++) {
    if ((count & 0xfff) === 0) work(0xfff >> 4);
    at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  }
  return count;
}
