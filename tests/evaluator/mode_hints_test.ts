/**
 * A module of another mode than its metadata (or the user) says is told which one it is, and a Rego module with the wrong entry point
 * which ones there are: in the policy server, `reeve` and the library alike.
 *
 * What tells a mode: `__guest_call` is waPC's (the waPC specification, `spec/evaluator.md §2`); `opa_…` are those of `opa build -t wasm`
 * (OPA's documentation of WebAssembly, spec/evaluator.md §7.1; kwctl 1.36 tells Rego by them, `spec/cli.md §7.4`);
 * `extism:host/env` is the namespace of Extism's kernel; `_start` is a WASI command (spec/evaluator.md §6).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadGuest } from "../load_guest.ts";
import { likelyMode, modeHint } from "../../evaluator/render/guest_mode.ts";
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import { inPlace } from "../cli/place.ts";
import { ask, reviewOf } from "../policy_server/requests.ts";
import { failing, serving } from "../policy_server/server_process.ts";
import { moduleFile } from "./module_file.ts";
import { metadataOf, STATEFUL_MODES, statefulText } from "./stateful_guests.ts";
import { wasm, withMetadata } from "./wasm_text.ts";

const REVIEW = reviewOf({}, { object: { apiVersion: "v1", kind: "Pod", metadata: { name: "a" } } });
const REQUEST = JSON.parse(REVIEW).request;
const REGO: readonly ExecutionMode[] = ["opa", "gatekeeper"];

/** What each mode's guest is known by, and how an error calls its mode. */
const SIGNS: Readonly<Record<string, string>> = {
  "kubewarden-wapc": "the module exports __guest_call, so its execution mode is kubewarden-wapc",
  wasi: "the module exports _start and nothing of another mode, so its execution mode is wasi",
  opa: "the module exports functions named opa_…, so its execution mode is opa or gatekeeper",
  gatekeeper: "the module exports functions named opa_…, so its execution mode is opa or gatekeeper",
  extism: "the module imports extism:host/env, so its execution mode is extism",
};

type Mismatch = {
  readonly name: string;
  readonly declared: ExecutionMode;
  readonly hint: string;
  readonly plain: Uint8Array;
  readonly annotated: Uint8Array;
};
/** Every mode's guest under every other mode's name. What both Rego modes are told apart by comes further below. */
const MISMATCHES: readonly Mismatch[] = STATEFUL_MODES.flatMap((actual) =>
  STATEFUL_MODES.filter((declared) =>
    declared !== actual && !(REGO.includes(declared) && REGO.includes(actual))
  )
    .map((declared) => {
      const plain = wasm(statefulText(actual));
      return {
        name: `${actual}-as-${declared}`,
        declared,
        hint: `; ${SIGNS[actual]}, not ${declared}: correct executionMode in its metadata`,
        plain,
        annotated: withMetadata(plain, metadataOf(declared)),
      };
    })
);

test("the right mode gets no hint", () => {
  assert.is(MISMATCHES.length, 18);
  for (const mode of STATEFUL_MODES) assert.is(modeHint(wasm(statefulText(mode)), mode), "", mode);
  assert.is(likelyMode(wasm("(module)")), undefined);
  assert.is(modeHint(new Uint8Array(3), "wasi"), "", "no module");
  // The committed policies, made by the tools of each mode.
  const root = fileURLToPath(new URL("../policies/", import.meta.url));
  const made: readonly (readonly [string, ExecutionMode])[] = [
    ["host-caller", "kubewarden-wapc"],
    ["wasi-go", "wasi"],
    ["rego-answers", "opa"],
    ["gatekeeper-answers", "gatekeeper"],
    ["extism-rust", "extism"],
    ["extism-assemblyscript", "extism"],
  ];
  for (const [name, mode] of made) {
    const module = new Uint8Array(readFileSync(join(root, name, "policy.wasm")));
    assert.ok(likelyMode(module)?.modes.includes(mode), name);
  }
});

