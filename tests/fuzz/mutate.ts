/** Changes inputs: bytes as bytes, texts by the words of their format, JSON by its structure. */
import type { Random } from "./random.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** No input grows beyond this by mutation: long inputs find little that short ones don't, and cost more. */
const MAX_LENGTH = 1 << 16;

const BYTES = [
  0,
  1,
  0x7f,
  0x80,
  0xff,
  0x0a,
  0x0d,
  0x1b,
  0x20,
  0x22,
  0x2d,
  0x5c,
  0x7b,
  0x7d,
  0xc0,
  0xe2,
  0xf8,
];

/** Words that have broken readers of any format. */
export const HOSTILE_WORDS: readonly string[] = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "valueOf",
  "__defineGetter__",
  "",
  " ",
  "\u001b[31m",
  "\r\n",
  "\u0000",
  "\u202e",
  "\u0085",
  "\u2028",
  "\ufeff",
  "😀",
  "é",
  "e\u0301",
  "..",
  "../../etc/passwd",
  "/",
  "%00",
  "%2e%2e%2f",
  "*",
  "null",
  "true",
  "-0",
  "0.1e-7",
  "1e309",
  "9007199254740993",
  "-9223372036854775808",
  "18446744073709551616",
  "0x7fffffff",
  "NaN",
  "${x}",
  "{{x}}",
  "a".repeat(300),
];

function splice(input: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array {
  const out = new Uint8Array(input.length - removed + added.length);
  out.set(input.subarray(0, at));
  out.set(added, at);
  out.set(input.subarray(at + removed), at + added.length);
  return out;
}

const range = (random: Random, length: number): readonly [at: number, count: number] => {
  const at = random.below(length + 1);
  const longest = random.oneIn(4) ? length - at : Math.min(16, length - at);
  return [at, random.below(longest + 1)];
};

function mutateOnce(
  random: Random,
  input: Uint8Array,
  seeds: readonly Uint8Array[],
  words: readonly string[],
): Uint8Array {
  const [at, count] = range(random, input.length);
  switch (random.below(words.length > 0 ? 11 : 8)) {
    case 0: {
      if (input.length === 0) return input;
      const out = input.slice();
      out[random.below(out.length)]! ^= 1 << random.below(8);
      return out;
    }
    case 1: {
      if (input.length === 0) return input;
      const out = input.slice();
      out[random.below(out.length)] = random.oneIn(2) ? random.pick(BYTES) : random.below(256);
      return out;
    }
    case 2:
      return splice(input, at, count, new Uint8Array(0));
    case 3: // a piece twice
      return splice(input, at, 0, input.subarray(at, at + count));
    case 4: {
      // a piece many times: nesting, long lists, long words
      const piece = input.subarray(at, at + Math.min(count, 16));
      const times = 1 << random.below(12);
      const repeated = new Uint8Array(Math.min(piece.length * times, MAX_LENGTH));
      for (let index = 0; index < repeated.length; index++) repeated[index] = piece[index % piece.length]!;
      return splice(input, at, 0, repeated);
    }
    case 5: // a piece of another seed
    {
      const other = random.pick(seeds);
      const [from, length] = range(random, other.length);
      return splice(input, at, count, other.subarray(from, from + length));
    }
    case 6:
      return splice(input, at, random.oneIn(2) ? count : 0, random.bytes(random.below(8)));
    case 7: // a piece moved
    {
      const piece = input.slice(at, at + count);
      const rest = splice(input, at, count, new Uint8Array(0));
      return splice(rest, random.below(rest.length + 1), 0, piece);
    }
    case 8:
      return splice(input, at, 0, encoder.encode(random.pick(words)));
    case 9:
      return splice(input, at, count, encoder.encode(random.pick(words)));
    default:
      return splice(input, at, random.oneIn(2) ? count : 0, encoder.encode(random.pick(HOSTILE_WORDS)));
  }
}

/** Some mutations of an input. `words` are those of its format; without any the input is taken for binary. */
export function mutateBytes(
  random: Random,
  input: Uint8Array,
  seeds: readonly Uint8Array[],
  words: readonly string[] = [],
): Uint8Array {
  let out = input;
  for (let left = 1 + random.below(random.oneIn(4) ? 12 : 3); left > 0; left--) {
    out = mutateOnce(random, out, seeds, words);
    if (out.length > MAX_LENGTH) out = out.subarray(0, MAX_LENGTH);
  }
  return out;
}

/** Words are put between words: also texts that are made of lines and tokens change token by token. */
export function mutateTokens(random: Random, text: string, words: readonly string[]): string {
  const tokens = text.match(/\w+|\s+|[^\w\s]/gu) ?? [];
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(tokens.length + 1);
    switch (random.below(6)) {
      case 0:
        tokens.splice(at, 1 + random.below(3));
        break;
      case 1:
        tokens.splice(at, 0, ...tokens.slice(at, at + 1 + random.below(12)));
        break;
      case 2: {
        const other = random.below(tokens.length + 1);
        const piece = tokens.splice(other, 1 + random.below(6));
        tokens.splice(at, 0, ...piece);
        break;
      }
      case 3:
        tokens.splice(at, 1, random.pick(HOSTILE_WORDS));
        break;
      default:
        tokens.splice(at, random.below(2), random.pick(words));
    }
  }
  return tokens.join("").slice(0, MAX_LENGTH);
}

