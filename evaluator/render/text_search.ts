/**
 * Finds a text within another in linear time (Knuth, Morris and Pratt). The runtimes' own `indexOf` and `split` take quadratic
 * time for texts made for it, and can't be interrupted: `"aaa…".indexOf("aaa…b")`.
 */
import { work, workOn } from "./work.ts";

/** For every prefix of a text the length of the longest shorter prefix that ends it. */
function failures(needle: string): Int32Array {
  const table = new Int32Array(needle.length);
  let matched = 0;
  for (let at = 1; at < needle.length; at++) {
    if ((at & 0xfff) === 0) work(0xfff >> 2);
    const unit = needle.charCodeAt(at);
    while (matched > 0 && needle.charCodeAt(matched) !== unit) matched = table[matched - 1]!;
    if (needle.charCodeAt(matched) === unit) matched++;
    table[at] = matched;
  }
  return table;
}

/** Looks for one text, which is not empty. */
export class Searcher {
  readonly #needle: string;
  #table: Int32Array | undefined;

  constructor(needle: string) {
    this.#needle = needle;
  }

  /** Where the text stands in `text`, at `from` or later; -1 for nowhere. */
  indexOf(text: string, from: number): number {
    const needle = this.#needle;
    if (text.length - from < needle.length) return -1;
    if (needle.length === 1) {
      const found = text.indexOf(needle, from);
      workOn((found < 0 ? text.length : found) - from);
      return found;
    }
    const table = this.#table ??= failures(needle);
    let matched = 0;
    for (let at = from; at < text.length; at++) {
      if ((at & 0xfff) === 0) work(0xfff >> 2);
      const unit = text.charCodeAt(at);
      while (matched > 0 && needle.charCodeAt(matched) !== unit) matched = table[matched - 1]!;
      if (needle.charCodeAt(matched) !== unit) continue;
      if (++matched === needle.length) return at + 1 - needle.length;
    }
    return -1;
  }

  /** Where the text stands in `text`: one behind the other, or overlapping ones too. */
  *occurrences(text: string, overlapping = false): Generator<number> {
    const needle = this.#needle;
    const table = needle.length <= text.length ? this.#table ??= failures(needle) : undefined;
    if (!table) return;
    let matched = 0;
    for (let at = 0; at < text.length; at++) {
      if ((at & 0xfff) === 0) work(0xfff >> 2);
      const unit = text.charCodeAt(at);
      while (matched > 0 && needle.charCodeAt(matched) !== unit) matched = table[matched - 1]!;
      if (needle.charCodeAt(matched) !== unit) continue;
      if (++matched < needle.length) continue;
      work();
      yield at + 1 - needle.length;
      matched = overlapping ? table[matched - 1]! : 0;
    }
  }
}
