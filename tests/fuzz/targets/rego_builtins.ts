/**
 * Builtins of Rego, each with operands out of the recorded calls of OPA. They answer, or fail in one of the two declared ways,
 * within the limit of an evaluation: here 300 ms.
 */
import { readFileSync } from "node:fs";
import { loadBuiltins } from "../../../evaluator/apply/rego_builtins.ts";
import { RegoEvaluation } from "../../../evaluator/apply/rego_evaluation.ts";
import {
  jsonText,
  jsonTree,
  parseRego,
  regoText,
  RegoTextError,
} from "../../../evaluator/render/rego_text.ts";
import { setOf } from "../../../evaluator/render/rego_value.ts";
import {
  BuiltinError,
  BuiltinHalt,
  type RegoBuiltins,
  type RegoValue,
} from "../../../evaluator/types/rego.ts";
import { REGO_BUILTINS } from "../../../evaluator/types/rego_builtin_names.ts";
import { HOSTILE_WORDS, mutateJson } from "../mutate.ts";
import type { Target } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const LIMIT_MS = 300;
const LATE_MS = 100;
/** Of each builtin so many recorded calls, short ones. */
const CALLS = 40;
const MAX_CALL = 2000;
const WORDS = [
  "%d %s %v",
  "%[1]*d",
  "2006-01-02T15:04:05Z07:00",
  "1h2m3s",
  "(a+)+$",
  "a{1,1000}",
  "10.0.0.0/8",
  "::/0",
  "/a/b",
  "add",
  "replace",
  "path",
  "value",
  "op",
  "{{range .a}}{{.}}{{end}}",
  "a&b=c",
  "&a [*a]",
  "1e1000",
  "a,b,c",
  "HS256",
  "alg",
  "type",
  "properties",
  "pattern",
  "$ref",
  "#",
];

let builtins: RegoBuiltins = {};

export const target: Target = {
  name: "rego-builtins",
  setUp: async () => {
    builtins = await loadBuiltins(REGO_BUILTINS);
  },
  seeds: () => {
    const lines = readFileSync(new URL("../../evaluator/rego_answers.txt", import.meta.url), "utf8").split(
      "\n",
    );
    const counts = new Map<string, number>();
    const calls = lines.map((line) => line.split("\t")[0]!).filter((call) => {
      const name = /^\["([^"]+)"/.exec(call)?.[1];
      if (name === undefined || call.length > MAX_CALL) return false;
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return counts.get(name)! <= CALLS;
    });
    return calls.map((call) => encoder.encode(call));
  },
  generate: (random, seeds) => mutateJson(random, seeds, random.oneIn(8) ? HOSTILE_WORDS : WORDS),
  expected: [BuiltinError, BuiltinHalt, RegoTextError],
  limitMs: LIMIT_MS + LATE_MS,
  run: (input) => {
    const call = parseRego(decoder.decode(input));
    if (!Array.isArray(call)) return;
    const [key, operands] = call as readonly RegoValue[];
    if (typeof key !== "string" || !Array.isArray(operands)) return;
    const [name = "", variant] = key.split("#");
    if (!Object.hasOwn(builtins, name)) return;
    // `net.lookup_ip_addr` asks for an address by a host call, which nobody answers here.
    const [first] = operands;
    const given = variant === "set" && Array.isArray(first) ? [setOf(first), ...operands.slice(1)] : operands;
    let value: RegoValue | undefined;
    try {
      value = builtins[name]!(given, new RegoEvaluation(LIMIT_MS, () => {}).context);
    } catch (error) {
      // As where it is logged: what builtins say quotes operands, and only its beginning is shown.
      if (error instanceof BuiltinError) throw new BuiltinError(error.message.slice(0, 500));
      throw error;
    }
    if (value === undefined) return;
    jsonText(jsonTree(value));
    regoText(value);
  },
};
