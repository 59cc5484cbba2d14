// The second wall: what an attacker finds in a thread whose first wall, the check of imports, is gone (SECURITY.md).
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EvaluatorPool, wholeRequest } from "../../evaluator/apply/pool.ts";
import { instrument } from "../../evaluator/render/instrument.ts";
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import type { PreparedModule } from "../../evaluator/types/module.ts";
import type { Outcome } from "../../evaluator/types/protocol.ts";
import { loadGuest } from "../load_guest.ts";
import { ask, reviewOf } from "../policy_server/requests.ts";
import { moduleUrl, serving } from "../policy_server/server_process.ts";
import { STATEFUL_MODES, statefulGuest } from "./stateful_guests.ts";
import { checkBorder } from "./wall/no_border.ts";
import { buildWorker, bundle, type Replacements } from "./wall/build_worker.ts";

const onBun = "bun" in process.versions;
const nodeMajor = onBun ? 0 : Number.parseInt(process.versions.node);

const NAIVE: Replacements = { "evaluator/apply/link.ts": "tests/evaluator/wall/naive_link.ts" };
/** For programs, which prepare their modules themselves. */
const NO_BORDER: Replacements = { "evaluator/render/imports.ts": "tests/evaluator/wall/no_border.ts" };
const PROBE: Replacements = { "evaluator/apply/link.ts": "tests/evaluator/wall/probe_link.ts" };
const UNCONFINED: Replacements = { "evaluator/apply/confine.ts": "tests/evaluator/wall/no_confinement.ts" };

let folder: string;
const workers = new Map<string, URL>();
test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), "wall-"));
  const builds = { naive: NAIVE, unconfined: { ...NAIVE, ...UNCONFINED }, probe: PROBE };
  for (const [name, replacements] of Object.entries(builds)) {
    workers.set(name, await buildWorker(join(folder, name), replacements));
  }
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const REQUEST = '{"uid":"u","object":{}}';
const encoder = new TextEncoder();

/** A prepared module whose imports nobody has looked at. */
async function unchecked(module: Uint8Array, mode: ExecutionMode): Promise<PreparedModule> {
  const maxPages = 1024;
  const { bytes, restorable } = instrument(module, { maxPages, recordsWrites: true });
  const importedMemory = checkBorder(module, mode);
  return {
    module: await WebAssembly.compile(bytes as BufferSource),
    mode,
    restorable,
    maxPages,
    importedMemory,
  };
}

/** What the module answers in a thread of `worker`. */
async function outcome(
  worker: string,
  mode: ExecutionMode,
  module: Uint8Array,
  ownProcess: boolean,
): Promise<Outcome> {
  const errors: string[] = [];
  const pool = new EvaluatorPool({
    worker: workers.get(worker)!,
    threads: 1,
    spare: false,
    ownProcess,
    onThreadError: (message) => errors.push(message),
  });
  try {
    const prepared = pool.addModule(await unchecked(module, mode));
    const definition = { id: "p", module: prepared, settings: encoder.encode("{}"), limitMs: 10_000 };
    const policy = pool.addPolicy(definition, () => ({ ok: false, error: "none" }));
    const json = encoder.encode(REQUEST);
    const answer = await pool.validate(policy, wholeRequest({ json, object: undefined }));
    assert.equal(errors, []);
    return answer;
  } finally {
    await pool.close();
  }
}

/** Ways to the constructor of functions, from any object. */
const WAYS = [["constructor", "constructor"], ["toString", "constructor"], [
  "valueOf",
  "constructor",
]] as const;

/** A guest that has code made from a string, and accepts if that worked. */
const attacker = (mode: (typeof STATEFUL_MODES)[number], [namespace, name]: readonly [string, string]) =>
  statefulGuest(
    mode,
    `(import "${namespace}" "${name}" (func $make (param i32) (result externref)))`,
    `(if (ref.is_null (call $make (i32.const 42))) (then unreachable))`,
  );

const accepted = (found: Outcome): boolean => found.kind === "verdict" && found.verdict.allowed;

// The wall of a library comes first: what a program has V8 do besides holds for all later threads.
for (const ownProcess of [false, true]) {
  const where = ownProcess ? "in a process of ours" : "in a process of others";
  for (const mode of STATEFUL_MODES) {
    test(`${mode}: a guest that got hold of Function makes no code, ${where}`, async () => {
      for (const way of WAYS) {
        const module = attacker(mode, way);
        // It shows that the attack works, as long as nothing but the wall stops it.
        if (!ownProcess) assert.ok(accepted(await outcome("unconfined", mode, module, false)), way.join("."));
        const walled = await outcome("naive", mode, module, ownProcess);
        assert.not.ok(accepted(walled), way.join("."));
        // WASI policies' traps have no text.
        if (mode !== "wasi") assert.match(JSON.stringify(walled), /code is not made from strings/);
      }
    });
    if (ownProcess && !onBun) {
      test(`${mode}: V8 refuses it by itself`, async () => {
        const stopped = await outcome("unconfined", mode, attacker(mode, WAYS[0]), true);
        assert.not.ok(accepted(stopped));
      });
    }
  }
}

