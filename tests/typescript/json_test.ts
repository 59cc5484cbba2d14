// How a policy reads the JSON of a call (`package/policy_engine/assembly/json.ts`): as JSON.parse does, of which it knows nothing.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { build, validating } from "./building.ts";

interface Guest {
  readonly memory: WebAssembly.Memory;
  readonly __guest_call: (operationLength: number, payloadLength: number) => number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One instance, called again and again: what it answers, or its error. */
async function guestOf(source: string) {
  let operation = new Uint8Array(), payload = new Uint8Array(), answer = "";
  const memory = () => new Uint8Array(guest.memory.buffer);
  const take = (at: number, length: number) => {
    answer = decoder.decode(memory().subarray(at, at + length));
  };
  const zero = () => 0;
  const module = await WebAssembly.compile(await build(source) as BufferSource);
  const instance = await WebAssembly.instantiate(module, {
    wapc: {
      __guest_request: (operationAt: number, payloadAt: number) => {
        memory().set(operation, operationAt);
        memory().set(payload, payloadAt);
      },
      __guest_response: take,
      __guest_error: take,
      __host_call: () => 1,
      __host_response_len: zero,
      __host_response: zero,
      __host_error_len: zero,
      __host_error: zero,
    },
    wasi_snapshot_preview1: {
      clock_time_get: zero,
      random_get: zero,
      fd_write: zero,
      fd_seek: zero,
      fd_close: zero,
      fd_fdstat_get: zero,
    },
  });
  const guest = instance.exports as unknown as Guest;
  return (name: string, json: string): string => {
    operation = encoder.encode(name);
    payload = encoder.encode(json);
    guest.__guest_call(operation.length, payload.length);
    return answer;
  };
}

/** A policy that answers with what it was given, written by the engine of the policy. */
const ECHO = validating("return reject(JSON.stringify(request));");
const nested = (depth: number, open: string, close: string) => open.repeat(depth) + close.repeat(depth);

const TEXTS: readonly string[] = [
  ..."0 -0 1 -1 7 10 -10 999999999 -999999999 1000000000 2147483647 2147483648 -2147483648 -2147483649 9007199254740993"
    .split(" "),
  ..."0.5 -0.5 1e3 1E3 1e+3 1e-3 1.5e300 1e400 0e0 0.0 12345678901234567890".split(" "),
  ..."true false null".split(" "),
  '""',
  '"text"',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041"',
  '"\\\\"',
  '"\\u00e9\\ud83d\\ude00 \\ud800"',
  '"\u00e9"',
  '"\u{1f600}"',
  '"a\u0000b"'.replace("\u0000", "\\u0000"),
  `"${"x".repeat(100_000)}"`,
  "{}",
  "[]",
  " [ ] ",
  ' { "a" : [ 1 , { "b" : null } ] , "c" : "d" } ',
  '\t\r\n{"a":\n1}',
  '{"":1," ":2}',
  '{"b":1,"a":2,"10":3,"2":4,"01":5,"4294967295":6,"-1":7}',
  '{"a":1,"a":2,"b":3,"a":{"a":4}}',
  '{"__proto__":{"polluted":true},"constructor":1,"toString":null,"length":2,"hasOwnProperty":3}',
  '{"\u00c3\u00a9":1,"\u00e9":2,"\\u00e9\\u0301":3,"\\n":4,"\u{1f600}":5}',
  '{"a\\u0062":1,"ab":2}',
  '[1,[2,[3,[4]]],{},[],null,true,false,"x"]',
  `[${Array.from({ length: 10_000 }, (_, index) => index).join()}]`,
  `{${Array.from({ length: 2_000 }, (_, index) => `"key-${index}":${index}`).join()}}`,
  ...[1, 62, 63, 64, 65, 66, 200].flatMap((depth) => [
    nested(depth, "[", "]"),
    `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`,
  ]),
];

test("what JSON says is read as JSON.parse reads it", async () => {
  const call = await guestOf(ECHO);
  for (const text of TEXTS) {
    const { message } = JSON.parse(call("validate", `{"request":${text},"settings":{}}`));
    assert.is(message, JSON.stringify(JSON.parse(text)).toWellFormed(), text.slice(0, 100));
  }
});

test("what is no JSON is an error, wherever it breaks off", async () => {
  const call = await guestOf(ECHO);
  const whole = '{"request":{"a":[1,-2.5e3,"x\\n\u00e9",{"b":true,"c":null}]},"settings":{}}';
  const texts = [
    ...Array.from({ length: whole.length - 1 }, (_, length) => whole.slice(0, length + 1)),
    ...'01 -01 - +1 .5 1. 1e 1e+ 0x10 1_0 NaN Infinity undefined nul nulll True fals falsey tru 1,2 [1,] [,1] [1 [ {"a"} {"a":} {a:1} {\'a\':1} {"a":1,} {,} ]'
      .split(" "),
    '"\\x"',
    '"\\u12"',
    '"a\nb"',
    '"a',
    '{"a":1 "b":2}',
    '{"a" 1}',
    "[1 2]",
    "// comment\n1",
    "1 /* comment */",
    "[".repeat(100),
    `${"[".repeat(100)}}`,
    whole + "}",
    `${whole}\u00a0`,
  ].filter((text) => text !== "");
  for (const text of texts) {
    const said = call("validate", text);
    assert.match(said, /^(SyntaxError|RangeError|InternalError|the policy failed)/, text.slice(0, 100));
  }
  assert.match(call("validate", '{"request":[],"settings":{}}'), '"message":"[]"');
});

test("generated texts are read alike", async () => {
  const call = await guestOf(ECHO);
  let state = 20_261_130;
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  const pick = <T>(some: readonly T[]): T => some[random(some.length)]!;
  const TEXT = ["a", "name", "\u00e9", "\\n", "\\u0041", "\\\\", '\\"', "{", "]", " ", "0", "\u{1f600}", "/"];
  const space = () => pick(["", "", "", " ", "\n\t"]);
  const textOf = () => `"${Array.from({ length: random(5) }, () => pick(TEXT)).join("")}"`;
  const value = (depth: number): string => {
    const kind = random(depth > 6 ? 5 : 8);
    if (kind === 0) return pick(["null", "true", "false"]);
    if (kind < 3) {
      return `${pick(["", "-"])}${random(2) * random(2 ** 24)}${
        pick(["", "", "", ".25", "e2", "E-2", "0123456789"])
      }`
        .replace(/^(-?)0+(?=\d)/, "$1");
    }
    if (kind < 5) return textOf();
    const items = Array.from({ length: random(5) }, () => {
      const item = `${space()}${value(depth + 1)}${space()}`;
      return kind === 5 ? item : `${space()}${textOf()}${space()}:${item}`;
    });
    return kind === 5 ? `[${items.join()}${space()}]` : `{${items.join()}${space()}}`;
  };
  for (let left = 2_000; left > 0; left--) {
    const text = value(0);
    const said = call("validate", `{"request":${text},"settings":{}}`);
    assert.ok(said.startsWith("{"), `${text}: ${said}`);
    assert.is(JSON.parse(said).message, JSON.stringify(JSON.parse(text)), text);
  }
});

test("an instance that is called without end keeps nothing of what it was given", async () => {
  const call = await guestOf(validating("return accept();"));
  const request = JSON.stringify({
    list: Array.from({ length: 2_000 }, (_, index) => ({ name: `n${index}` })),
  });
  // A policy may allocate 64 MiB, of which each of these takes a quarter of one and more.
  for (let left = 1_000; left > 0; left--) {
    assert.is(call("validate", `{"request":${request},"settings":{}}`), '{"accepted":true}');
  }
});

test.run();
