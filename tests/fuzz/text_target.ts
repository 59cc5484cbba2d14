/** Targets whose input is a text: a YAML or JSON document of the product's own. */
import { HOSTILE_WORDS, mutateJson, mutateText } from "./mutate.ts";
import type { Target } from "./target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** YAML's reader takes some 30 ms for a KiB of mistakes: longer texts show no more and cost the time of a thousand short ones. */
const MAX_YAML = 2048;

/** What such a target is made of. */
export interface TextTarget extends Pick<Target, "name" | "setUp" | "expected" | "limitMs" | "limitMib"> {
  /** Texts, or values that are written as JSON, which is YAML too. */
  readonly examples: readonly (string | object)[];
  /** Words of the format. */
  readonly words: readonly string[];
  /** Whether it is YAML, so that its lines and indentation matter. */
  readonly yaml?: boolean;
  readonly read: (text: string, bytes: Uint8Array) => void | Promise<void>;
}

const YAML_WORDS = [
  ":",
  "-",
  "- ",
  "? ",
  "&a ",
  "*a",
  "<<: *a",
  "!!str ",
  "!!binary ",
  "!!set ",
  "!!timestamp ",
  "|",
  ">-",
  "#",
  "---",
  "...",
  "%YAML 1.2",
  "{}",
  "[]",
  "{a: &b [*b]}",
  '"\\x41"',
  "'",
  "~",
  "0o17",
  "0x1f",
  "1_000",
  ".inf",
  "2001-01-01",
  "yes",
  "\t",
  "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]\n",
];

export function textTarget(given: TextTarget): Target {
  const { examples, words, yaml = false, read, ...rest } = given;
  const texts = examples.map((example) => typeof example === "string" ? example : JSON.stringify(example));
  const known = yaml ? [...words, ...YAML_WORDS] : words;
  const generate: Target["generate"] = (random, seeds) => {
    if (yaml && random.oneIn(2)) return mutateText(random, seeds, random.oneIn(4) ? HOSTILE_WORDS : known);
    return mutateJson(random, seeds, random.oneIn(8) ? HOSTILE_WORDS : words);
  };
  return {
    ...rest,
    seeds: () => texts.map((text) => encoder.encode(text)),
    generate: yaml ? (random, seeds) => generate(random, seeds).subarray(0, MAX_YAML) : generate,
    run: (input) => read(decoder.decode(input), input),
  };
}
