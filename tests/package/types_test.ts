/** The package's declarations, for users of TypeScript: strict, every file checked, and no other types installed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BIN, consumer, ROOT, run, write } from "./consumer.ts";

const onBun = "bun" in process.versions;

const USES = `import {
  type AdmissionRequest,
  type AdmissionReviewAnswer,
  ArtifactError,
  hostCapabilities,
  JsonSyntaxError,
  loadPolicy,
  loadPolicyGroup,
  ModuleError,
  OverloadedError,
  type Policy,
  PolicyError,
  PortreeveError,
  replaySession,
  ReviewShapeError,
  type Verdict,
} from "portreeve";
import * as evaluator from "portreeve/evaluator";
import { parseReference } from "portreeve/artifact";
import { type ClusterAdmissionPolicy, validatePolicy } from "portreeve/crd";
import { servePolicies } from "portreeve/policy-server";

const request: AdmissionRequest = {
  uid: "1",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  operation: "CREATE",
  userInfo: { username: "alice" },
  object: {},
};
export async function main(): Promise<AdmissionReviewAnswer | undefined> {
  try {
    using host = await hostCapabilities({ kubeconfig: true });
    await using policy: Policy = await loadPolicy("policy.wasm", { settings: {}, threads: 0, host, hostCapabilities: ["*"] });
    const verdict: Verdict = await policy.validate(request);
    const text: string | undefined = verdict.status?.message;
    await using group = await loadPolicyGroup({ a: { policy: new Uint8Array(), host: await replaySession("s.yml") } }, {
      expression: "a()",
      message: text ?? "",
    });
    for await (const { policy: from, level } of group.logs()) console.log(from, level);
    // @ts-expect-error: no such operation
    await policy.validate({ ...request, operation: "READ" } satisfies AdmissionRequest);
    return await group.review({ request });
  } catch (error) {
    if (error instanceof PortreeveError) console.log(error.code);
    if (error instanceof PolicyError && error.code === "closed") return undefined;
    for (const kind of [ModuleError, ReviewShapeError, JsonSyntaxError, OverloadedError, ArtifactError]) {
      if (error instanceof kind) return undefined;
    }
    throw error;
  }
}
const definition: ClusterAdmissionPolicy = {} as ClusterAdmissionPolicy;
console.log(validatePolicy(definition), parseReference("a/b:c"), servePolicies, evaluator.loadPolicy === loadPolicy);
`;

const config = (module: string, moduleResolution: string, types: "esm" | "commonjs") =>
  JSON.stringify({
    compilerOptions: {
      strict: true,
      skipLibCheck: false,
      noEmit: true,
      target: "es2022",
      types: [],
      module,
      moduleResolution,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
    },
    files: [types === "esm" ? "uses.mts" : "uses.cts"],
  });

// A compiler is the same program on both runtimes.
const once = onBun ? test.skip : test;
const CASES: readonly (readonly [module: string, resolution: string, types: "esm" | "commonjs"])[] = [
  ["nodenext", "nodenext", "esm"],
  ["nodenext", "nodenext", "commonjs"],
  ["esnext", "bundler", "esm"],
  ["preserve", "bundler", "commonjs"],
];

once("declarations satisfy a strict compiler", () => {
  const folder = consumer({ "uses.mts": USES, "uses.cts": USES });
  for (const [module, resolution, types] of CASES) {
    write(folder, { "tsconfig.json": config(module, resolution, types) });
    const { status, stdout } = run(folder, join(BIN, "tsc"), []);
    assert.is(status, 0, `${module} ${resolution} ${types}\n${stdout}`);
  }
});

/** A program that knows no platform: neither `lib: ["DOM"]` nor the types of a runtime. */
const PLAIN =
  `import { fetchPolicy, hostCapabilities, loadPolicy, loadPolicyGroup, replaySession } from "portreeve";
import * as evaluator from "portreeve/evaluator";
import { listTags } from "portreeve/artifact";
import { validatePolicy } from "portreeve/crd";
import { accept, definePolicy } from "portreeve/policy";
import { servePolicies } from "portreeve/policy-server";

export async function main(): Promise<boolean> {
  const host = await hostCapabilities({ kubeconfig: true });
  const policy = await loadPolicy("policy.wasm", { settings: {}, host });
  const here = { href: "file:///policy.wasm", protocol: "file:", pathname: "/policy.wasm" };
  await loadPolicyGroup({ a: { policy: here } }, { expression: "a()", message: "" });
  await fetchPolicy("ghcr.io/a/b:v1", { kind: "store", root: "." }, { limits: { retries: 0 } });
  // @ts-expect-error: neither a path nor a URL
  await loadPolicy(1);
  // @ts-expect-error: no signal
  await listTags("ghcr.io/a/b", { signal: "now" });
  return (await policy.validate({})).allowed;
}
console.log(evaluator, listTags, validatePolicy, servePolicies, replaySession, definePolicy({ validate: () => accept() }));
declare const console: { log(...values: readonly unknown[]): void };
`;
/** With a platform, its own types are meant. */
const PLATFORMED = `import { loadPolicy } from "portreeve";
import { listTags } from "portreeve/artifact";

await loadPolicy(new URL("policy.wasm", "file:///"));
await listTags("ghcr.io/a/b", { signal: AbortSignal.timeout(1) });
// @ts-expect-error: no URL of this platform
await loadPolicy({ href: "", protocol: "", pathname: "" });
`;

