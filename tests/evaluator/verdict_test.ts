// From a policy's answer to a verdict, with the patch that a mutation is (spec/evaluator.md §3.2, §4.2).
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compareBytes, jsonPatch } from "../../evaluator/render/json_patch.ts";
import { equalNumbers, losslessNumber, parseLossless } from "../../evaluator/render/lossless_json.ts";
import { policyLogEntry } from "../../evaluator/render/policy_log.ts";
import { AnswerError, settingsVerdictOf, verdictOf } from "../../evaluator/render/verdict.ts";
import { TEXT } from "../../evaluator/types/evaluation.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const NO_OBJECT = { json: bytes(`{"uid":"u"}`), object: undefined };
const NOTHING = { auditAnnotations: null, warnings: null };

/** The verdict on a request whose object is `object`. */
function verdict(answer: string | Uint8Array, object?: string) {
  const json = bytes(`{"object":${object}}`);
  const request = object === undefined ? NO_OBJECT : { json, object: [10, json.length - 1] as const };
  return verdictOf(typeof answer === "string" ? bytes(answer) : answer, request);
}

function refused(read: () => unknown, expected: RegExp) {
  try {
    read();
  } catch (error) {
    assert.instance(error, AnswerError);
    assert.match((error as Error).message, expected);
    return;
  }
  assert.unreachable(`was taken, expected ${expected}`);
}

test("accepted, message and code make the verdict; a status is there only with one of the latter", () => {
  assert.equal(verdict(`{"accepted":true}`), { allowed: true, ...NOTHING });
  assert.equal(verdict(`{"accepted":false}`), { allowed: false, ...NOTHING });
  assert.equal(verdict(`{"accepted":false,"message":"m"}`), {
    allowed: false,
    status: { message: "m" },
    ...NOTHING,
  });
  assert.equal(verdict(`{"accepted":true,"code":403,"message":"\\u00e9"}`), {
    allowed: true,
    status: { message: "é", code: 403 },
    ...NOTHING,
  });
  assert.equal(verdict(`{"accepted":true,"code":0}`).status, { code: 0 });
  assert.equal(verdict(`{"accepted":false,"message":""}`).status, { message: "" });
});

test("nulls are absent, unknown members are of no matter", () => {
  const nulls = ["message", "code", "mutated_object", "audit_annotations", "warnings"].map((name) =>
    `"${name}":null`
  );
  assert.equal(
    verdict(`{ "accepted" : true , ${nulls.join(",")} , "other" : {"accepted":false} , "other":1 }`, "{}"),
    {
      allowed: true,
      ...NOTHING,
    },
  );
});

test("annotations and warnings are passed on", () => {
  const { auditAnnotations, warnings } = verdict(
    `{"accepted":true,"audit_annotations":{"b":"1","a":"2","a":"3","__proto__":"x"},"warnings":["w","","\\ud83d\\ude00"]}`,
  );
  assert.is(JSON.stringify(auditAnnotations), `{"b":"1","a":"3","__proto__":"x"}`);
  assert.equal(warnings, ["w", "", "😀"]);
  assert.equal(verdict(`{"accepted":true,"audit_annotations":{},"warnings":[]}`), {
    allowed: true,
    auditAnnotations: {},
    warnings: [],
  });
});

