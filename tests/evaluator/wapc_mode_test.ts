// waPC guests in their threads: the protocol, the host calls, what they print, and that none sees what another left
// (spec/evaluator.md §2, §5.1).
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { evaluation, testPolicy, told } from "./evaluation.ts";
import { ModuleError } from "../../evaluator/apply/prepare.ts";
import { policyText, wasm } from "./wasm_text.ts";

const FAILED = "internal server error: Guest call failure: ";
const LEAKY = ["policy", "engine_state", "dropped_segments"];

test("no request sees what another one left: memory, globals, tables, segments, descriptors", () =>
  evaluation(async ({ load }) => {
    for (const name of LEAKY) {
      const module = testPolicy(`leaky-state/${name}.wasm`);
      const one = await load(`${name} one`, { wasm: module, settings: `{"secret":"of one"}` });
      const two = await load(`${name} two`, { wasm: module, settings: `{"secret":"of two"}` });
      for (let round = 0; round < 20; round++) {
        if (round % 5 === 0) assert.ok((await one.settings()).valid);
        const policy = round % 2 === 0 ? one : two;
        const verdict = await policy.judge(told({}, `a uid of round ${round}`));
        assert.equal(
          [verdict.allowed, verdict.status?.message],
          [true, "nothing is left"],
          `${name} ${round}`,
        );
      }
      // Many at once, in the same message: nothing is put back between two of them but by the worker itself.
      const verdicts = await Promise.all(
        Array.from(
          { length: 60 },
          (_, index) => (index % 2 ? one : two).judge(told({}, `uid ${index} of many`)),
        ),
      );
      assert.equal(
        new Set(verdicts.map(({ status }) => status?.message)),
        new Set(["nothing is left"]),
        name,
      );
    }
  }));

test("memory that a call got in large amounts is as new for the next one", () =>
  evaluation(async ({ load }) => {
    // 40 MB more, of which every page is written to; each must have been zero.
    const body = `
      (if (i32.ne (memory.size) (i32.const 1)) (then unreachable))
      (if (i32.eq (memory.grow (i32.const 640)) (i32.const -1)) (then unreachable))
      (local.set $length (i32.const 65536))
      (loop $next
        (if (i32.load (local.get $length)) (then unreachable))
        (i32.store (local.get $length) (i32.const -1))
        (local.set $length (i32.add (local.get $length) (i32.const 4096)))
        (br_if $next (i32.lt_u (local.get $length) (i32.const 42000000))))`;
    const policies = await Promise.all(["a", "b"].map((id) => load(id, { wasm: wasm(policyText(body)) })));
    for (let turn = 0; turn < 3; turn++) {
      for (const policy of policies) assert.ok((await policy.judge(told({}))).allowed);
    }
  }));

test("what a call left half-way when it was stopped is not seen either", () =>
  evaluation(async ({ load }) => {
    // Counts in a global and in memory, then loops, traps, or grows the memory and leaves something beyond its old end.
    const declarations = `(global $count (mut i32) (i32.const 0))
      (func $check
        (if (i32.or (global.get $count) (i32.load (i32.const 1024))) (then unreachable))
        (if (i32.ne (memory.size) (i32.const 1)) (then unreachable))
        (global.set $count (i32.const 1))
        (i32.store (i32.const 1024) (i32.const 1)))
      (func $grown (result i32)
        (drop (memory.grow (i32.const 2)))
        (if (i32.load (i32.const 100000)) (then unreachable))
        (i32.store (i32.const 100000) (i32.const 1))
        (i32.const 1))`;
    // The length of the payload tells what to do.
    const body = `(call $check)
      (if (i32.eq (local.get $length) (i32.const 28)) (then (loop $l (br $l))))
      (if (i32.eq (local.get $length) (i32.const 29)) (then unreachable))
      (if (i32.eq (local.get $length) (i32.const 30)) (then (drop (call $grown))))`;
    const policy = await load("half-way", { wasm: wasm(policyText(body, declarations)), limitMs: 150 });
    // {"request":1234,"settings":{}} has 30 bytes with a request of four.
    for (const request of ["1", "12", "123", "1234", "1234", "12", "1234", "123", "1234", "1"]) {
      const { allowed } = await policy.judge(request);
      assert.is(allowed, request.length === 1 || request.length === 4, request);
    }
  }));

