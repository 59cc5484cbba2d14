// While the host works for a guest, the thread's owner gets its turns: nothing in the guest looks at the clock meanwhile, and what
// waits behind the guest would wait for all of its limit.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Deadline } from "../../evaluator/apply/deadline.ts";
import { Engine } from "../../evaluator/apply/engine.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { testPolicy } from "./evaluation.ts";
import { policyText, wasm } from "./wasm_text.ts";

/** The guest itself looks at its clock a few times as it reads and writes the operands; the builtin would do so a thousand times. */
const TURNS = 50;

test("a builtin that works for long gives turns", async () => {
  let turns = 0;
  const turn = () => {
    if (++turns === TURNS) throw new Error("enough turns were given");
  };
  const engine = new Engine({
    call: () => ({ ok: false, error: "no host calls" }),
    log: () => {},
    sleep: () => {},
  }, new Deadline(turn));
  engine.addModule(1, await prepareModule(testPolicy("rego-builtins/policy.wasm"), { memoryMib: 256 }));
  engine.addPolicy(2, { id: "rego", module: 1, settings: new TextEncoder().encode("{}"), limitMs: 60_000 });
  const judge = (request: string) => {
    const json = new TextEncoder().encode(request);
    return engine.run(2, "validate", { json, object: [0, json.length] });
  };
  const first = await judge(`{"calls":[]}`);
  assert.ok(first.kind === "verdict" && first.verdict.allowed, JSON.stringify(first));
  engine.tidy();
  // As many paths as there are orders of these.
  const nodes = "abcdefghijklmnop".split("");
  const edges = Object.fromEntries(nodes.map((node) => [node, nodes]));
  turns = 0;
  const outcome = await judge(
    JSON.stringify({ calls: [{ name: "graph.reachable_paths", operands: [edges, ["a"]] }] }),
  );
  assert.is(
    outcome.kind === "verdict" && outcome.verdict.status?.message,
    'internal server error: wasm engine error: error invoking opa_eval function: Builtin error ["graph.reachable_paths"]: "enough turns were given"',
  );
});

// What was measured from the task before gave out quick policies as busy, and what waited behind them went from thread to thread.
test("a task is busy for no longer than it runs", async () => {
  let began = 0;
  const tooLong: string[] = [];
  let turns = 0;
  const turn = (busyMs: number) => {
    turns++;
    const ranMs = performance.now() - began;
    if (busyMs > ranMs) tooLong.push(`${busyMs} of ${ranMs} ms`);
  };
  const deadline = new Deadline(turn);
  const engine = new Engine({
    call: () => ({ ok: false, error: "no host calls" }),
    log: () => {},
    sleep: () => {},
  }, deadline);
  engine.addModule(1, await prepareModule(wasm(policyText("")), { memoryMib: 1 }, "kubewarden-wapc"));
  engine.addPolicy(2, { id: "quick", module: 1, settings: new TextEncoder().encode("{}"), limitMs: 60_000 });
  for (let task = 0; task < 10; task++) {
    began = performance.now();
    deadline.begin();
    const outcome = await engine.run(2, "validate", { json: new TextEncoder().encode("{}"), object: [0, 2] });
    assert.ok(outcome.kind === "verdict" && outcome.verdict.allowed, JSON.stringify(outcome));
    engine.tidy();
  }
  assert.ok(turns >= 10);
  assert.equal(tooLong, []);
});

test.run();