type Json = null | boolean | number | string | readonly Json[] | ReadonlyMap<string, Json> | Raw;
/** A scalar as it is to be written: numbers that JavaScript would change. */
class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** JSON as a tree of maps, which keep any key. */
function treeOf(value: unknown): Json {
  if (Array.isArray(value)) return value.map(treeOf);
  if (typeof value === "object" && value !== null) {
    return new Map(Object.entries(value).map(([name, member]) => [name, treeOf(member)]));
  }
  return value as Json;
}

function write(value: Json): string {
  if (value instanceof Raw) return value.text;
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (value instanceof Map) {
    return `{${[...value].map(([name, member]) => `${JSON.stringify(name)}:${write(member)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

const NUMBERS = [
  "0",
  "-0",
  "-0.0",
  "1.0",
  "-1",
  "65535",
  "65536",
  "2147483648",
  "4294967296",
  "9007199254740993",
  "9223372036854775808",
  "18446744073709551616",
  "1e2",
  "1E+02",
  "5e-324",
  "1e308",
  "0.1e-7",
  "123456789012345678901234567890",
];

/** A scalar or a small tree. */
function anyValue(random: Random, words: readonly string[], depth = 0): Json {
  switch (random.below(depth < 4 ? 9 : 7)) {
    case 0:
      return null;
    case 1:
      return random.oneIn(2);
    case 2:
      return new Raw(random.pick(NUMBERS));
    case 3:
      return random.below(1 << 30) - (1 << 29);
    case 4:
      return random.pick(HOSTILE_WORDS);
    case 5:
    case 6:
      return words.length > 0 ? random.pick(words) : String(random.below(1000));
    case 7:
      return Array.from({ length: random.below(4) }, () => anyValue(random, words, depth + 1));
    default:
      return new Map(
        Array.from(
          { length: random.below(4) },
          () => [anyKey(random, words), anyValue(random, words, depth + 1)] as const,
        ),
      );
  }
}

const anyKey = (random: Random, words: readonly string[]): string =>
  words.length === 0 || random.oneIn(5) ? random.pick(HOSTILE_WORDS) : random.pick(words);

function mutateTree(random: Random, value: Json, words: readonly string[]): Json {
  const container = Array.isArray(value) || value instanceof Map;
  const size = Array.isArray(value) ? value.length : value instanceof Map ? value.size : 0;
  // Mostly go down; a change at the top throws all else away.
  if (container && size > 0 && !random.oneIn(6)) {
    const at = random.below(size);
    if (Array.isArray(value)) {
      return value.map((item, index) => index === at ? mutateTree(random, item, words) : item);
    }
    return new Map(
      [...value as ReadonlyMap<string, Json>].map(([name, member], index) =>
        [name, index === at ? mutateTree(random, member, words) : member] as const
      ),
    );
  }
  if (container && !random.oneIn(4)) {
    const entries: (readonly [string, Json])[] = value instanceof Map
      ? [...value]
      : (value as readonly Json[]).map((item) => ["", item] as const);
    const at = random.below(entries.length + 1);
    switch (random.below(4)) {
      case 0:
        entries.splice(at, 1);
        break;
      case 1:
        entries.splice(at, 0, [anyKey(random, words), anyValue(random, words)]);
        break;
      case 2:
        if (entries[at]) entries[at] = [anyKey(random, words), entries[at][1]];
        break;
      default:
        if (entries[at]) entries.push([`${entries[at][0]}${random.below(9)}`, entries[at][1]]);
    }
    return value instanceof Map ? new Map(entries) : entries.map(([, item]) => item);
  }
  if (typeof value === "string" && random.oneIn(2)) {
    return mutateTokens(random, value, words.length > 0 ? words : HOSTILE_WORDS);
  }
  if (random.oneIn(12)) {
    let nested = value;
    for (let left = 1 << random.below(9); left > 0; left--) {
      nested = random.oneIn(2) ? [nested] : new Map([["a", nested]]);
    }
    return nested;
  }
  return anyValue(random, words);
}

const trees = new WeakMap<Uint8Array, Json>();

/** JSON seeds as trees, so that each is parsed once. Seeds that are no JSON are mutated as texts. */
function treeOfSeed(seed: Uint8Array): Json | undefined {
  if (!trees.has(seed)) {
    let tree: Json | undefined;
    try {
      tree = treeOf(JSON.parse(decoder.decode(seed)));
    } catch {
      tree = undefined;
    }
    if (tree !== undefined) trees.set(seed, tree);
  }
  return trees.get(seed);
}

/** A JSON text out of a seed: mostly changed by its structure, so that readers get past the syntax; else as text. */
export function mutateJson(
  random: Random,
  seeds: readonly Uint8Array[],
  words: readonly string[] = [],
): Uint8Array {
  const seed = random.pick(seeds);
  const tree = random.oneIn(6) ? undefined : treeOfSeed(seed);
  if (tree === undefined) return mutateBytes(random, seed, seeds, [...words, ...JSON_WORDS]);
  let out = tree;
  for (let left = 1 + random.below(random.oneIn(4) ? 6 : 2); left > 0; left--) {
    out = mutateTree(random, out, words);
  }
  const text = write(out);
  const bytes = encoder.encode(text.length > MAX_LENGTH ? text.slice(0, MAX_LENGTH) : text);
  return random.oneIn(16) ? mutateBytes(random, bytes, seeds, JSON_WORDS) : bytes;
}

const JSON_WORDS = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  '":',
  "{}",
  "[]",
  '"a":1,',
  "\\u0041",
  "\\ud83d\\ude00",
  "\\ud800",
  "\\",
  "1e400",
  "-",
  "01",
  "1.",
  "null",
  "true",
  "false",
  "nul",
  "\t",
  '"__proto__":{},',
];

/** A text out of a seed: by its lines, by its words, or by its bytes. */
export function mutateText(
  random: Random,
  seeds: readonly Uint8Array[],
  words: readonly string[],
): Uint8Array {
  const seed = random.pick(seeds);
  switch (random.below(4)) {
    case 0:
      return mutateBytes(random, seed, seeds, words);
    case 1: {
      const lines = decoder.decode(seed).split("\n");
      const at = random.below(lines.length);
      const line = lines[at]!;
      const indent = " ".repeat(random.below(6));
      switch (random.below(5)) {
        case 0:
          lines.splice(at, 1);
          break;
        case 1:
          lines.splice(at, 0, line);
          break;
        case 2:
          lines.splice(at, 1, indent + line.trimStart());
          break;
        case 3:
          lines.splice(at, 0, `${indent}${random.pick(words)}: ${random.pick(HOSTILE_WORDS)}`);
          break;
        default:
          lines.splice(
            at,
            0,
            ...decoder.decode(random.pick(seeds)).split("\n").slice(0, 1 + random.below(9)),
          );
      }
      return encoder.encode(lines.join("\n").slice(0, MAX_LENGTH));
    }
    default:
      return encoder.encode(mutateTokens(random, decoder.decode(seed), words));
  }
}