for (const threads of [0, 1]) {
  test(`the library, threads: ${threads}`, async () => {
    for (const { name, annotated, hint } of MISMATCHES) {
      let said = "";
      try {
        await using policy = await loadGuest(annotated, { threads });
        said = JSON.stringify(await policy.validate(REQUEST));
      } catch (error) {
        said = (error as Error).message;
      }
      assert.ok(said.includes(hint), `${name}: ${said}`);
    }
  });
}

test("reeve: metadata that say another mode, and the flag", () =>
  inPlace(async ({ reeve, file }) => {
    file("review.json", REVIEW);
    for (const { name, annotated, plain, declared, hint } of MISMATCHES) {
      const rows: readonly (readonly [Uint8Array, ...string[]])[] = [
        [annotated],
        [plain, "-e", declared === "kubewarden-wapc" ? "kubewarden" : declared],
      ];
      for (const [module, ...flags] of rows) {
        const { exit, stdout, stderr } = await reeve(
          "run",
          moduleFile(name, module),
          "-r",
          "review.json",
          ...flags,
        );
        assert.is(exit, 1, `${name} ${flags.join(" ")}: ${stdout}`);
        assert.ok(stderr.includes(hint), `${name} ${flags.join(" ")}: ${stderr}`);
      }
    }
    // Without either, a module is taken for waPC's.
    const wasi = await reeve("run", moduleFile("wasi", wasm(statefulText("wasi"))), "-r", "review.json");
    assert.is(wasi.exit, 1);
    assert.ok(wasi.stderr.includes(`; ${SIGNS["wasi"]}, not kubewarden-wapc`), wasi.stderr);
  }));

test("reeve annotate: metadata that are wrong are not written", () =>
  inPlace(async ({ reeve, file }) => {
    for (const { name, plain, declared, hint } of MISMATCHES) {
      // Only these are checked when a module is annotated (`spec/cli.md §15`, 3 and 4).
      if (declared !== "kubewarden-wapc" && !REGO.includes(declared)) continue;
      file(
        "metadata.yml",
        `rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]\nmutating: false\nexecutionMode: ${declared}\n`,
      );
      const annotate = ["annotate", "-m", "metadata.yml", "-o", "out.wasm", moduleFile(name, plain)];
      const { exit, stderr } = await reeve(...annotate);
      assert.is(exit, 1, name);
      assert.ok(stderr.includes(hint), `${name}: ${stderr}`);
    }
  }));

test("the policy server: all of them in one list", () =>
  failing({
    policies: Object.fromEntries(
      MISMATCHES.map((
        { name, annotated },
      ) => [name, { module: pathToFileURL(moduleFile(name, annotated)).href }]),
    ),
  }, ({ code, stdout, stderr }) => {
    assert.is(code, 1);
    const lines = `${stdout}${stderr}`.split("\n");
    for (const { name, hint } of MISMATCHES) {
      assert.ok(lines.some((line) => line.includes(hint)), `${name}: ${stderr}`);
    }
  }));

/** A Rego guest with other entry points. */
function regoGuest(mode: ExecutionMode, entryPoints: string, answersAs: ExecutionMode = mode): Uint8Array {
  const text = statefulText(answersAs);
  const list = `{\\"a/main\\":0}`;
  assert.ok(text.includes(list));
  return withMetadata(wasm(text.replace(list, entryPoints.replaceAll('"', '\\"'))), metadataOf(mode));
}
const BUILD = "build it with `opa build -t wasm -e PACKAGE/RULE`, the entry point for the policy first";
const OPA =
  "internal server error: cannot interpret OPA policy result: expected an object with a `response`; ";
const GATEKEEPER =
  "internal server error: cannot interpret Gatekeeper policy result: expected a list of violations; ";

