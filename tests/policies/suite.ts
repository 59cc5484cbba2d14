/** Judges a module by its suite (`docs/reeve_test.md`), as the server does or through `mod.ts`. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadPolicy, type Policy, type SettingsVerdict, type Verdict } from "../../mod.ts";
import type { HostCallHandler } from "../../evaluator/types/evaluation.ts";
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

/** A module with settings, asked for verdicts; requests are JSON texts. */
interface Judge {
  settings(): Promise<SettingsVerdict>;
  validate(request: string): Promise<Verdict>;
}

/** Makes judges of one module. */
interface Judges {
  withSettings(settings: string): Promise<Judge>;
  close(): Promise<void>;
}

/** Nothing is granted to a policy in a suite. */
function nothingGranted(name: string, module: Uint8Array): HostCallHandler {
  const contextAwareResources = readMetadata(module)?.contextAwareResources ?? [];
  return hostCallHandler(
    { policy: name, contextAwareResources },
    parseCapabilities([]) as CapabilityAllowList,
    {},
  );
}

/** As the policy server evaluates: modules and policies in a pool. */
export async function throughPool(name: string, module: Uint8Array): Promise<Judges> {
  const metadata = readMetadata(module);
  const readAs = metadata?.policyType === "raw" ? readRawReview : readReview;
  const pool = new EvaluatorPool({ worker: WORKER_URL, threads: 1 });
  const number = pool.addModule(await prepareModule(module, { memoryMib: 64 }));
  return {
    withSettings: (settings) => {
      const policy = pool.addPolicy(
        {
          id: name,
          module: number,
          settings: encoder.encode(settings),
          limitMs: LIMIT_MS,
          contextAwareResources: metadata?.contextAwareResources ?? [],
        },
        nothingGranted(name, module),
      );
      return Promise.resolve({
        settings: async () => {
          const outcome = await pool.validateSettings(policy);
          if (outcome.kind !== "settings") throw new Error(JSON.stringify(outcome));
          return outcome.settings;
        },
        validate: async (request) => {
          const outcome = await pool.validate(policy, readAs(encoder.encode(`{"request":${request}}`)));
          if (outcome.kind !== "verdict") throw new Error(JSON.stringify(outcome));
          return outcome.verdict;
        },
      });
    },
    close: () => pool.close(),
  };
}

/** As who embeds the evaluator uses it. */
export function throughLibrary(name: string, module: Uint8Array): Promise<Judges> {
  const loaded = new Map<string, Policy>();
  return Promise.resolve({
    withSettings: async (settings) => {
      const policy = loaded.get(settings) ?? await loadPolicy(module, {
        name,
        settings,
        // Suites have some that are refused.
        validateSettings: false,
        timeoutMs: LIMIT_MS,
        memoryMib: 64,
        onHostCall: nothingGranted(name, module),
      });
      loaded.set(settings, policy);
      return { settings: () => policy.validateSettings(), validate: (request) => policy.validate(request) };
    },
    close: async () => {
      await Promise.all([...loaded.values()].map((policy) => policy.close()));
    },
  });
}

/** Judges `wasm` by the suite at `suitePath`. Returns a line for everything that is not as the suite says, and the number of cases. */
export async function judgeBySuite(
  suitePath: string,
  wasm: (policy: string) => Uint8Array,
  through: (name: string, module: Uint8Array) => Promise<Judges> = throughPool,
): Promise<{ readonly faults: readonly string[]; readonly cases: number }> {
  const suite = members(documentOf(suitePath), ["policy", "settings", "cases"], suitePath);
  const policyFile = suite.get("policy");
  const module = wasm(policyFile?.kind === "string" ? policyFile.value : "policy.wasm");
  const cases = suite.get("cases");
  if (cases?.kind !== "list" || cases.items.length === 0) throw new Error(`${suitePath}: there are no cases`);

  const faults: string[] = [];
  const judges = await through(suitePath, module);
  try {
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
      try {
        const settings = given.get("settings") ?? suite.get("settings");
        const judge = await judges.withSettings(settings ? jsonText(settings) : "{}");
        const verdict = await judge.settings();
        if (!given.has("settingsValid") && !verdict.valid) fault(`refuses ${JSON.stringify(verdict)}`);
        check("settingsValid", String(verdict.valid));
        check("settingsMessage", verdict.valid ? undefined : JSON.stringify(verdict.message));

        const request = given.get("request");
        if (!request) continue;
        const value = request.kind === "string"
          ? documentOf(join(dirname(suitePath), request.value))
          : request;
        const inner = value.kind === "map"
          ? value.entries.find(({ key }) => key === "request")?.value
          : undefined;
        const { allowed, status, patch, warnings } = await judge.validate(jsonText(inner ?? value));
        if (!given.has("allowed")) fault("`allowed` is missing");
        check("allowed", String(allowed));
        check("message", JSON.stringify(status?.message));
        check("code", JSON.stringify(status?.code));
        check("patch", patch ?? "[]");
        check("warnings", JSON.stringify(warnings));
      } catch (error) {
        fault(`no verdict: ${(error as Error).message}`);
      }
    }
  } finally {
    await judges.close();
  }
  return { faults, cases: cases.items.length };
}
