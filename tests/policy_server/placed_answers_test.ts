// Where a request is evaluated must not show: servers whose threads evaluate what is quick, and one whose pool evaluates everything, give
// the same bytes to all that the policies' suites ask, again and again over connections that are kept.
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readMetadata } from "../../evaluator/apply/prepare.ts";
import type { DocumentValue } from "../../policy_server/types/document.ts";
import { jsonText } from "../../policy_server/types/document.ts";
import { readDocument } from "../../policy_server/types/read_document.ts";
import { type Answer, client, reviewOf } from "./requests.ts";
import { moduleUrl, type ServerProcess, serving } from "./server_process.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Placed only where threads can share a port. */
const onLinux = process.platform === "linux" ? test : test.skip;
const ROUNDS = 5;
const CONNECTIONS = 2;

/** One request to one policy of the server. */
interface Asked {
  readonly policy: string;
  readonly path: string;
  readonly body: string;
}

const policies: Record<string, Record<string, unknown>> = {};
const asked: Asked[] = [];
const ids = new Map<string, string>();

function member(value: DocumentValue | undefined, name: string): DocumentValue | undefined {
  return value?.kind === "map" ? value.entries.find(({ key }) => key === name)?.value : undefined;
}

/** The name of the policy of a module with settings, which the server is given once. */
function policyOf(wasm: string, settings: string): { readonly id: string; readonly raw: boolean } {
  const metadata = readMetadata(new Uint8Array(readFileSync(join(root, wasm))));
  const key = `${wasm} ${settings}`;
  let id = ids.get(key);
  if (id === undefined) {
    ids.set(key, id = `p${ids.size}`);
    policies[id] = {
      module: moduleUrl(wasm),
      settings: JSON.parse(settings),
      allowedToMutate: true,
      ...(metadata?.contextAwareResources && { contextAwareResources: metadata.contextAwareResources }),
    };
  }
  return { id, raw: metadata?.policyType === "raw" };
}

function ask(wasm: string, settings: string, request: string): void {
  const { id, raw } = policyOf(wasm, settings);
  const path = `/${raw ? "validate_raw" : "validate"}/${id}`;
  const body = raw
    ? `{"request":${request}}`
    : `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":${request}}`;
  asked.push({ policy: `${wasm} ${settings}`, path, body });
}

for (
  const suite of globSync(["policies/*/suite*.yml", "tests/policies/*/suite*.yml"], { cwd: root }).sort()
) {
  const folder = dirname(suite);
  const document = readDocument(readFileSync(join(root, suite), "utf8"))!;
  const file = member(document, "policy");
  const cases = member(document, "cases");
  for (const given of cases?.kind === "list" ? cases.items : []) {
    const request = member(given, "request");
    if (request === undefined || member(given, "settingsValid") !== undefined) continue;
    const settings = member(given, "settings") ?? member(document, "settings");
    const value = request.kind === "string"
      ? readDocument(readFileSync(join(root, folder, request.value), "utf8"))!
      : request;
    const wasm = `${folder}/${file?.kind === "string" ? file.value : "policy.wasm"}`;
    ask(wasm, settings ? jsonText(settings) : "{}", jsonText(member(value, "request") ?? value));
  }
}

/** What suites leave out, as it takes long or ends a guest: policies and what their annotations tell them. */
const DOINGS: readonly (readonly [wasm: string, annotations: readonly Record<string, string>[]])[] = [
  // Not `recurse`: on Bun which of two stacks is full first depends on how well the code has been compiled by then, wherever it runs.
  ["loop/policy.wasm", [{}, { do: "tight" }, {}]],
  ["trap/catch.wasm", [{}]],
  ["trap/start_exit_0.wasm", [{}]],
  ["exhaust-memory/policy.wasm", [{ do: "answer" }, { do: "trap" }, { do: "allocate" }, { do: "size" }]],
  ["exhaust-memory/table.wasm", [{}]],
  ["garbage/silent_success.wasm", [{}]],
  ["garbage/silent_failure.wasm", [{}]],
  ["garbage/policy.wasm", [
    ...["invalid-utf8", "lone-surrogate", "zero-bytes", "deep", "megabytes", "megabytes-of-message"].map((
      what,
    ) => ({ do: what })),
    ...["response-nowhere", "response-of-everything", "request-to-nowhere", "console-nowhere"].map((
      what,
    ) => ({ do: what })),
    ...["console-binary", "host-call-nowhere", "host-response-to-nowhere"].map((what) => ({ do: what })),
  ]],
  ["trap/policy.wasm", [
    ...["unreachable", "panic", "signature", "out-of-bounds", "abort", "exit", "error", "empty-error"].map((
      what,
    ) => ({ do: what })),
    ...["binary-error", "error-then-trap"].map((what) => ({ do: what })),
  ]],
  ["logger/policy.wasm", [{}, { do: "flood", times: "50" }, { do: "forge" }, {
    do: "shout",
    megabytes: "1",
  }]],
  ["leaky-state/policy.wasm", [{}, { long: "x".repeat(40_000) }, { long: "x".repeat(120_000) }, {
    long: "x".repeat(200_000),
  }, {}]],
];
for (const [wasm, annotations] of DOINGS) {
  for (const told of annotations) {
    ask(`tests/policies/${wasm}`, "{}", JSON.stringify(JSON.parse(reviewOf(told)).request));
  }
}

/** What a client sees. */
const told = ({ status, headers, body }: Answer): string => `${status} ${headers["content-type"]} ${body}`;

/** All answers: a list for each request, one for each time that it was sent. */
async function answers(server: ServerProcess): Promise<readonly (readonly string[])[]> {
  const clients = Array.from({ length: CONNECTIONS }, () => client(server, { connections: 1 }));
  const found: string[][] = [];
  for (const { path, body } of asked) {
    const own: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      own.push(told(await clients[round % CONNECTIONS]!.ask({ path, body })));
    }
    found.push(own);
  }
  for (const one of clients) one.close();
  return found;
}

const answersWith = (threads: number) =>
  serving({
    policies,
    flags: ["--serving-threads", String(threads), "--workers", "2", "--policy-timeout", "1"],
  }, async (server) => {
    const found = await answers(server);
    assert.is(server.stderr(), "");
    return found;
  });

onLinux(
  "what policies answer does not depend on where they are evaluated, nor on what came before",
  async () => {
    const pooled = await answersWith(0);
    const placed = await answersWith(2);
    const different: string[] = [];
    asked.forEach(({ policy, body }, index) => {
      const expected = pooled[index]![0];
      for (const [where, own] of [["pool", pooled[index]!], ["placed", placed[index]!]] as const) {
        own.forEach((answer, round) => {
          if (answer === expected) return;
          different.push(
            `${policy.slice(0, 200)}\n  ${body.slice(0, 300)}\n  ${where}, time ${round + 1}:\n    ${
              answer.slice(0, 300)
            }\n    ${expected!.slice(0, 300)}`,
          );
        });
      }
    });
    assert.ok(asked.length > 150, `${asked.length} requests`);
    assert.is(different.join("\n"), "");
  },
);

test.run();
