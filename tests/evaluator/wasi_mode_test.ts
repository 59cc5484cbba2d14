/** Execution mode `wasi` (`spec/evaluator.md §6`): what programs may do, and what they can't do to their host. */
import { readFileSync } from "node:fs";
import binaryen from "binaryen";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { HostCall, PolicyLogEntry } from "../../mod.ts";
import type { Policy, PolicyOptions } from "../../mod.ts";
import { loadGuest } from "../load_guest.ts";
import { wasm, withMetadata } from "./wasm_text.ts";

const committed = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../policies/${name}/policy.wasm`, import.meta.url)));
const PROBE = committed("wasi-probe");
const GO = committed("wasi-go");
const INTERRUPTED = "Policy execution interrupted because it exceeded the allowed execution time";
const encoder = new TextEncoder();

/** A raw request that tells the probe what to do, step by step. */
const steps = (...told: readonly unknown[]) => JSON.stringify({ uid: "u", do: told });

async function withProbe(
  options: PolicyOptions,
  use: (
    policy: Policy,
    message: (...told: readonly unknown[]) => Promise<string | undefined>,
  ) => Promise<void>,
  module = PROBE,
): Promise<void> {
  await using policy = await loadGuest(module, { timeoutMs: 10_000, ...options });
  await use(policy, async (...told) => (await policy.validate(steps(...told))).status?.message);
}

/** A policy in Wasm text with the metadata of a raw WASI policy. */
function wasiText(text: string): Uint8Array {
  const metadata = { rules: [], mutating: false, executionMode: "wasi", policyType: "raw" };
  return withMetadata(wasm(text), JSON.stringify(metadata));
}

test("what a success leaves on standard error is logged as a warning", async () => {
  const logged: PolicyLogEntry[] = [];
  await withProbe({ onLog: (entry) => logged.push(entry) }, async (policy) => {
    assert.ok((await policy.validate(steps({ stderr: "\n be careful\n" }))).allowed);
  });
  assert.is(logged.length, 1);
  assert.is(logged[0]!.level, "warn");
  assert.is(logged[0]!.message, "be careful");
});

test("a trap is logged, because the verdict has no room for it", async () => {
  const logged: PolicyLogEntry[] = [];
  await withProbe({ onLog: (entry) => logged.push(entry) }, async (policy) => {
    const verdict = await policy.validate(steps("trap"));
    assert.equal(verdict.status, { message: "", code: 500 });
    assert.ok((await policy.validate(steps())).allowed, "the next request is served");
  });
  assert.ok(logged.some(({ level, message }) => level === "error" && /unreachable/.test(message)));
});

for (const told of ["spin", "doze", "roll", "chatter", { sleepMs: 60_000 }]) {
  test(`a program that goes on for ever is stopped: ${JSON.stringify(told)}`, async () => {
    await withProbe({ timeoutMs: 300 }, async (policy) => {
      const started = performance.now();
      const verdict = await policy.validate(steps(told));
      assert.equal(verdict.status, { message: INTERRUPTED, code: 500 });
      assert.not.ok(verdict.allowed);
      // The bound only tells a stop from a hang.
      assert.ok(performance.now() - started < 20_000);
      assert.ok((await policy.validate(steps())).allowed, "the next request is served");
    });
  });
}

test("settings that take for ever to validate are refused in the same words", async () => {
  await withProbe({ timeoutMs: 300, settings: { do: ["spin"] } }, async (policy) => {
    assert.equal(await policy.validateSettings(), { valid: false, message: INTERRUPTED });
  });
});

test("a sleep within the limit is a sleep", async () => {
  await withProbe({}, async (_, message) => assert.is(await message({ sleepMs: 5 }), "slept 5 ms"));
});

test("every run begins as the first one did", async () => {
  await withProbe({}, async (_, message) => {
    const first = await message({ remember: 3_000_000 });
    assert.match(first!, /^run 1 with/);
    for (let turn = 0; turn < 5; turn++) assert.is(await message({ remember: 3_000_000 }), first);
    await message({ remember: 3_000_000 }, "trap");
    assert.is(await message({ remember: 3_000_000 }), first);
    await message({ remember: 3_000_000 }, { exit: 4 });
    assert.is(await message({ remember: 3_000_000 }), first);
  });
});

test("what one run did not read is not there for the next", async () => {
  const onHostCall = () => ({ ok: true as const, payload: encoder.encode("secret") });
  await withProbe({ onHostCall, timeoutMs: 1000 }, async (policy, message) => {
    const verdict = await policy.validate(steps({ flood: { namespace: "a", operation: "b" } }));
    assert.not.ok(verdict.allowed);
    assert.is(await message("args"), "policy.wasm validate");
  });
});

test("a host call is answered on standard input, 0 for a success and 1 for a failure, under both of its names", async () => {
  const seen: HostCall[] = [];
  await withProbe({
    onHostCall: (call) => {
      seen.push(call);
      return call.operation === "good"
        ? { ok: true, payload: encoder.encode('{"ips":["::1"]}') }
        : { ok: false, error: "nö" };
    },
  }, async (_, message) => {
    for (const javy of [false, true]) {
      const call = { namespace: "net", payload: { b: 1.5, a: "ü" }, javy };
      assert.is(
        await message({ hostCall: { ...call, operation: "good" } }, {
          hostCall: { ...call, operation: "bad" },
        }),
        '0 {"ips":["::1"]} | 1 nö',
      );
    }
  });
  assert.is(seen.length, 4);
  assert.is(seen[0]!.namespace, "net");
  assert.is(new TextDecoder().decode(seen[0]!.payload), '{"b":1.5,"a":"ü"}');
});

test("answers larger than any pipe arrive whole", async () => {
  const payload = new Uint8Array(20_000_000);
  for (let index = 0; index < payload.length; index++) payload[index] = 97 + index % 26;
  let sum = 0;
  for (const byte of payload) sum = (Math.imul(sum, 31) + byte) >>> 0;
  await withProbe({ onHostCall: () => ({ ok: true, payload }) }, async (_, message) => {
    assert.is(
      await message({ hostCall: { namespace: "oci", operation: "big" } }),
      `0 ${payload.length} bytes, checksum ${sum}`,
    );
  });
});

test("names that are not UTF-8 end the program", async () => {
  await withProbe({}, async (policy) => {
    assert.equal((await policy.validate(steps("badName"))).status, { message: "", code: 500 });
  });
});

test("output that is not text is told apart by its pipe", async () => {
  await withProbe({}, async (_, message) => {
    const text = "pipe conversion error: Cannot convert buffer to UTF8 string: ";
    assert.match(await message({ stdoutBytes: [123, 255] }) ?? "", `stdout ${text}`);
    assert.match(await message({ stderrBytes: [255] }) ?? "", `stderr ${text}`);
  });
});

test("a huge standard error is cut, a huge standard output is refused", async () => {
  await withProbe({}, async (_, message) => {
    const long = await message({ stderrLength: 5_000_000 }, { exit: 1 });
    assert.ok(long!.length < 70_000);
    assert.match(long!, /^x+… \(\d+ more bytes were dropped\)$/);
    assert.match(await message({ stdoutLength: 20_000_000 }) ?? "", /over 4194304 bytes to standard output/);
  });
});

/** A program that writes a verdict of so many bytes, by one call whose result it doesn't look at. */
const writesOnce = (bytes: number) =>
  wasiText(`(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 300)
    (data (i32.const 100) "{\\"accepted\\":true")
    (func (export "_start")
      (memory.fill (i32.const 116) (i32.const 32) (i32.const ${bytes - 17}))
      (i32.store8 (i32.const ${100 + bytes - 1}) (i32.const 125))
      (i32.store (i32.const 0) (i32.const 100))
      (i32.store (i32.const 4) (i32.const ${bytes}))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))`);

test("an answer of any length that is taken is taken by one write", async () => {
  for (const bytes of [17, 1_048_577, 4_194_304]) {
    await using policy = await loadGuest(writesOnce(bytes));
    assert.ok((await policy.validate("{}")).allowed, `${bytes} bytes`);
  }
  await using policy = await loadGuest(writesOnce(4_194_305));
  assert.equal((await policy.validate("{}")).status, {
    message: "the policy wrote over 4194304 bytes to standard output",
    code: 500,
  });
});

test("no file, no directory, no socket, no variable", async () => {
  await withProbe({}, async (_, message) => {
    const calls: readonly (readonly [string, readonly number[], number])[] = [
      ["fd_prestat_get", [3, 64], 8],
      ["path_open", [3, 0, 64, 1, 0, 0xffff, 0xffff, 0, 80], 8],
      ["path_open", [0, 0, 64, 1, 0, 0xffff, 0xffff, 0, 80], 8],
      ["path_unlink_file", [3, 64, 1], 8],
      ["sock_accept", [3, 0, 64], 8],
      ["fd_read", [3, 64, 1, 80], 8],
      ["fd_read", [1, 64, 0, 80], 8],
      ["fd_write", [0, 64, 0, 80], 8],
      ["fd_write", [77, 64, 0, 80], 8],
      ["fd_pread", [0, 64, 0, 0, 80], 8],
      ["fd_seek", [1, 0, 0, 80], 8],
      ["fd_tell", [0, 80], 8],
      ["fd_filestat_get", [9, 80], 8],
      ["fd_fdstat_get", [9, 80], 8],
      ["fd_close", [9], 8],
    ];
    const found = await message(...calls.map(([name, parameters]) => ({ wasi: [name, parameters] })));
    assert.is(found, calls.map(([name, , error]) => `${name} ${error}`).join(" | "));
  });
});

test("pointers out of the program's memory are its own mistake", async () => {
  const FAULT = 21;
  const far = 0xffff_fff0;
  await withProbe({}, async (_, message) => {
    const calls: readonly (readonly [string, readonly number[]])[] = [
      ["args_get", [far, far]],
      ["environ_sizes_get", [far, far]],
      ["clock_time_get", [0, 0, far]],
      ["fd_fdstat_get", [0, far]],
      ["fd_filestat_get", [0, far]],
      ["fd_read", [0, far, 1, 64]],
      ["fd_write", [2, far, 1, 64]],
      ["fd_write", [2, 64, 0, far]],
      ["poll_oneoff", [far, 64, 1, 64]],
      ["random_get", [far, 1024]],
    ];
    const found = await message(...calls.map(([name, parameters]) => ({ wasi: [name, parameters] })));
    assert.is(found, calls.map(([name]) => `${name} ${FAULT}`).join(" | "));
    assert.match(
      await message({ write: { fd: 2, ranges: [[far, 512]] } }) ?? "",
      `error ${FAULT}`,
    );
  });
});

test("giant lists of ranges, subscriptions and random bytes cost the host nothing", async () => {
  const ranges = Array.from({ length: 100_000 }, () => [64, 0]);
  await withProbe({}, async (_, message) => {
    assert.is(await message({ write: { fd: 2, ranges } }), "error 0, 0 written");
    // One write moves at most an answer, and a byte more.
    const big = Array.from({ length: 1000 }, () => [64, 60_000]);
    assert.match(await message({ write: { fd: 2, ranges: big } }) ?? "", "error 0, 4194305 written");
    assert.is(
      await message(
        { wasi: ["fd_write", [2, 64, 0xffff_ffff, 64]] },
        { wasi: ["poll_oneoff", [64, 64, 0xffff_ffff, 64]] },
        { wasi: ["random_get", [0, 0xffff_ffff]] },
      ).then((found) => found?.replace(/fd_write \d+/, "fd_write")),
      "fd_write | poll_oneoff 28 | random_get 28",
    );
  });
});

test("the program's own pipes can't be waited for", async () => {
  await withProbe({}, async (_, message) => {
    // 48 bytes of a subscription to reading standard input: tag 1 at byte 8.
    assert.match(await message({ wasi: ["poll_oneoff", [0, 0, 0, 64]] }) ?? "", "poll_oneoff 28");
  });
});

test("a module without _start says so at each run", async () => {
  const module = wasiText('(module (memory (export "memory") 1))');
  await using policy = await loadGuest(module);
  const text = "cannot find `_start` function inside of module: failed to find function export `_start`";
  assert.equal((await policy.validate("{}")).status, { message: text, code: 500 });
  assert.equal(await policy.validateSettings(), { valid: false, message: text });
});

test("a module that imports what there isn't is not loaded", async () => {
  const module = wasiText('(module (import "env" "evil" (func)) (func (export "_start")))');
  try {
    await using _ = await loadGuest(module);
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /^error when building wasm module: .*env\.evil/);
  }
});

test("a start section runs at each evaluation, under its deadline", async () => {
  const module = wasiText(`(module
    (memory (export "memory") 1)
    (func $begin (loop $again (br $again)))
    (start $begin)
    (func (export "_start")))`);
  await using policy = await loadGuest(module, { timeoutMs: 200 });
  assert.equal((await policy.validate("{}")).status, { message: INTERRUPTED, code: 500 });
});

test("a program without memory can't use WASI, and harms nobody", async () => {
  const module = wasiText(`(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))`);
  await using policy = await loadGuest(module);
  assert.equal((await policy.validate("{}")).status, { message: "", code: 500 });
});

test("a module that can't be put back gets a new instance each time", async () => {
  // It drops a data segment, which no snapshot brings back.
  const module = wasiText(`(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data $answer "{\\"accepted\\":true}")
    (func (export "_start")
      (memory.init $answer (i32.const 100) (i32.const 0) (i32.const 17))
      (data.drop $answer)
      (i32.store (i32.const 0) (i32.const 100))
      (i32.store (i32.const 4) (i32.const 17))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))`);
  await using policy = await loadGuest(module);
  for (let turn = 0; turn < 3; turn++) assert.ok((await policy.validate("{}")).allowed);
});

test("typed function references, which Go's compiler makes use of", async () => {
  const module = binaryen.parseText(`(module
    (type $answer (func))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 100) "{\\"accepted\\":true}")
    (elem declare func $print)
    (func $print (type $answer)
      (i32.store (i32.const 0) (i32.const 100))
      (i32.store (i32.const 4) (i32.const 17))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "_start") (local $call (ref null $answer))
      (local.set $call (ref.func $print))
      (call_ref $answer (ref.as_non_null (local.get $call)))))`);
  module.setFeatures(binaryen.Features.ReferenceTypes | binaryen.Features.GC);
  const metadata = { rules: [], mutating: false, executionMode: "wasi", policyType: "raw" };
  await using policy = await loadGuest(withMetadata(module.emitBinary(), JSON.stringify(metadata)));
  module.dispose();
  for (let turn = 0; turn < 2; turn++) assert.ok((await policy.validate("{}")).allowed);
});

test("there is no protocol version to ask for", async () => {
  await withProbe({}, async (policy) => {
    try {
      await policy.protocolVersion();
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).message, "protocol_version is only applicable to a Kubewarden policy");
    }
  });
});

test("a Go program is answered by its host, also at length, and many at once", async () => {
  const list = JSON.stringify({ items: Array.from({ length: 20_000 }, (_, index) => ({ index })) });
  const settings = {
    hostCall: { namespace: "kubernetes", operation: "list_resources_all", payload: { kind: "Pod" } },
  };
  const calls: string[] = [];
  await using policy = await loadGuest(GO, {
    settings,
    timeoutMs: 20_000,
    threads: 2,
    onHostCall: async ({ payload }) => {
      calls.push(new TextDecoder().decode(payload));
      await Promise.resolve();
      return { ok: true, payload: encoder.encode(list) };
    },
  });
  const request = {
    uid: "1",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    operation: "CREATE",
    userInfo: {},
    object: {},
  };
  const verdicts = await Promise.all(Array.from({ length: 8 }, () => policy.validate(request)));
  for (const { allowed, status } of verdicts) {
    assert.ok(allowed);
    assert.is(status?.message, list);
  }
  assert.equal(calls, Array.from({ length: 8 }, () => '{"kind":"Pod"}'));
});

test.run();
