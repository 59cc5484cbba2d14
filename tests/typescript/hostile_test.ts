// Policies in TypeScript that don't end, take everything, or remember: they end in time, and no request sees another.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadGuest } from "../load_guest.ts";
import { evaluation } from "../evaluator/evaluation.ts";
import { build, validating } from "./building.ts";

/** What attacks do, and what the client sees. */
const ATTACKS: readonly (readonly [what: string, body: string, seen: RegExp])[] = [
  ["an endless loop", "for (;;);", /exceeded the allowed execution time/],
  [
    "one that catches all",
    "for (;;) { try { null!; } catch { continue; } }",
    /exceeded the allowed execution time/,
  ],
  [
    "a regular expression that tries everything",
    'return reject(String(/^(a+)+$/.test("a".repeat(60) + "!")));',
    /exceeded the allowed execution time/,
  ],
  [
    "one of a text",
    'return reject(String(new RegExp("^(a|aa)+$").test("a".repeat(90) + "!")));',
    /exceeded the allowed execution time/,
  ],
  [
    "endless recursion",
    "const f = (n: number): number => f(n + 1) + 1;\n    return reject(String(f(0)));",
    /RangeError: Maximum call stack size exceeded/,
  ],
  [
    "recursion through JSON",
    "const deep = (n: number): unknown => ({ toJSON: () => ({ next: deep(n + 1) }) });\n    return reject(JSON.stringify(deep(0)));",
    /call stack/,
  ],
  [
    "recursion that is caught",
    "const f = (): number => { try { return f(); } catch { return f(); } };\n    return reject(String(f()));",
    /exceeded the allowed execution time|Maximum call stack/,
  ],
  ["deep JSON", 'return reject(JSON.parse("[".repeat(1e6)));', /./],
  ["a deep regular expression", 'return reject(String(new RegExp("(".repeat(1e5) + ")".repeat(1e5))));', /./],
  [
    "a sort that recurs",
    "return reject([3, 2, 1].sort(function f(): number { return [2, 1].sort(f).length; }).join());",
    /Maximum call stack size exceeded/,
  ],
  [
    "a huge text",
    'let text = "x";\n    for (;;) text += text + ",";',
    /out of memory|invalid string length|string too long/i,
  ],
  [
    "a huge list",
    "const list: number[][] = [];\n    for (;;) list.push(new Array(1000).fill(1));",
    /out of memory/,
  ],
  [
    "a huge buffer",
    "return reject(String(new Uint8Array(2 ** 31 - 1).length));",
    /out of memory|invalid array buffer length|RangeError/i,
  ],
  ["a text of many repeats", 'return reject("x".repeat(2 ** 29));', /out of memory|invalid/i],
  ["a large number", "return reject(String(2n ** (2n ** 30n)));", /out of memory|BigInt|maximum/i],
  [
    "all memory, caught",
    "const all: unknown[] = [];\n    for (;;) { try { for (;;) all.push([1, 2, 3]); } catch { all.push(1); } }",
    /exceeded the allowed execution time|out of memory|memory/,
  ],
  ["a log without end", 'for (;;) console.log("a".repeat(1000));', /exceeded the allowed execution time/],
];

/** For what has no end, and for what ends with an error of its own, on however slow a machine. */
const limitOf = (seen: RegExp) => seen.source.startsWith("exceeded") ? 300 : 20_000;

test("attacks end, and the next request is answered", async () => {
  for (const threads of [1, 0]) {
    for (const [what, body, seen] of ATTACKS) {
      const wasm = await build(validating(`if (request.uid === "good") return accept();\n    ${body}`));
      const policy = await loadGuest(wasm, { threads, timeoutMs: limitOf(seen), memoryMib: 128 });
      try {
        for (let round = 0; round < 2; round++) {
          const { allowed, status } = await policy.validate(request("bad"));
          assert.is(allowed, false, `${what}, ${threads} threads`);
          assert.match(status!.message!, seen, `${what}, ${threads} threads`);
          assert.is(
            (await policy.validate(request("good"))).allowed,
            true,
            `${what}: the next, ${threads} threads`,
          );
        }
      } finally {
        await policy.close();
      }
    }
  }
});

function request(uid: string): string {
  return JSON.stringify({
    uid,
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    operation: "CREATE",
    userInfo: {},
    object: { metadata: { name: uid } },
  });
}

/** Where a policy may keep something, and how it is told. */
const MEMORIES: readonly (readonly [where: string, before: string, body: string])[] = [
  ["a variable", "let seen: string[] = [];", "seen.push(request.uid); return reject(seen.join());"],
  [
    "a map",
    "const seen = new Map<string, number>();",
    "seen.set(request.uid, 1); return reject([...seen.keys()].join());",
  ],
  [
    "the global object",
    "",
    "const g = globalThis as never as { seen?: string }; g.seen = (g.seen ?? '') + request.uid; return reject(g.seen);",
  ],
  [
    "a prototype",
    "",
    "const p = Array.prototype as never as { seen?: string }; p.seen = (p.seen ?? '') + request.uid; return reject(p.seen);",
  ],
  [
    "a function",
    "function f() {}",
    "const p = f as never as { seen?: string }; p.seen = (p.seen ?? '') + request.uid; return reject(p.seen);",
  ],
  [
    "a regular expression",
    "const r = /a/g;",
    "r.test('aaaa'); return reject(request.uid.repeat(r.lastIndex));",
  ],
  [
    "a generator",
    "const g = (function* () { for (let n = 1;; n++) yield n; })();",
    "return reject(request.uid.repeat(g.next().value!));",
  ],
  [
    "a large one",
    "const all: string[] = [];",
    "for (let n = 0; n < 5e4; n++) all.push(request.uid + n); return reject(all.length === 5e4 ? request.uid : 'more');",
  ],
];

test("no request sees what another left", async () => {
  for (const threads of [1, 0]) {
    for (const [where, before, body] of MEMORIES) {
      await using policy = await loadGuest(await build(validating(body, before)), {
        threads,
        timeoutMs: 20_000,
      });
      for (const uid of ["a", "b", "c", "d"]) {
        const { status } = await policy.validate(request(uid));
        assert.is(status?.message, uid, `${where}, ${threads} threads`);
      }
    }
  }
});

test("the clock is the host's", async () => {
  const wasm = await build(validating("return reject(String(Date.now()));"));
  await evaluation(async ({ load }) => {
    const policy = await load("p", { wasm });
    const before = Date.now();
    const told = Number((await policy.judge("{}")).status!.message);
    assert.ok(told >= before && told <= Date.now());
  });
});

test.run();
