// A kept instance is like a new one, in whatever a guest can observe: the size of its memory by loads and stores beyond its own page
// count, by growing, by what host functions refuse.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Deadline } from "../../evaluator/apply/deadline.ts";
import { Engine } from "../../evaluator/apply/engine.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { Snapshot } from "../../evaluator/apply/snapshot.ts";
import { GUARD, instrument } from "../../evaluator/render/instrument.ts";
import { PAGE, policyOf, probingGuest } from "./probing_guest.ts";
import { STATEFUL_MODES } from "./stateful_guests.ts";
import { policyText, wasm, withMetadata } from "./wasm_text.ts";

/** Of the modes' guests, the largest has two pages. */
const PROBES = [
  ...[0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 15, 16, 19, 20, 21, 22, 32, 33, 34, 41, 42, 43, 60].map((page) =>
    `@L${page * PAGE + 65_000};`
  ),
  ...[1, 2, 3, 9, 10, 30, 33, 40, 41].map((page) => `@H${page * PAGE + 100};`),
  ...[1, 2, 3].map((pages) => `@S${pages};`),
  ...[1, 31, 41, 900, 998, 1000, 65_535].map((pages) => `@R${pages};`),
];

/** What a call leaves: grown memory, or bytes beyond its own page count. */
const BEFORE = ["@G1;", "@G8;", "@G41;", `@W${5 * PAGE};`];

for (const mode of STATEFUL_MODES) {
  test(`${mode}: nothing tells a kept instance from a new one`, async () => {
    const prepared = await prepareModule(probingGuest(mode), { memoryMib: 64 });
    assert.ok(prepared.restorable);
    const expected = new Map<string, string>();
    for (const told of PROBES) expected.set(told, await policyOf(prepared)(told));
    const answers = [...expected.values()];
    assert.ok(answers.includes("yes") && answers.some((answer) => answer !== "yes"), answers.join());
    for (const before of BEFORE) {
      const ask = policyOf(prepared);
      for (const told of PROBES) {
        assert.is(await ask(before), "yes", before);
        assert.is(await ask(told), expected.get(told), `${told} after ${before}`);
      }
    }
  });

  test(`${mode}: memory and globals are put back byte for byte, with room for what is usual`, async () => {
    const plain = wasm(`(module
      (memory (export "memory") 2 200)
      (global $count (mut i64) (i64.const 7))
      (global $ratio (mut f64) (f64.const 0.5))
      (data (i32.const 70000) "here from the start")
      (func (export "leave") (param $pages i32)
        (global.set $count (i64.const -1))
        (global.set $ratio (f64.const -1))
        (drop (memory.grow (local.get $pages)))
        (memory.fill (i32.const 0) (i32.const 255) (i32.mul (memory.size) (i32.const 65536)))))`);
    const module = await WebAssembly.compile(instrument(plain, { maxPages: 1024 }).bytes as BufferSource);
    const make = async () => {
      const instance = await WebAssembly.instantiate(module);
      const { exports } = instance;
      new Deadline().attach(instance);
      const snapshot = new Snapshot(instance, mode);
      const state = () => ({
        bytes: new Uint8Array((exports["memory"] as WebAssembly.Memory).buffer).slice(),
        globals: Object.entries(exports).filter(([name]) => name.startsWith(GUARD.prefix)).map((
          [name, value],
        ) => value instanceof WebAssembly.Global ? `${name} ${value.value}` : name),
      });
      return { snapshot, state, leave: exports["leave"] as (pages: number) => void };
    };
    const fresh = (await make()).state();
    const kept = await make();
    for (const pages of [0, 1, 8]) {
      kept.leave(pages);
      assert.not.equal(kept.state().globals, fresh.globals);
      assert.ok(kept.snapshot.restore(), `${pages} pages are usual`);
      const { bytes, globals } = kept.state();
      assert.equal(globals, fresh.globals);
      assert.ok(Buffer.compare(bytes, fresh.bytes) === 0, `after ${pages} pages`);
    }
    kept.leave(100);
    assert.not.ok(kept.snapshot.restore(), "what grew beyond is dropped");
  });
}

/** One length for each room that instances are kept with, and one beyond. */
const LENGTHS = [0, 50_000, 200_000, 600_000, 2_200_000];

for (const mode of STATEFUL_MODES) {
  test(`${mode}: nothing tells a kept instance from a new one, whatever the length of the requests`, async () => {
    // Requests have room in its own memory.
    const prepared = await prepareModule(probingGuest(mode, 60), { memoryMib: 64 });
    // Before and behind where the room of each length ends: on waPC at 63 pages and 0, 12, 48 and 192 more.
    const pages = [61, 70, 90, 105, 200, 280];
    const probes = LENGTHS.flatMap((length) => {
      const padding = "x".repeat(length);
      return [
        ...pages.map((page) => `@L${page * PAGE + 65_000};${padding}`),
        `@H${70 * PAGE + 100};${padding}`,
      ];
    });
    const expected = new Map<string, string>();
    for (const told of probes) expected.set(told, await policyOf(prepared)(told));
    for (const length of LENGTHS) {
      const answers = probes.filter((told) => told.endsWith(`;${"x".repeat(length)}`)).map((told) =>
        expected.get(told)
      );
      assert.ok(new Set(answers).size > 1, `${length}: ${answers.join()}`);
    }
    const ask = policyOf(prepared);
    for (const length of LENGTHS) {
      const left = length === 50_000 ? "@G60;" : `@W${61 * PAGE};`;
      await ask(left + "y".repeat(length));
      for (const told of probes) {
        assert.is(await ask(told), expected.get(told), `${told.slice(0, 20)} after ${left}, ${length} bytes`);
      }
    }
  });
}