once("… without any platform's types as well, and with a platform's own", () => {
  const folder = consumer();
  for (const [module, moduleResolution] of CASES) {
    for (
      const [text, lib] of [
        [PLAIN, ["ES2023"]],
        [PLAIN, ["ES2022"]],
        [PLATFORMED, ["ES2023", "DOM"]],
      ] as const
    ) {
      write(folder, {
        "uses.mts": text,
        "tsconfig.json": JSON.stringify({
          compilerOptions: {
            strict: true,
            skipLibCheck: false,
            noEmit: true,
            target: "es2022",
            lib,
            types: [],
            module,
            moduleResolution,
          },
          files: ["uses.mts"],
        }),
      });
      const { status, stdout } = run(folder, join(BIN, "tsc"), []);
      assert.is(status, 0, `${module} ${moduleResolution} ${lib}\n${stdout}`);
    }
  }
});

once("… and a wrong use is an error", () => {
  const folder = consumer({
    "uses.mts":
      `import { loadPolicy } from "portreeve";\nexport const wrong = await loadPolicy(1, { thread: 2 });\n`,
    "tsconfig.json": config("nodenext", "nodenext", "esm"),
  });
  const { status, stdout } = run(folder, join(BIN, "tsc"), []);
  assert.not(status === 0);
  assert.match(stdout, "uses.mts");
});

/** A page's pieces of code, each in a function of its own, with what the page takes for granted. */
function pieces(page: string): string {
  const found = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!);
  assert.ok(found.length >= 6);
  const imports = new Set<string>();
  const functions = found.map((code, index) => {
    const body = code.replace(/^import .*$/gm, (line) => {
      imports.add(line);
      return "";
    });
    return `export async function piece${index}() {\n${body}}\n`;
  });
  const names = 'import { hostCapabilities, loadPolicyGroup } from "portreeve";';
  const evaluator = 'import { loadPolicy } from "portreeve/evaluator";';
  const given =
    `declare const request: AdmissionRequest, review: AdmissionReview, signatures: string, settings: string;
declare const host: Host, policy: Policy;`;
  return [
    ...[...imports].filter((line) => line !== evaluator),
    names,
    'import type { AdmissionRequest, AdmissionReview, Host, Policy } from "portreeve";',
    given,
    ...functions,
  ].join("\n");
}

once(
  "the code of docs/library.md satisfies it as well, and every code of an error is described there",
  () => {
    const page = readFileSync(join(ROOT, "docs/library.md"), "utf8");
    const folder = consumer({
      "uses.mts": pieces(page),
      "tsconfig.json": config("nodenext", "nodenext", "esm"),
    });
    const { status, stdout } = run(folder, join(BIN, "tsc"), []);
    assert.is(status, 0, stdout);
    const codes = readFileSync(join(ROOT, "admission/types/policy_error.ts"), "utf8").matchAll(
      /^ {2}\| "(\w+)"/gm,
    );
    const own = [...codes].map(([, code]) => code!);
    assert.ok(own.length > 5);
    for (
      const code of [
        ...own,
        "invalid_module",
        "invalid_json",
        "invalid_review",
        "overloaded",
        "server_not_started",
        "unsupported_runtime",
      ]
    ) {
      assert.match(page, `\`${code}\``);
    }
  },
);

test.run();
