// What guests took and left behind goes back to the system, also when nothing comes after them.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Deadline } from "../../evaluator/apply/deadline.ts";
import { Engine } from "../../evaluator/apply/engine.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import type { ThreadMemory } from "../../evaluator/types/protocol.ts";

const MIB = 1024 * 1024;
const GUEST_MIB = 256;
/** So many that some stay where nobody collects. */
const GUESTS = 12;
const residentMib = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]) / 1024;

/** Once what was freed before has gone back as well, which the system does by and by. */
async function settledMib(): Promise<number> {
  let last = residentMib();
  for (let calm = 0; calm < 5;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = residentMib();
    calm = Math.abs(now - last) < 1 ? calm + 1 : 0;
    last = now;
  }
  return last;
}

const bytesOf = (path: string) => new Uint8Array(readFileSync(fileURLToPath(new URL(path, import.meta.url))));
const request = (annotations: Readonly<Record<string, string>>) => ({
  json: new TextEncoder().encode(JSON.stringify({ uid: "u", object: { metadata: { annotations } } })),
  object: undefined,
});

async function engineWith(path: string, modules: number, memory?: ThreadMemory): Promise<Engine> {
  const host = { call: () => ({ ok: false as const, error: "none" }), log() {}, sleep() {} };
  const engine = new Engine(host, new Deadline(), memory);
  for (let id = 0; id < modules; id++) {
    engine.addModule(id, await prepareModule(bytesOf(path), { memoryMib: GUEST_MIB }));
    const settings = new TextEncoder().encode("{}");
    engine.addPolicy(100 + id, { id: "p", module: id, settings, limitMs: 60_000, contextAwareResources: [] });
  }
  return engine;
}

/** As the worker thread rests: blocked, so that no timer of the runtime's collector comes to its turn. */
async function idle(engine: Engine): Promise<void> {
  for (let ms = engine.tidy(); ms < Infinity; ms = engine.tidy()) {
    if (ms === 0) await engine.collect();
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  }
}

test("a thread that was made to take all the memory that there is has given it back when it rests", async () => {
  const engine = await engineWith("../policies/exhaust-memory/policy.wasm", 1);
  await engine.run(100, "validate", request({}));
  const before = residentMib();
  for (let count = 0; count < GUESTS; count++) {
    const outcome = await engine.run(100, "validate", request({ do: "allocate" }));
    assert.is(outcome.kind === "verdict" && outcome.verdict.allowed, false);
    engine.tidy();
  }
  await idle(engine);
  const grown = residentMib() - before;
  assert.ok(grown < 1.5 * GUEST_MIB, `${grown.toFixed(0)} MiB more than before`);
});

test("guests that were used longest ago make room; the policy answers all the same", async () => {
  const modules = 30;
  const resident = async (memory?: ThreadMemory) => {
    const engine = await engineWith("../../policies/pod-privileged/policy.wasm", modules, memory);
    const before = await settledMib();
    for (let round = 0; round < 3; round++) {
      for (let id = 0; id < modules; id++) {
        const outcome = await engine.run(100 + id, "validate", request({}));
        assert.is(outcome.kind, "verdict");
      }
      await idle(engine);
    }
    return { engine, grown: residentMib() - before };
  };
  const few = await resident({ kept: 4 * MIB, abandoned: 16 * MIB });
  const all = await resident();
  // A guest has 1.25 MiB, and its snapshot.
  assert.ok(
    all.grown - few.grown > 15,
    `${few.grown.toFixed(0)} MiB with few, ${all.grown.toFixed(0)} MiB with all`,
  );
  // All that was kept goes when it is asked for.
  const before = residentMib();
  all.engine.shrink();
  await idle(all.engine);
  assert.ok(before - residentMib() > 15, `${(before - residentMib()).toFixed(0)} MiB given back`);
  assert.is((await all.engine.run(100, "validate", request({}))).kind, "verdict");
});

test("what large answers were copied to has gone back when the thread rests", async () => {
  const engine = await engineWith("../policies/garbage/policy.wasm", 1);
  const megabytes = request({ do: "megabytes-of-message", megabytes: "3" });
  await engine.run(100, "validate", megabytes);
  await idle(engine);
  const before = residentMib();
  for (let count = 0; count < 20; count++) await engine.run(100, "validate", megabytes);
  // Without a new instance, and with nothing to do, nobody else has the thread collect.
  assert.ok(engine.tidy() < Infinity, "a collection is due");
  await idle(engine);
  const grown = residentMib() - before;
  assert.ok(grown < 32, `${grown.toFixed(0)} MiB more than before`);
  await engine.run(100, "validate", request({}));
  assert.is(engine.tidy(), Infinity, "small answers ask for none");
});

test("a guest whose last answer was refused is collected once, and not again and again", async () => {
  const engine = await engineWith("../policies/garbage/policy.wasm", 1);
  await engine.run(100, "validate", request({ do: "megabytes-of-message", megabytes: "5" }));
  let collected = 0;
  for (let ms = engine.tidy(); ms < Infinity && collected < 5; ms = engine.tidy()) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    await engine.collect();
    collected++;
  }
  assert.is(engine.tidy(), Infinity, `something is left after ${collected} collections`);
});

test.run();
