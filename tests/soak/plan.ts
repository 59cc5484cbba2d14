/** What a soak serves and asks: policies of real sizes, those that misbehave, and every question with its right answer. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { distinct, withMoreCode } from "../../bench/render/weighty_module.ts";
import { WORKLOADS } from "../../bench/types/workloads.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A question and the only right answer to it. */
export type Question = {
  readonly policy: string;
  /** The body before and after the uid. */
  readonly body: (uid: string) => string;
  /** Whether `text`, answered with 200, is right. */
  readonly isRight: (text: string, uid: string) => boolean;
};

/** What is served. */
export type Plan = {
  readonly policiesFile: string;
  readonly questions: readonly Question[];
};

/** How large modules in Rust are, in bytes. */
const RUST_BYTES = 1_600_000;

/** The policies that attacks use; a checked answer never comes from them. */
export const MISBEHAVING = {
  loop: "tests/policies/loop/policy.wasm",
  memory: "tests/policies/exhaust-memory/policy.wasm",
  trap: "tests/policies/trap/policy.wasm",
  garbage: "tests/policies/garbage/policy.wasm",
  sleep: "tests/policies/busy-sleep/policy.wasm",
} as const;

type Expected = { readonly allowed: boolean; readonly message?: string; readonly patched?: boolean };

function question(policy: string, review: string, expected: Expected): Question {
  const parsed = JSON.parse(review);
  const mark = "soak-uid-soak-uid";
  const text = JSON.stringify({ ...parsed, request: { ...parsed.request, uid: mark } });
  const [before, after] = text.split(mark) as [string, string];
  return {
    policy,
    body: (uid) => `${before}${uid}${after}`,
    isRight(text, uid) {
      try {
        const { response } = JSON.parse(text);
        return response.uid === uid && response.allowed === expected.allowed &&
          (expected.message === undefined || response.status?.message === expected.message) &&
          (response.patch !== undefined) === (expected.patched ?? false);
      } catch {
        return false;
      }
    },
  };
}

const read = (path: string) => readFileSync(join(root, path), "utf8");
const privileged = "policies/pod-privileged/requests/privileged.json";

/** Writes `count` modules and policies.yml into `folder`. */
export function makePlan(folder: string, count: number): Plan {
  const modules = join(folder, "modules");
  mkdirSync(modules);
  const policies: Record<string, unknown> = {};
  const questions: Question[] = [];
  const rust = withMoreCode(readFileSync(join(root, "policies/pod-privileged/policy.wasm")), RUST_BYTES);
  const others = WORKLOADS.filter(({ policy }) => policy !== "pod-privileged");
  for (let index = 0; index < count; index++) {
    const other = index < 2 * others.length ? others[index % others.length]! : undefined;
    const name = `${other?.policy ?? "rust"}-${index}`;
    const file = join(modules, `${name}.wasm`);
    const base = other === undefined ? rust : readFileSync(join(root, other.module));
    writeFileSync(file, distinct(base, index, base.length));
    policies[name] = {
      module: pathToFileURL(file).href,
      ...(other && { settings: other.settings, allowedToMutate: other.allowedToMutate }),
    };
    if (other) {
      questions.push(
        question(name, read(other.request), { allowed: true, patched: other.allowedToMutate }),
      );
    } else {
      questions.push(question(name, read(WORKLOADS[0]!.request), { allowed: true }));
      questions.push(
        question(name, read(privileged), { allowed: false, message: "Privileged container is not allowed" }),
      );
    }
  }
  for (const [name, path] of Object.entries(MISBEHAVING)) {
    policies[name] = { module: pathToFileURL(join(root, path)).href };
  }
  const policiesFile = join(folder, "policies.yml");
  writeFileSync(policiesFile, JSON.stringify(policies));
  return { policiesFile, questions };
}
