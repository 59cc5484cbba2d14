/** Judges a module by its suite (`policies/README.md`, "The format of suite.yml"). */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { prepareModule, readMetadata } from "../../evaluator/apply/prepare.ts";
import { EvaluatorPool } from "../../evaluator/apply/pool.ts";
import { WORKER_URL } from "../../evaluator/apply/worker_url.ts";
import { hostCallHandler } from "../../evaluator/apply/host_calls.ts";
import { parseLossless } from "../../evaluator/render/lossless_json.ts";
import { readRawReview, readReview } from "../../evaluator/render/review.ts";
import { type CapabilityAllowList, parseCapabilities } from "../../evaluator/types/host_capabilities.ts";
import { type DocumentValue, jsonText } from "../../policy_server/types/document.ts";
import { readDocument } from "../../policy_server/types/read_document.ts";

const encoder = new TextEncoder();
/** Suites hold nothing that takes long; what does is wrong. */
const LIMIT_MS = 10_000;

function documentOf(path: string): DocumentValue {
  const value = readDocument(readFileSync(path, "utf8"));
  if (value === null) throw new Error(`${path}: is empty`);
  return value;
}

function members(value: DocumentValue, known: readonly string[], where: string): Map<string, DocumentValue> {
  if (value.kind !== "map") throw new Error(`${where}: expected a map`);
  const unknown = value.entries.find(({ key }) => !known.includes(key));
  if (unknown) throw new Error(`${where}: unknown member ${unknown.key}`);
  return new Map(value.entries.map((entry) => [entry.key, entry.value]));
}

const CASE = [
  "name",
  "request",
  "settings",
  "allowed",
  "message",
  "code",
  "patch",
  "warnings",
  "settingsValid",
  "settingsMessage",
];

/** Whether `found` is what a suite's value asks for, numbers by their form. */
function fits(expected: DocumentValue, found: string | undefined): boolean {
  if (expected.kind === "map" && expected.entries.length === 1 && expected.entries[0]!.key === "contains") {
    const part = expected.entries[0]!.value;
    const text: unknown = found === undefined ? undefined : JSON.parse(found);
    return part.kind === "string" && typeof text === "string" && text.includes(part.value);
  }
  const normal = (text: string) => JSON.stringify(parseLossless(text));
  return normal(jsonText(expected)) === normal(found ?? "null");
}

/** Judges `wasm` by the suite at `suitePath`. Returns a line for everything that is not as the suite says, and the number of cases. */
export async function judgeBySuite(
  suitePath: string,
  wasm: (policy: string) => Uint8Array,
): Promise<{ readonly faults: readonly string[]; readonly cases: number }> {
  const suite = members(documentOf(suitePath), ["policy", "settings", "cases"], suitePath);
  const policyFile = suite.get("policy");
  const module = wasm(policyFile?.kind === "string" ? policyFile.value : "policy.wasm");
  const metadata = readMetadata(module);
  const readAs = metadata?.policyType === "raw" ? readRawReview : readReview;
  const cases = suite.get("cases");
  if (cases?.kind !== "list" || cases.items.length === 0) throw new Error(`${suitePath}: there are no cases`);

  const pool = new EvaluatorPool({ worker: WORKER_URL, threads: 1 });
  const faults: string[] = [];
  try {
    const number = pool.addModule(await prepareModule(module, { memoryMib: 64 }));
    for (const item of cases.items) {
      const given = members(item, CASE, suitePath);
      const name = given.get("name")?.kind === "string" ? jsonText(given.get("name")!) : "without a name";
      const fault = (text: string) => faults.push(`${suitePath}: ${name}: ${text}`);
      const check = (member: string, found: string | undefined) => {
        const expected = given.get(member);
        if (expected && !fits(expected, found)) {
          fault(`${member} is ${found ?? "absent"}, expected ${jsonText(expected)}`);
        }
      };
      const settings = given.get("settings") ?? suite.get("settings");
      const contextAwareResources = metadata?.contextAwareResources ?? [];
      const policy = pool.addPolicy(
        {
          id: name,
          module: number,
          settings: encoder.encode(settings ? jsonText(settings) : "{}"),
          limitMs: LIMIT_MS,
          contextAwareResources,
        },
        hostCallHandler(
          { policy: name, contextAwareResources },
          parseCapabilities([]) as CapabilityAllowList,
          {},
        ),
      );

      const validation = await pool.validateSettings(policy);
      if (validation.kind !== "settings") {
        fault(`the settings were not judged: ${JSON.stringify(validation)}`);
        continue;
      }
      const { valid } = validation.settings;
      if (!given.has("settingsValid") && !valid) fault(`refuses ${JSON.stringify(validation.settings)}`);
      check("settingsValid", String(valid));
      check("settingsMessage", valid ? undefined : JSON.stringify(validation.settings.message));

      const request = given.get("request");
      if (!request) continue;
      const value = request.kind === "string" ? documentOf(join(dirname(suitePath), request.value)) : request;
      const wrapped = value.kind === "map" && value.entries.some(({ key }) => key === "request");
      const review = readAs(encoder.encode(wrapped ? jsonText(value) : `{"request":${jsonText(value)}}`));
      const outcome = await pool.validate(policy, review);
      if (outcome.kind !== "verdict") {
        fault(`no verdict: ${JSON.stringify(outcome)}`);
        continue;
      }
      const { allowed, status, patch, warnings } = outcome.verdict;
      if (!given.has("allowed")) fault("`allowed` is missing");
      check("allowed", String(allowed));
      check("message", JSON.stringify(status?.message));
      check("code", JSON.stringify(status?.code));
      check("patch", patch ?? "[]");
      check("warnings", JSON.stringify(warnings));
    }
  } finally {
    await pool.close();
  }
  return { faults, cases: cases.items.length };
}
