// Issue 13: what the host makes of answers, log entries and operands pays from the time of the guest that sent them, and is bounded.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { groupVerdict } from "../../admission/render/group_verdict.ts";
import { readMetadata } from "../../evaluator/apply/prepare.ts";
import { parseExpression } from "../../evaluator/render/group_expression.ts";
import { policyLogEntry } from "../../evaluator/render/policy_log.ts";
import { parseJson, parseRego, regoText } from "../../evaluator/render/rego_text.ts";
import { gatekeeperVerdict, opaVerdict } from "../../evaluator/render/rego_verdict.ts";
import { readRawReview, readReview } from "../../evaluator/render/review.ts";
import { AnswerError, verdictOf } from "../../evaluator/render/verdict.ts";
import { halt, metered } from "../../evaluator/render/work.ts";
import type { EvaluationRequest } from "../../evaluator/types/evaluation.ts";
import { BuiltinHalt, RegoNumber, type RegoValue } from "../../evaluator/types/rego.ts";
import { usedMs } from "./thread_time.ts";

const MIB = 1024 * 1024;
const LIMIT_MS = 100;
const LATE_MS = 100;
const bytes = (text: string) => new TextEncoder().encode(text);
const fill = (unit: string, length: number) => unit.repeat(Math.floor(length / unit.length));

/** An unsigned number as WebAssembly has it. */
function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}

class OutOfTime extends Error {}

/** Runs a task under a limit of this thread's time. Returns how it ended; fails when it took longer than may be. */
function timed(what: string, task: () => unknown): string {
  const begun = usedMs();
  let how = "answered";
  try {
    metered(() => {
      if (usedMs() - begun > LIMIT_MS) throw new OutOfTime();
    }, task);
  } catch (error) {
    if (error instanceof assert.Assertion) throw error;
    how = (error as Error).constructor.name;
  }
  const took = usedMs() - begun;
  assert.ok(took <= LIMIT_MS + LATE_MS, `${what} ended (${how}) after ${Math.round(took)} ms`);
  return how;
}

function request(object: string): EvaluationRequest {
  const json = bytes(`{"object":${object}}`);
  return { json, object: [10, json.length - 1] };
}

const mutation = (object: string) => bytes(`{"accepted":true,"mutated_object":${object}}`);

/** Runs a task whose time is up from the `looks`-th look at the clock on. Returns what it threw. */
function late(looks: number, task: () => unknown): unknown {
  let looked = 0;
  try {
    metered(() => {
      if (looked++ >= looks) throw new OutOfTime();
    }, task);
  } catch (error) {
    return error;
  }
  return undefined;
}

test("no reader of answers takes the end of the time for a fault of the answer", () => {
  const list = fill("1,", 2 * MIB) + "1";
  const patch = btoa(`[${fill('"a",', MIB)}"a"]`);
  const readers: Readonly<Record<string, () => unknown>> = {
    "an OPA result": () => opaVerdict(bytes(`[{"result":{"response":[${list}]}}]`)),
    "an OPA result's patch": () =>
      opaVerdict(
        bytes(
          `[{"result":{"response":{"uid":"","allowed":true,"patchType":"JSONPatch","patch":"${patch}"}}}]`,
        ),
      ),
    "a Gatekeeper result": () => gatekeeperVerdict(bytes(`[{"result":[${list}]}]`)),
    "a mutation": () => verdictOf(mutation(`[${list}]`), request("{}")),
    "a mutated request": () => verdictOf(mutation("{}"), request(`[${list}]`)),
    "a Rego value": () => parseRego(`[${list}]`),
    "JSON of a builtin": () => parseJson(`[${list}]`),
    "whatever catches every error": () => {
      try {
        parseJson(`[${list}]`);
      } catch {
        return "a part of an answer";
      }
    },
  };
  for (const [name, read] of Object.entries(readers)) {
    for (const looks of [1, 5]) assert.instance(late(looks, read), OutOfTime, `${name}, ${looks} looks`);
  }
  const halted = () => {
    try {
      halt("too much");
    } catch {
      return "a part of an answer";
    }
  };
  assert.instance(late(Infinity, halted), BuiltinHalt);
  assert.is(late(Infinity, () => late(0, halted)), undefined, "a task within ends by itself");
  assert.is(halted(), "a part of an answer", "without a meter nothing is remembered");
});

