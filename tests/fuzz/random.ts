/** Randomness that can be repeated: the input of each run follows from the fuzzer's seed and the run's number alone. */
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";

/** What generators draw from. */
export interface Random {
  /** A whole number of at least 0 and less than `bound`. */
  below(bound: number): number;
  /** True once in `odds` times. */
  oneIn(odds: number): boolean;
  /** One of the items of a list that is not empty. */
  pick<T>(items: readonly T[]): T;
  bytes(length: number): Uint8Array;
}

/** The randomness of run number `run`. */
export function randomOf(seed: number, run: number): Random {
  // Neighbouring seeds give related first numbers, so the two are mixed (the finaliser of MurmurHash3) and some are passed over.
  let mixed = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(run + 1, 0xc2b2ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  const generator = xoroshiro128plus(mixed ^ (mixed >>> 16));
  for (let skipped = 0; skipped < 4; skipped++) generator.next();
  const below = (bound: number) => bound <= 1 ? 0 : uniformInt(generator, 0, bound - 1);
  return {
    below,
    oneIn: (odds) => below(odds) === 0,
    pick: (items) => items[below(items.length)]!,
    bytes: (length) => {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at += 4) {
        const word = generator.next();
        bytes[at] = word;
        bytes[at + 1] = word >>> 8;
        bytes[at + 2] = word >>> 16;
        bytes[at + 3] = word >>> 24;
      }
      return bytes;
    },
  };
}
