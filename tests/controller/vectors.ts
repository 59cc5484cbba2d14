/** The recorded cases of the original's controller, and what to expect of ours (tests/vectors/controller). */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { legacyPolicyId, type Policy, policyId, type PolicyServer } from "../../crd/types.ts";
import { parseExactly } from "../../kubernetes/render/exact_json.ts";
import { type ControllerSettings, defaultSettings } from "../../controller/types/settings.ts";

const folder = join(dirname(fileURLToPath(import.meta.url)), "..", "vectors", "controller");

// deno-lint-ignore no-explicit-any
export type Recorded = any;

export type Vector = {
  readonly name: string;
  readonly given: readonly Recorded[];
  readonly objects: readonly Recorded[];
  readonly after: readonly Recorded[];
  readonly settings: ControllerSettings;
};

/** The flags with which a family of cases was recorded (tests/vectors of the original: README). */
export function recordedSettings(family: string): ControllerSettings {
  const base = { ...defaultSettings("kubewarden"), alwaysAcceptReviewsInNamespace: true };
  return family === "base" ? base : {
    ...base,
    hostNetwork: true,
    metrics: true,
    tracing: true,
    imagePullSecrets: ["pull-a", "pull-b"],
    metricsPort: 9100,
  };
}

export function vectors(): readonly Vector[] {
  return readdirSync(folder).filter((file) => file.endsWith(".json")).sort().map((file) => {
    const recorded = parseExactly(readFileSync(join(folder, file), "utf8")) as Recorded;
    return { name: file.replace(".json", ""), settings: recordedSettings(file.split("-")[0]!), ...recorded };
  });
}

export function policiesOf(objects: readonly Recorded[]): Policy[] {
  return objects.filter(({ kind }) => kind !== "PolicyServer");
}

export function serverOf(objects: readonly Recorded[]): PolicyServer | undefined {
  return objects.find(({ kind }) => kind === "PolicyServer");
}

/** The recorded objects with our policy ids in the place of 1.36's. */
export function withOurIds(text: string, policies: readonly Policy[]): string {
  // Longest first: one id may begin with another.
  const pairs = policies.map((policy) => [legacyPolicyId(policy), policyId(policy)] as const)
    .sort(([a], [b]) => b.length - a.length);
  return pairs.reduce((result, [old, ours]) => result.replaceAll(old, ours), text);
}

/** Paths at which `actual` lacks or contradicts something that `expected` holds. */
export function contradictions(expected: unknown, actual: unknown, path = ""): string[] {
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual)) return [`${path}: expected a list, got ${JSON.stringify(actual)}`];
    const length = expected.length === actual.length ? [] : [
      `${path}: expected ${expected.length} items, got ${actual.length}: ${JSON.stringify(actual)}`,
    ];
    return [
      ...length,
      ...expected.flatMap((item, index) => contradictions(item, actual[index], `${path}[${index}]`)),
    ];
  }
  if (typeof expected === "object" && expected !== null) {
    if (typeof actual !== "object" || actual === null) {
      return [`${path}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`];
    }
    return Object.entries(expected).flatMap(([key, value]) =>
      contradictions(value, (actual as { [key: string]: unknown })[key], `${path}.${key}`)
    );
  }
  return expected === actual
    ? []
    : [`${path}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`];
}