test("what is no ValidationResponse is refused, with the place", () => {
  const cases: readonly (readonly [answer: string | Uint8Array, expected: RegExp])[] = [
    ["", /end of the text at line 1 column 1/],
    ["null", /expected an object at line 1 column 1/],
    ["[]", /expected an object/],
    ["{}", /missing field `accepted`/],
    [`{"accepted":1}`, /accepted: expected a boolean at line 1 column 13/],
    [`{"accepted":null}`, /accepted: expected a boolean/],
    [`{"accepted":true,"accepted":true}`, /duplicate field `accepted` at line 1 column 18/],
    [`{"accepted":true,"message":1}`, /message: expected a string/],
    [`{"accepted":true,"warnings":"w"}`, /warnings: expected an array of strings/],
    [`{"accepted":true,"warnings":["a",1]}`, /warnings\[1\]: expected a string/],
    [`{"accepted":true,"audit_annotations":[]}`, /audit_annotations: expected an object of strings/],
    [`{"accepted":true,"audit_annotations":{"a":null}}`, /audit_annotations\.a: expected a string/],
    [`{"accepted":true}x`, /end of the text, found `x` at line 1 column 18/],
    [`{"accepted":tru}`, /at line 1 column/],
    [Uint8Array.from([...bytes(`{"accepted":true,"message":"`), 0xff, ...bytes(`"}`)]), /UTF-8/],
    [
      Uint8Array.from([...bytes(`{"accepted":true,"mutated_object":{"a":"`), 0xff, ...bytes(`"}}`)]),
      /^mutated_object: text that is not UTF-8 at line 1 column 35$/,
    ],
    [
      `{"accepted":true,"audit_annotations":{"${"a".repeat(9_000)}":1}}`,
      /^audit_annotations\.a{100}… \(8900 more characters\): expected a string at .{1,40}$/,
    ],
    [`{"accepted":true,"message":"\\ud800"}`, /lone surrogate/],
    [`{"accepted":true,"mutated_object":${"[".repeat(200)}${"]".repeat(200)}}`, /nested deeper than 127/],
  ];
  for (const [answer, expected] of cases) refused(() => verdict(answer, "{}"), expected);
  for (const code of ["-1", "65536", "1.0", "1e2", `"403"`, "true", "99999999999999999999"]) {
    refused(() => verdict(`{"accepted":true,"code":${code}}`), /code: expected an integer from 0 to 65535/);
  }
  assert.is(verdict(`{"accepted":true,"code":65535}`).status?.code, 65535);
});

test("a mutation where there is no object refuses the request, whatever else the policy said", () => {
  assert.equal(verdict(`{"accepted":true,"code":7,"warnings":["w"],"mutated_object":{}}`), {
    allowed: false,
    status: { message: TEXT.mutationOfNothing },
    ...NOTHING,
  });
});

test("a mutation becomes a patch, also of what is not accepted; the same object becomes none", () => {
  assert.is(verdict(`{"accepted":true,"mutated_object":{"b":2,"a":1}}`, `{"a":1,"b":2}`).patch, undefined);
  assert.equal(verdict(`{"accepted":false,"mutated_object":{"a":2}}`, `{"a":1}`), {
    allowed: false,
    patch: `[{"op":"replace","path":"/a","value":2}]`,
    ...NOTHING,
  });
});

/** A mutation and the patch it is, operation by operation. */
const PATCHES: readonly (readonly [before: string, after: string, ...operations: string[]])[] = [
  ["{}", "{}"],
  ["1", "1.0", `{"op":"replace","path":"","value":1.0}`],
  ["1.0", "1.00"],
  ["100.0", "1e2"],
  ["0.0", "-0.0"],
  ["0", "-0", `{"op":"replace","path":"","value":-0.0}`],
  ["9223372036854775807", "9223372036854775806", `{"op":"replace","path":"","value":9223372036854775806}`],
  ["18446744073709551615", "18446744073709551615"],
  ["9007199254740993", "9007199254740992", `{"op":"replace","path":"","value":9007199254740992}`],
  // Beyond 64 bits an integer becomes a double.
  ["18446744073709551616", "18446744073709551617"],
  ["{}", "[]", `{"op":"replace","path":"","value":[]}`],
  ["null", "{}", `{"op":"replace","path":"","value":{}}`],
  [`{"a":null}`, `{}`, `{"op":"remove","path":"/a"}`],
  [`{}`, `{"a":null}`, `{"op":"add","path":"/a","value":null}`],
  [
    `{"old":1,"same":2,"x":{"y":1}}`,
    `{"same":2,"new":3,"x":{"y":2},"a":0}`,
    `{"op":"add","path":"/a","value":0}`,
    `{"op":"add","path":"/new","value":3}`,
    `{"op":"replace","path":"/x/y","value":2}`,
    `{"op":"remove","path":"/old"}`,
  ],
  ["[1,2,3]", "[1]", `{"op":"remove","path":"/1"}`, `{"op":"remove","path":"/1"}`],
  [
    "[1,2]",
    "[0,1,2]",
    `{"op":"replace","path":"/0","value":0}`,
    `{"op":"replace","path":"/1","value":1}`,
    `{"op":"add","path":"/2","value":2}`,
  ],
  [
    `{"a/b":1,"m~n":1,"":1}`,
    `{"a/b":2,"m~n":2,"":2}`,
    `{"op":"replace","path":"/","value":2}`,
    `{"op":"replace","path":"/a~1b","value":2}`,
    `{"op":"replace","path":"/m~0n","value":2}`,
  ],
  [`{"__proto__":1}`, `{"__proto__":{"a":1.0}}`, `{"op":"replace","path":"/__proto__","value":{"a":1.0}}`],
  [`{}`, `{"__proto__":{"a":1}}`, `{"op":"add","path":"/__proto__","value":{"a":1}}`],
  [`{"toString":1}`, `{}`, `{"op":"remove","path":"/toString"}`],
  [`{}`, `{"constructor":1.50}`, `{"op":"add","path":"/constructor","value":1.5}`],
  // Keys in the order of their bytes, integer-like ones too.
  [
    `{}`,
    `{"10":1,"9":1,"ａ":1,"😀":1,"Z":1}`,
    ...["10", "9", "Z", "ａ", "😀"].map((key) => `{"op":"add","path":"/${key}","value":1}`),
  ],
];