test("reeve: nor does it in the calling thread, where short evaluations run", async () => {
  const builds = {
    unconfined: { ...NAIVE, ...NO_BORDER, ...UNCONFINED },
    naive: { ...NAIVE, ...NO_BORDER },
  };
  const file = join(folder, "attacker.wasm");
  const request = join(folder, "request.json");
  const kind = { group: "", version: "v1", kind: "Pod" };
  const resource = { group: "", version: "v1", resource: "pods" };
  writeFileSync(
    request,
    JSON.stringify({ uid: "u", kind, resource, operation: "CREATE", userInfo: {}, object: {} }),
  );
  for (const [name, replacements] of Object.entries(builds)) {
    const program = fileURLToPath(
      await bundle(join(folder, `reeve-${name}`), { reeve: "cli/main.ts" }, replacements),
    );
    for (const mode of STATEFUL_MODES) {
      writeFileSync(file, attacker(mode, WAYS[0]));
      const { status, stdout, stderr } = spawnSync(process.execPath, [program, "run", file, "-r", request], {
        encoding: "utf8",
        env: { PATH: process.env["PATH"], HOME: folder },
      });
      assert.is(
        /"allowed":true/.test(stdout),
        name === "unconfined",
        `${mode} ${name} ${status} ${stdout} ${stderr}`,
      );
    }
  }
});

const SERVER = {
  policy_server: "policy_server/main.ts",
  worker: "evaluator/apply/worker_entry.ts",
  serving: "policy_server/serve/serving_entry.ts",
  "entry/worker": "node_modules/tinypool/dist/entry/worker.js",
};

/** What the server is without, and what stops the guest then. */
const SERVERS: readonly (readonly [name: string, Replacements, why: RegExp])[] = [
  ["naive", { ...NAIVE, ...NO_BORDER }, /code is not made from strings/],
  // Its process is its own, so V8 was told as well.
  ...(onBun ? [] : [
    [
      "unconfined",
      { ...NAIVE, ...NO_BORDER, ...UNCONFINED },
      /Code generation from strings disallowed/,
    ] as const,
  ]),
];

for (const [name, replacements, why] of SERVERS) {
  test(`policy server: nor does it there (${name})`, async () => {
    const program = fileURLToPath(await bundle(join(folder, `server-${name}`), SERVER, replacements));
    const file = join(folder, "served.wasm");
    writeFileSync(file, attacker("kubewarden-wapc", WAYS[0]));
    const policies = {
      attacker: { module: pathToFileURL(file).href },
      other: { module: moduleUrl("policies/pod-privileged/policy.wasm") },
    };
    await serving({ program, policies, tls: false, flags: ["--serving-threads", "1"] }, async (running) => {
      // First in the pool, then in the thread that serves.
      for (let times = 0; times < 4; times++) {
        const { response } = JSON.parse(
          (await ask(running, { path: "/validate/attacker", body: reviewOf() })).body,
        );
        assert.is(response.allowed, false);
        assert.match(response.status.message, why);
      }
      const other = JSON.parse((await ask(running, { path: "/validate/other", body: reviewOf() })).body);
      assert.is(other.response.allowed, true);
    });
  });
}

test("names of what objects inherit are judged in such a thread as in the calling one", async () => {
  const names = Object.getOwnPropertyNames(Object.prototype).filter((name) => name !== "__proto__");
  const odd = Object.fromEntries(names.map((name) => [name, "x"]));
  const metadata = { name: "p", labels: { ...odd, owner: "a" }, annotations: odd };
  const request = {
    uid: "u",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    operation: "CREATE",
    userInfo: { username: "a" },
    object: { ...odd, apiVersion: "v1", kind: "Pod", metadata, spec: { containers: [], ...odd } },
  };
  const policies = [
    "tests/policies/opa-labels",
    "tests/policies/gatekeeper-shape",
    "tests/policies/gatekeeper-answers",
    "tests/policies/extism-rust",
    "tests/policies/wasi-go",
    "policies/default-seccomp",
    "policies/required-labels",
  ];
  for (const path of policies) {
    const module = join(ROOT, path, "policy.wasm");
    const verdicts = [];
    for (const threads of [0, 1]) {
      await using policy = await loadGuest(module, { threads, settings: { ...odd, required: ["owner"] } });
      verdicts.push(await policy.validate(request));
    }
    assert.equal(verdicts[1], verdicts[0], path);
  }
});

/** What is denied on every runtime, and what on Node alone. */
const DENIED = [
  "eval",
  "Function",
  "AsyncFunction",
  "GeneratorFunction",
  "AsyncGeneratorFunction",
  "global Function",
  "process.binding",
  "process.dlopen",
  "process.kill",
  "process.getBuiltinModule",
  "global process",
  "environment variables",
  "globals",
  "prototypes",
];
const DENIED_BY_NODE = ["reads a file", "writes a file", "starts a process", "starts a thread"];
const DENIED_BY_NODE_26 = ["opens a socket"];
/** Its own modules for processes and sockets fail without the global `Bun`. */
const OPEN_ON_BUN = ["reads a file", "writes a file", "starts a thread"];

test("what code in such a thread can do", async () => {
  const found = await outcome("probe", "kubewarden-wapc", statefulGuest("kubewarden-wapc"), false);
  if (found.kind !== "error") throw new Error(JSON.stringify(found));
  const results = JSON.parse(found.message.slice(found.message.indexOf("{")));
  const open = Object.keys(results).filter((name) => results[name] === "DONE").sort();
  const all = [...DENIED, ...DENIED_BY_NODE, ...DENIED_BY_NODE_26];
  assert.equal(Object.keys(results).sort(), [...all].sort());
  const expected = onBun ? OPEN_ON_BUN : nodeMajor < 26 ? DENIED_BY_NODE_26 : [];
  assert.equal(open, [...expected].sort(), JSON.stringify(results));
});

test.run();