test("a mutation of very many values, or one whose patch repeats a long key, is refused", () => {
  const values = `[${fill("1,", 4 * MIB)}1]`;
  const key = fill("k", 100_000);
  const repeated = `{"${key}":[${fill("1,", 2000)}1]}`;
  for (
    const [before, after, expected] of [
      ["{}", values, /^mutated_object: more than 500000 values/],
      [values, "{}", /^the request's object: more than 500000 values/],
      [
        `{"${key}":[]}`,
        repeated,
        /^mutated_object: the patch to it has paths of more than 4194304 characters$/,
      ],
      [
        repeated,
        `{"${key}":[]}`,
        /^mutated_object: the patch to it has paths of more than 4194304 characters$/,
      ],
    ] as const
  ) {
    assert.throws(
      () => verdictOf(mutation(after), request(before)),
      (error: Error) => error instanceof AnswerError && expected.test(error.message),
    );
  }
});

test("answers and patches have 4 MiB at most, whatever makes them long", () => {
  const most = 4 * MIB;
  const whole = '[{"op":"replace","path":"/a","value":""}]'.length;
  const value = (length: number) => `{"a":"${fill("v", length)}"}`;
  assert.is(verdictOf(mutation(value(most - whole)), request('{"a":""}')).patch!.length, most);
  const long = /^mutated_object: the patch to it has (\d+) bytes, the limit is 4194304$/;
  for (
    const [what, before, after, bytes] of [
      ["a value", '{"a":""}', value(most - whole + 1), most + 1],
      ["characters of three bytes", '{"a":""}', `{"a":"${fill("\u20ac", 2 * MIB)}"}`, 3 * 2 * MIB + whole],
      ["numbers in normal form", '{"a":0}', `{"a":[${fill("1e20,", 2 * MIB)}1]}`, undefined],
      ["paths", `{"${fill("k", 1000)}":[]}`, `{"${fill("k", 1000)}":[${fill("1,", 8100)}1]}`, undefined],
    ] as const
  ) {
    assert.throws(
      () => verdictOf(mutation(after), request(before)),
      (error: Error) => {
        const found = long.exec(error.message)?.[1];
        return error instanceof AnswerError && found !== undefined &&
          Number(found) === (bytes ?? Number(found));
      },
      what,
    );
  }
});

test("the members of a group together say no more than one policy may", async () => {
  const rules = { name: "g", message: "no" };
  const said = (message: string) => ({
    kind: "verdict" as const,
    verdict: { allowed: false, status: { message }, auditAnnotations: null, warnings: null },
  });
  const expression = parseExpression("a() || b() || c()");
  const long = await groupVerdict(rules, expression, () => Promise.resolve(said(fill("m", 4 * MIB))));
  const messages = long.status!.details!.causes!.map(({ message }) => message!);
  assert.is(messages.length, 3);
  for (const message of messages) assert.match(message, /^m{1398101}… \(2796203 more characters\)$/);
  const usual = await groupVerdict(rules, expression, (name) => Promise.resolve(said(fill(name, 100_000))));
  assert.equal(
    usual.status!.details!.causes!.map(({ message }) => message),
    ["a", "b", "c"].map((name) => fill(name, 100_000)),
  );
});

test("comparing objects ends with the time of the guest, and what is taken is not changed by it", () => {
  const wide = `{${Array.from({ length: 240_000 }, (_, at) => `"\u{1f600}${at}":1`).join(",")}}`;
  const deep = `${fill('{"a":', 100 * 5)}1${fill("}", 100)}`;
  assert.is(timed("wide", () => verdictOf(mutation(wide), request("{}"))), "OutOfTime");
  assert.is(timed("deep", () => verdictOf(mutation(deep), request("{}"))), "answered");
  const long = `{"a":"${fill("x", 4 * MIB)}"}`;
  assert.is(timed("long", () => verdictOf(mutation(long), request(long))), "answered");
  assert.is(
    verdictOf(mutation(`{"__proto__":{"a":1}}`), request("{}")).patch,
    `[{"op":"add","path":"/__proto__","value":{"a":1}}]`,
  );
});

test("texts of many megabytes in answers and reviews take neither long nor many times their memory", () => {
  const text = fill("m", 12 * MIB);
  assert.is(
    timed("message", () => verdictOf(bytes(`{"accepted":false,"message":"${text}"}`), request("{}"))),
    "answered",
  );
  const review = bytes(`{"request":{"uid":"${fill("u", 4 * MIB)}","operation":"${fill("1", 4 * MIB)}"}}`);
  timed("review", () => readReview(review));
  timed("raw review", () => readRawReview(review));
  timed("number", () => readRawReview(bytes(`{"request":${fill("9", 8 * MIB)}}`)));
  timed("nesting", () => readRawReview(bytes(`{"request":${fill("[", 8 * MIB)}`)));
  timed("names", () => readReview(bytes(`{"request":{${fill('"a":1,', 4 * MIB)}"b":1}}`)));
});

test("results of Rego policies are bounded before they become objects", () => {
  const many = bytes(`[{"result":[${fill("[],", 3 * MIB)}1]}]`);
  const large = bytes(`[{"result":"${fill("a", 17 * MIB)}"}]`);
  const deep = bytes(`[{"result":${fill("[", 100_000)}${fill("]", 100_000)}}]`);
  for (const verdict of [opaVerdict, gatekeeperVerdict]) {
    timed("many", () => assert.match(verdict(many).status!.message!, "more than 500000 values"));
    timed("large", () => assert.match(verdict(large).status!.message!, "the limit is 4194304"));
    timed("deep", () => assert.is(verdict(deep).allowed, false));
  }
});

test("so is a patch that an OPA policy gives in base64", () => {
  const patches = {
    deep: `${fill("[", MIB)}${fill("]", MIB)}`,
    wide: `[${fill("{},", 2 * MIB)}1]`,
    names: `[{${Array.from({ length: 280_000 }, (_, at) => `"${at.toString(36)}/":1`).join(",")}}]`,
  };
  for (const [what, patch] of Object.entries(patches)) {
    const answer = bytes(
      `[{"result":{"response":{"uid":"u","allowed":true,"patchType":"JSONPatch","patch":"${btoa(patch)}"}}}]`,
    );
    // The time may be up before all of it has been counted.
    const refusal = /patch: too large: more than 500|cannot interpret OPA policy result/;
    timed(what, () => assert.match(opaVerdict(answer).status!.message!, refusal));
  }
});

test("a log level is one of the six, not what every object inherits", () => {
  for (
    const level of ["constructor", "__proto__", "toString", "hasOwnProperty", "valueOf", "x".repeat(60_000)]
  ) {
    const entry = policyLogEntry(bytes(JSON.stringify({ level, message: "m" })));
    assert.is(entry.level, "error");
    assert.is(entry.message, "Cannot log event");
    assert.ok(entry.data!.length < 200, "the reason is short");
  }
});

test("entries and metadata that are nested too deeply are not parsed", () => {
  const deep = bytes(`{"level":"info","a":${fill("[", 30_000)}${fill("]", 30_000)}}`);
  timed("entry", () => assert.match(policyLogEntry(deep).data!, "more than 500 levels of nesting"));
  const section = (json: string) => {
    const name = bytes("io.kubewarden.metadata");
    const body = [...leb(name.length), ...name];
    const content = bytes(json);
    return Uint8Array.from([
      0,
      0x61,
      0x73,
      0x6d,
      1,
      0,
      0,
      0,
      0,
      ...leb(body.length + content.length),
      ...body,
      ...content,
    ]);
  };
  const module = section(`{"rules":[],"mutating":false,"a":${fill("[", 100_000)}${fill("]", 100_000)}}`);
  timed(
    "metadata",
    () => assert.throws(() => readMetadata(module), /it has more than 500 levels of nesting$/),
  );
});

const halts = (what: string, task: () => unknown) => assert.is(timed(what, task), BuiltinHalt.name, what);

test("operands of builtins are read within the time: nested, many, escaped, huge", () => {
  for (const read of [parseRego, parseJson]) {
    halts("nested", () => read(fill("[", MIB)));
    halts("nested objects", () => read(fill('{"a":', 4 * MIB)));
    halts("many", () => read(`[${fill("1,", 16 * MIB)}1]`));
    timed("escapes", () => read(`"${fill("\\n", 16 * MIB)}"`));
    timed("units", () => read(`"${fill("\\ud83d\\ude00", 16 * MIB)}"`));
    timed("backslashes", () => read(`"${fill("\\\\", 16 * MIB)}`));
    timed("plain", () => read(`"${fill("a", 16 * MIB)}"`));
    timed("digits", () => read(fill("9", 16 * MIB)));
    timed("space", () => read(fill(" ", 16 * MIB)));
  }
  timed("keys", () => parseRego(`{${fill("{1},", 2 * MIB)}1}`));
  timed(
    "key order",
    () =>
      parseRego(`{${Array.from({ length: 200_000 }, (_, at) => `"${at * 7919 % 200_003}":1`).join(",")}}`),
  );
  assert.is(
    parseRego(`"${fill("\\ud83d\\ude00", 800_000)}"`),
    fill("\u{1f600}", 2 * Math.floor(800_000 / 12)),
  );
});

test("results of builtins are written within the time, and what stands for endless ones is not", () => {
  let shared: RegoValue = [new RegoNumber("1")];
  for (let level = 0; level < 40; level++) shared = [shared, shared];
  assert.is(timed("shared", () => regoText(shared)), "OutOfTime");
  let deep: RegoValue = [];
  for (let level = 0; level < 100_000; level++) deep = [deep];
  halts("deep", () => regoText(deep));
  halts("escaped", () => regoText(fill("\u0001", 16 * MIB)));
  halts("long", () => regoText(fill("a", 17 * MIB)));
  timed("pairs", () => regoText(fill("\u{1f600}", 8 * MIB)));
  assert.is(regoText(`${fill("a", 16_383)}\u{1f600}b`), `"${fill("a", 16_383)}\u{1f600}b"`);
});

test("a verdict of too many entries is refused: the thread that serves all policies would have to copy them", () => {
  const list = (count: number) => `[${Array.from({ length: count }, () => '""').join(",")}]`;
  const members = (count: number) =>
    `{${Array.from({ length: count }, (_, at) => `"${at.toString(36)}":""`).join(",")}}`;
  const causes = (count: number) =>
    `{"causes":[${Array.from({ length: count }, () => '{"field":"f"}').join(",")}]}`;
  const own = (member: string) =>
    verdictOf(bytes(`{"accepted":true,${member}}`), { json: bytes("{}"), object: undefined });
  const opa = (member: string) =>
    opaVerdict(bytes(`[{"result":{"response":{"uid":"u","allowed":true,${member}}}}]`));
  for (
    const [what, of] of [
      ["warnings", (count: number) => own(`"warnings":${list(count)}`)],
      ["audit_annotations", (count: number) => own(`"audit_annotations":${members(count)}`)],
      ["warnings", (count: number) => opa(`"warnings":${list(count)}`)],
      ["auditAnnotations", (count: number) => opa(`"auditAnnotations":${members(count)}`)],
      ["status.details.causes", (count: number) => opa(`"status":{"details":${causes(count)}}`)],
    ] as const
  ) {
    assert.ok(of(10_000).allowed, what);
    let reason: string | undefined;
    try {
      reason = of(10_001).status?.message;
    } catch (error) {
      assert.instance(error, AnswerError);
      reason = (error as Error).message;
    }
    assert.ok(reason?.endsWith(`${what}: over 10000 entries`), `${what}: ${reason}`);
  }
});

test.run();