/** Modules that were built with the wrong entry point, or evaluated as the other of both modes; what the request is refused with. */
const ENTRY_POINTS: readonly (readonly [what: string, module: () => Uint8Array, message: string])[] = [
  [
    "a Gatekeeper policy as OPA's",
    () => regoGuest("opa", '{"a/violation":0}', "gatekeeper"),
    `${OPA}the entry point answers with a list, as policies of execution mode gatekeeper do; entry points of the module: a/violation (the first is evaluated); ${BUILD}`,
  ],
  [
    "an OPA policy as Gatekeeper's",
    () => regoGuest("gatekeeper", '{"a/main":0}', "opa"),
    `${GATEKEEPER}the entry point answers with an object, as policies of execution mode opa do; entry points of the module: a/main (the first is evaluated); ${BUILD}`,
  ],
  [
    "two entry points, the right one second",
    () => regoGuest("opa", '{"a/z":1,"a/violation":0}', "gatekeeper"),
    `${OPA}the entry point answers with a list, as policies of execution mode gatekeeper do; entry points of the module: a/violation, a/z (the first is evaluated); ${BUILD}`,
  ],
  [
    "no entry points (spec/evaluator.md §7.1: entry point 0 absent)",
    () => regoGuest("opa", "{}"),
    `internal server error: Rego wasm error: Cannot find the specified entrypoint 0 inside of {}; the module has no entry points; ${BUILD}`,
  ],
  [
    "numbers that begin later",
    () => regoGuest("gatekeeper", '{"b/c":2,"a/x":1}'),
    `internal server error: Rego wasm error: Cannot find the specified entrypoint 0 inside of {"b/c":2,"a/x":1}; entry points of the module: a/x, b/c (the first is evaluated); ${BUILD}`,
  ],
  [
    "a list that can't be read",
    () => regoGuest("opa", "[7]"),
    `internal server error: Rego wasm error: Cannot find the specified entrypoint 0 inside of [7]; the module's list of entry points can't be read; ${BUILD}`,
  ],
];

test("what else an entry point answers is told in the policy's log, with the entry points there are", () =>
  inPlace(async ({ reeve, file }) => {
    const told = `; entry points of the module: [a-z_/]+ \\(the first is evaluated\\); ${BUILD}`;
    const rows: readonly (readonly [request: object, answer: string])[] = [
      [{}, "is undefined for this request"],
      [{ do: "text" }, "answers with a string"],
      [{ do: "no-response" }, "answers with an object"],
    ];
    for (const [request, answer] of rows) {
      file("request.json", JSON.stringify(request));
      const module = fileURLToPath(new URL("../policies/rego-answers/policy.wasm", import.meta.url));
      const { stdout, stderr } = await reeve("run", module, "-e", "opa", "--raw", "-r", "request.json");
      const { message } = JSON.parse(stdout).status;
      assert.is(message, "internal server error: cannot interpret OPA policy result", answer);
      assert.match(
        stderr,
        new RegExp(`expected an object with a \`response\`; the entry point ${answer}${told}`),
        answer,
      );
    }
  }));

test("Rego modules with the wrong entry point: the library and reeve", () =>
  inPlace(async ({ reeve, file }) => {
    file("review.json", REVIEW);
    for (const [what, module, message] of ENTRY_POINTS) {
      for (const threads of [0, 1]) {
        await using policy = await loadGuest(module(), { threads });
        const { allowed, status } = await policy.validate(REQUEST);
        assert.equal([allowed, status?.message, status?.code], [false, message, 500], what);
      }
      const { exit, stdout, stderr } = await reeve("run", moduleFile("rego", module()), "-r", "review.json");
      assert.is(exit, 0, stderr);
      assert.is(JSON.parse(stdout).status.message, message, what);
    }
  }));

test("Rego modules with the wrong entry point: the policy server", () =>
  serving({
    policies: Object.fromEntries(
      ENTRY_POINTS.map(([, module], index) => [
        `rego-${index}`,
        { module: pathToFileURL(moduleFile(`rego-${index}`, module())).href },
      ]),
    ),
  }, async (server) => {
    for (const [index, [what, , message]] of ENTRY_POINTS.entries()) {
      const { body } = await ask(server, { path: `/validate/rego-${index}`, body: REVIEW });
      const { allowed, status } = JSON.parse(body).response;
      assert.equal([allowed, status.message, status.code], [false, message, 500], what);
    }
  }));

test.run();