/** Counts the instances that are made of modules while `task` runs. */
async function instances(task: () => Promise<void>): Promise<number> {
  const { instantiate, Instance } = WebAssembly;
  let made = 0;
  const counting = (...given: Parameters<typeof instantiate>) => {
    made++;
    return instantiate(...given);
  };
  Object.assign(WebAssembly, {
    instantiate: counting,
    Instance: new Proxy(Instance, {
      construct(target, given) {
        made++;
        return Reflect.construct(target, given);
      },
    }),
  });
  try {
    await task();
  } finally {
    Object.assign(WebAssembly, { instantiate, Instance });
  }
  return made;
}

test("a guest that grows by what its request needs is kept, and given back when nobody needs it", async () => {
  const prepared = await prepareModule(probingGuest("kubewarden-wapc", 40), { memoryMib: 64 });
  const ask = policyOf(prepared);
  const asking = (told: string, times: number) =>
    instances(async () => {
      for (let time = 0; time < times; time++) assert.is(await ask(told), "yes");
    });
  const long = `@G40;${"x".repeat(1_000_000)}`;
  const first = await asking(long, 1);
  assert.ok(first >= 1);
  assert.is(await asking(long, 5), 0, "kept");
  assert.ok(await asking("@G1;", 3) >= 1, "a short request has an instance of its own");
  assert.is(await asking(long, 2), 0, "kept beside it");
  const { now } = performance;
  try {
    performance.now = () => now.call(performance) + 60_000;
    assert.is(await asking("@G1;", 1), 0);
  } finally {
    performance.now = now;
  }
  assert.is(await asking(long, 1), first, "made anew after a minute");
});

for (const mode of STATEFUL_MODES) {
  test(`${mode}: a guest that outgrew its room is made anew before the next request comes`, async () => {
    const engine = new Engine(
      { call: () => ({ ok: false, error: "none" }), log() {}, sleep() {} },
      new Deadline(),
    );
    engine.addModule(1, await prepareModule(probingGuest(mode), { memoryMib: 64 }));
    for (const id of [1, 2]) {
      engine.addPolicy(id, {
        id: `${id}`,
        module: 1,
        settings: new TextEncoder().encode("{}"),
        limitMs: 60_000,
      });
    }
    const ask = async (id: number, told: string) => {
      const json = new TextEncoder().encode(JSON.stringify({ uid: "u", object: { told } }));
      const outcome = await engine.run(id, "validate", { json, object: [1, 2] });
      assert.ok(outcome.kind === "verdict" && outcome.verdict.allowed, `${told} ${JSON.stringify(outcome)}`);
      engine.tidy();
    };
    await ask(1, "@G1;");
    assert.is(await engine.makeAhead(), false, "one that was put back is there");
    await ask(1, "@G60;");
    assert.ok(await instances(async () => void await engine.makeAhead()) > 0);
    assert.is(await engine.makeAhead(), false, "once");
    // It is like any other: nothing is left, neither of memory nor of what was written.
    assert.is(await instances(() => ask(2, `@L${15 * PAGE};`)), 0);
    await ask(1, "@G60;");
    engine.remove([1], []);
    assert.is(await instances(async () => void await engine.makeAhead()), 0, "for nobody");
    await ask(2, "@G60;");
    engine.remove([2], [1]);
    assert.is(await engine.makeAhead(), false);
  });
}

test("memory of instances that are not kept is given back", async () => {
  // 150 MB a call: without giving back, 25 calls take 3.7 GB (on Node, whose garbage collector does not see it).
  const pages = 2400;
  const body = `(if (i32.eq (memory.grow (i32.const ${pages})) (i32.const -1)) (then unreachable))
    (memory.fill (i32.const ${PAGE}) (i32.const 7) (i32.const ${pages * PAGE}))`;
  const prepared = await prepareModule(withMetadata(wasm(policyText(body))), { memoryMib: 256 });
  const ask = policyOf(prepared);
  const before = process.memoryUsage().rss;
  let most = 0;
  for (let call = 0; call < 25; call++) {
    assert.is(await ask(""), "yes");
    most = Math.max(most, process.memoryUsage().rss - before);
  }
  assert.ok(most < 1_200_000_000, `${Math.round(most / 1e6)} MB`);
});

test("an instance with a NaN in a global is not kept: JavaScript does not keep its bits", async () => {
  const plain = wasm(
    '(module (memory (export "memory") 1) (global (mut f64) (f64.const nan:0x4000000000001)))',
  );
  const module = await WebAssembly.compile(instrument(plain, { maxPages: 16 }).bytes as BufferSource);
  assert.not.ok(new Snapshot(await WebAssembly.instantiate(module), "wasi").restore());
});

test("the room ends at the memory's maximum", async () => {
  const plain = wasm('(module (memory (export "memory") 1 3))');
  const module = await WebAssembly.compile(instrument(plain, { maxPages: 16 }).bytes as BufferSource);
  for (const mode of STATEFUL_MODES) {
    const instance = await WebAssembly.instantiate(module);
    assert.ok(new Snapshot(instance, mode).restore());
    assert.ok((instance.exports["memory"] as WebAssembly.Memory).buffer.byteLength <= 3 * PAGE);
  }
});

test.run();