test("each way to break the protocol has its text, and harms no later call", () =>
  evaluation(async ({ load, threadErrors }) => {
    const garbage = await load("garbage", { wasm: testPolicy("garbage/policy.wasm") });
    const ways: Readonly<Record<string, RegExp>> = {
      empty: /^internal server error: invalid response from policy: /,
      "response-nowhere": /^internal server error: Guest call failure: error while executing/,
      "response-of-everything": /^internal server error: Guest call failure: error while executing/,
      "request-to-nowhere": /^internal server error: Guest call failure: error while executing/,
      "host-call-nowhere": /^internal server error: Guest call failure: error while executing/,
      "host-response-to-nowhere": /^internal server error: Guest call failure: error while executing/,
      "console-binary": /^internal server error: Guest call failure: error while executing/,
    };
    for (const [way, text] of Object.entries(ways)) {
      assert.match((await garbage.judge(told({ do: way }))).status!.message!, text, way);
      assert.ok((await garbage.judge(told({}))).allowed, `after ${way}`);
    }
    const silent = {
      success: "No error message OR response set for call success",
      failure: "No error message set for call failure",
    };
    for (const [name, text] of Object.entries(silent)) {
      const policy = await load(name, { wasm: testPolicy(`garbage/silent_${name}.wasm`) });
      assert.is((await policy.judge("{}")).status?.message, `${FAILED}${text}`);
    }
    const trap = await load("trap", { wasm: testPolicy("trap/policy.wasm") });
    assert.is((await trap.judge(told({ do: "error" }))).status?.message, `${FAILED}told to fail`);
    // A trap is told even where the guest had set an error, and that error is not told to the next call.
    assert.match(
      (await trap.judge(told({ do: "error-then-trap" }))).status!.message!,
      "wasm trap: unreachable",
    );
    assert.is((await trap.judge(told({ do: "empty-error" }))).status?.message, FAILED);
    assert.ok((await trap.judge(told({}))).allowed);
    const caught = await load("caught", { wasm: testPolicy("trap/catch.wasm") });
    assert.not.ok((await caught.judge("{}")).allowed, "an exit that the guest catches still ends the call");
    assert.equal(threadErrors, []);
  }));

test("start functions: exit 0 is no error, exit 3 and traps are", () =>
  evaluation(async ({ load }) => {
    const fine = await load("exit 0", { wasm: testPolicy("trap/start_exit_0.wasm") });
    assert.is((await fine.judge("{}")).status?.message, "initialised");
    for (
      const [file, text] of [["start_exit_3", "the guest exited with code 3"], [
        "init",
        "unreachable instruction executed",
      ]]
    ) {
      const policy = await load(file!, { wasm: testPolicy(`trap/${file}.wasm`) });
      const outcome = await policy.outcome("{}");
      assert.is(outcome.kind, "error");
      assert.match(
        outcome.kind === "error" ? outcome.message : "",
        `Initialization failed: error while executing`,
      );
      assert.match(outcome.kind === "error" ? outcome.message : "", text!);
    }
  }));

test("modules that can't be linked say what is missing", () =>
  evaluation(async ({ load }) => {
    const texts: Readonly<Record<string, string>> = {
      no_guest_call: "Guest call function (__guest_call) not exported by wasm module.",
      no_memory: "the module exports no memory",
    };
    for (const [file, text] of Object.entries(texts)) {
      const policy = await load(file, { wasm: testPolicy(`incomplete/${file}.wasm`) });
      const outcome = await policy.outcome("{}");
      assert.match(outcome.kind === "error" ? outcome.message : "", text);
    }
    const unknown = "error when building wasm module: the module imports what no host provides: " +
      "function wapc.__no_such_function (execution mode kubewarden-wapc)";
    const refused = await load("unknown", { wasm: testPolicy("incomplete/unknown_import.wasm") }).catch((
      error,
    ) => error);
    assert.instance(refused, ModuleError);
    assert.is(refused.message, unknown);
  }));

