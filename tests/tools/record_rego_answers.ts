/**
 * Puts the calls of `rego_cases.ts` to the real OPA and writes its answers down, so that who has no OPA can still check the
 * builtins against them.
 *
 * usage: record_rego_answers.ts   (needs `opa`, see tests/tools/build_opa.sh)
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseRego, regoText } from "../../evaluator/render/rego_text.ts";
import { CASES, OLD_CASES, type RegoCase } from "./rego_cases.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The path of OPA's binary; undefined when there is none. */
export function findOpa(): string | undefined {
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "portreeve", "bin");
  return [...(process.env["PATH"] ?? "").split(delimiter), cache].map((folder) => join(folder, "opa"))
    .find((path) => existsSync(path));
}

/** OPA's answers as JSON texts `[type,value]`; undefined where the call is undefined. */
export function askOpa(
  opa: string,
  policy: string,
  cases: readonly RegoCase[],
  old: boolean,
): (string | undefined)[] {
  const input = JSON.stringify({ request: { calls: cases } });
  const args = [
    "eval",
    "--stdin-input",
    "--format",
    "json",
    "-d",
    join(root, policy),
    "data.builtins.answers",
  ];
  if (old) args.push("--v0-compatible");
  const output = execFileSync(opa, args, { input, maxBuffer: 256 * 1024 * 1024, encoding: "utf8" });
  const keep = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number"
      ? (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(context!.source!)
      : value;
  const result = JSON.parse(output, keep) as { result: { expressions: { value: unknown[][] }[] }[] };
  const answers: (string | undefined)[] = cases.map(() => undefined);
  for (const [index, type, value] of result.result[0]!.expressions[0]!.value) {
    answers[Number((index as { rawJSON: string }).rawJSON)] = JSON.stringify([type, value]);
  }
  return answers;
}

/** Longer answers (chains of certificates) are recorded by their digest. */
const MAX_RECORDED = 8_000;

/** The form in which an answer is recorded, as it is or by its digest. */
export function recordedForm(answer: string): string {
  if (answer.length <= MAX_RECORDED) return answer;
  return `sha256:${createHash("sha256").update(regoText(parseRego(answer))).digest("hex")}`;
}

/** The lines of the recording. */
export function* answersOf(opa: string): Generator<string> {
  const policies = [
    ["tests/policies/rego-builtins/policy.rego", CASES, false],
    ["tests/policies/rego-casts/policy.v0.rego", OLD_CASES, true],
  ] as const;
  for (const [policy, cases, old] of policies) {
    const answers = askOpa(opa, policy, cases, old);
    for (const [at, call] of cases.entries()) {
      yield `${JSON.stringify([call.name, call.operands])}\t${recordedForm(answers[at] ?? "undefined")}`;
    }
  }
}

if (import.meta.main) {
  const opa = findOpa();
  if (opa === undefined) throw new Error("opa is not there: run tests/tools/build_opa.sh");
  writeFileSync(join(root, "tests/evaluator/rego_answers.txt"), `${[...answersOf(opa)].join("\n")}\n`);
}