test("patches are made operation by operation as the original makes them", () => {
  for (const [before, after, ...operations] of PATCHES) {
    const patch = JSON.stringify(jsonPatch(parseLossless(before), parseLossless(after)));
    assert.is(patch, `[${operations.join(",")}]`, `${before} -> ${after}`);
  }
});

test("keys are ordered by bytes, not by UTF-16 units", () => {
  assert.ok(compareBytes("\uff5e", "\u{10000}") < 0);
  assert.ok(compareBytes("a", "ab") < 0);
  assert.ok(compareBytes("\u{1f600}a", "\u{1f600}b") < 0);
  assert.is(compareBytes("x", "x"), 0);
});

test("numbers keep value and form", () => {
  const text = (source: string) => JSON.stringify(losslessNumber(source));
  for (
    const same of [
      "0",
      "-1",
      "9007199254740993",
      "-9223372036854775808",
      "18446744073709551615",
      "1.5",
      "-0.0",
    ]
  ) {
    assert.is(text(same), same === "-0.0" ? "-0.0" : same, same);
  }
  for (
    const [given, expected] of [["1.0", "1.0"], ["1.10", "1.1"], ["1e2", "100.0"], ["1e300", "1e+300"], [
      "-0",
      "-0.0",
    ]]
  ) {
    assert.is(text(given!), expected, given);
  }
  assert.is(
    JSON.stringify(parseLossless(`{"a":[1.0,{"b":12345678901234567890}],"c":"1.0"}`)),
    `{"a":[1.0,{"b":12345678901234567890}],"c":"1.0"}`,
  );
  try {
    losslessNumber("1e999");
    assert.unreachable();
  } catch (error) {
    assert.instance(error, RangeError);
  }
  assert.not.ok(equalNumbers(parseLossless("1"), parseLossless(`"1"`)));
});

test("settings are judged by valid and message", () => {
  const judge = (answer: string) => settingsVerdictOf(bytes(answer));
  assert.equal(judge(`{"valid":true,"message":"of no matter"}`), { valid: true });
  assert.equal(judge(`{"message":"why","valid":false,"x":1}`), { valid: false, message: "why" });
  assert.equal(judge(`{"valid":false,"message":null}`), { valid: false, message: null });
  refused(() => judge("{}"), /missing field `valid`/);
  refused(() => judge(`{"valid":"true"}`), /valid: expected a boolean/);
  refused(() => judge(`{"valid":true,"valid":true}`), /duplicate field `valid`/);
  refused(() => judge("nonsense"), /line 1 column/);
});

test("log entries of policies keep level, message and the rest; what is none says so", () => {
  const entry = (text: string) => policyLogEntry(bytes(text));
  for (
    const [level, known] of [["TRACE", "trace"], ["debug", "debug"], ["Info", "info"], ["WARNING", "warn"], [
      "error",
      "error",
    ]]
  ) {
    assert.equal(entry(`{"level":"${level}","message":"m"}`), {
      level: known,
      message: "m",
      data: undefined,
    });
  }
  assert.equal(entry(`{"level":"info","line":1,"file":"f"}`), {
    level: "info",
    message: "",
    data: `{"line":1,"file":"f"}`,
  });
  for (const wrong of ["", "nonsense", "[]", "null", `{"message":"m"}`, `{"level":"loud"}`, `{"level":1}`]) {
    const { level, message } = entry(wrong);
    assert.equal([level, message], ["error", "Cannot log event"], wrong);
  }
  assert.is(policyLogEntry(Uint8Array.of(0xff)).message, "Cannot log event");
  assert.is(entry(`{"level":"info","message":"${"x".repeat(70_000)}"}`).message, "Cannot log event");
});

test.run();