test("settings are validated by the guest, within the limit", () =>
  evaluation(async ({ load }) => {
    const judge = async (file: string, told: string) => {
      const policy = await load(told, {
        wasm: testPolicy(`${file}/policy.wasm`),
        settings: `{"do":"${told}"}`,
        limitMs: 300,
      });
      return await policy.settings();
    };
    assert.equal(await judge("trap", ""), { valid: true });
    const failed = (result: Awaited<ReturnType<typeof judge>>) => result.valid ? "" : result.message ?? "";
    assert.is(
      failed(await judge("trap", "error")),
      'Error invoking settings validation callback: GuestCallFailure("told to fail")',
    );
    assert.match(
      failed(await judge("trap", "unreachable")),
      /^Error invoking settings validation callback: GuestCallFailure\("error while executing/,
    );
    assert.match(failed(await judge("loop", "tight")), "execution deadline exceeded");
    assert.match(failed(await judge("garbage", "text")), /^error: /);
  }));

test("host calls: the gate comes first, then names, then the capability", () =>
  evaluation(async ({ load, violations }) => {
    const caller = testPolicy("host-caller/policy.wasm");
    const none = await load("none", { wasm: caller });
    const all = await load("all", { wasm: caller, capabilities: ["*"] });
    const call = async (policy: typeof all, hostCall: Readonly<Record<string, unknown>>) => {
      const { allowed, status } = await policy.judge(JSON.stringify({ uid: "u", hostCall }));
      return [allowed, status?.message];
    };
    const denied =
      "Policy has not been granted access to the 'oci/v1/verify' host capability. The violation has been reported.";
    assert.equal(await call(none, { namespace: "oci", operation: "v1/verify", payloadText: "no JSON" }), [
      false,
      denied,
    ]);
    assert.equal(violations, ["none oci/v1/verify []"]);
    assert.equal(await call(all, { namespace: "x", operation: "y" }), [false, "unknown namespace: x"]);
    assert.equal(await call(all, { namespace: "kubernetes", operation: "y" }), [
      false,
      "unknown operation: y",
    ]);
    assert.equal(await call(all, { binding: "b", namespace: "kubernetes", operation: "y" }), [
      false,
      "unknown binding: b",
    ]);
    assert.equal(await call(none, { namespace: "tracing", operation: "log", payloadText: "no event" }), [
      true,
      "",
    ]);
    assert.equal(await call(none, { namespace: "tracing", operation: "other" }), [
      false,
      "unknown operation: other",
    ]);
  }));

test("what policies log and print becomes entries of theirs, line by line", () =>
  evaluation(async ({ load, logged }) => {
    const policy = await load("logger", { wasm: testPolicy("logger/policy.wasm") });
    assert.ok((await policy.judge(told({}))).allowed);
    assert.ok(logged.every((line) => line.policy === "logger"));
    const found = logged.map(({ entry: { level, message } }) => `${level} ${message}`);
    for (
      const expected of [
        "error at trace",
        "debug at debug",
        "info at info",
        "warn at warning",
        "error at error",
        "error at critical",
        "info Guest module: to the console",
        "info to standard output",
        "warn to standard error",
      ]
    ) assert.ok(found.includes(expected), `${expected} in ${found.join("; ")}`);
    const debug = logged.find(({ entry }) => entry.message === "at debug")!.entry;
    assert.match(debug.data!, `"number":42`);

    logged.length = 0;
    assert.ok((await policy.judge(told({ do: "shout", megabytes: "1" }))).allowed);
    assert.equal(logged.map(({ entry }) => entry.message), ["Cannot log event"]);
    logged.length = 0;
    assert.ok((await policy.judge(told({ do: "flood", times: "100000" }))).allowed);
    assert.ok(logged.length < 25_000, `${logged.length} entries`);
    assert.match(logged.at(-1)!.entry.message, "log entries were dropped");
  }));

test("the guest gets the request and its settings byte for byte", () =>
  evaluation(async ({ load }) => {
    const echo = new Uint8Array(readFileSync(new URL("../vectors/verdict-echo.wasm", import.meta.url)));
    const policy = await load("echo", { wasm: echo });
    const mutated = `{"a":1.0,"b":12345678901234567890,"é":[1e2,-0.0]}`;
    const { patch } = await policy.judge(`{"verdict":{"accepted":true,"mutated_object":${mutated}}}`);
    assert.is(
      patch,
      `[{"op":"add","path":"/a","value":1.0},{"op":"add","path":"/b","value":12345678901234567890},` +
        `{"op":"add","path":"/é","value":[100.0,-0.0]},{"op":"remove","path":"/verdict"}]`,
    );
  }));

test.run();
