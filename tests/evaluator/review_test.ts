// What the server reads of a review, and what of it the guest gets to see (spec/evaluator.md §3.1, spec/policy-server.md §5.3).
import { test } from "uvu";
import * as assert from "uvu/assert";
import { JsonSyntaxError } from "../../evaluator/render/json_scan.ts";
import { readRawReview, readReview, type Review, ReviewShapeError } from "../../evaluator/render/review.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const joined = ({ pieces, length }: Review) => {
  const whole = Buffer.concat(pieces);
  assert.is(whole.length, length);
  return whole.toString();
};
const objectOf = (review: Review) =>
  review.object && Buffer.from(joined(review)).subarray(...review.object).toString();

const KIND = `"kind":{"group":"","version":"v1","kind":"Pod"}`;
const RESOURCE = `"resource":{"group":"","version":"v1","resource":"pods"}`;
const REQUIRED = `"uid":"u",${KIND},${RESOURCE},"operation":"CREATE"`;
/** A review whose request has the required members, `userInfo` and `more`. */
const review = (more = "", user = `"userInfo":{}`) =>
  `{"request":{${REQUIRED},${user}${more && `,${more}`}}}`;
const read = (text: string) => readReview(bytes(text));
const seen = (more: string, user?: string) => joined(read(review(more, user)));
/** The request that the guest sees when nothing has to be left out. */
const request = (more = "", user = `"userInfo":{}`) => `{${REQUIRED},${user}${more && `,${more}`}}`;

function fails(
  text: string | Uint8Array,
  kind: typeof ReviewShapeError | typeof JsonSyntaxError,
  expected: RegExp,
) {
  try {
    readReview(typeof text === "string" ? bytes(text) : text);
  } catch (error) {
    assert.instance(error, kind, `${text}: ${error}`);
    assert.match((error as Error).message, expected);
    return;
  }
  assert.unreachable(`was taken: ${text}`);
}

test("what the guest may see is passed on byte for byte", () => {
  const more = [
    `"object":{"a":1,"b":1.0,"c":9223372036854775807,"d":1e400e`.replace("1e400e", "1E+2") + `}`,
    `"oldObject":[1,{"z":{},"a":[ ]}]`,
    `"options":"text with \\u0041 \\" and é 😀"`,
    `"dryRun":true`,
    `"name":"n"`,
    `"namespace":"ns"`,
    `"subResource":"status"`,
    `"requestSubResource":"status"`,
    `"requestKind":{"group":"g","version":"v","kind":"K"}`,
    `"requestResource":{"resource":"r","version":"v","group":"g"}`,
  ].join(",");
  const user = `"userInfo":{"username":"a","uid":"b","groups":["g","h"],"extra":{"k":["v"],"":[]}}`;
  assert.is(seen(more, user), request(more, user));
  const { uid, namespace, operation, kind, object } = read(review(more, user));
  assert.equal([uid, namespace, operation, kind], ["u", "ns", "CREATE", "K"]);
  assert.ok(object);
  assert.is(objectOf(read(review(more, user))), `{"a":1,"b":1.0,"c":9223372036854775807,"d":1E+2}`);
});

test("numbers keep their bytes, whatever they are", () => {
  for (
    const number of [
      "0",
      "-0",
      "-0.0",
      "1.0",
      "1.50",
      "1e2",
      "1E+02",
      "18446744073709551616",
      "0.1e-7",
      "123456789012345678901234567890",
    ]
  ) {
    assert.is(seen(`"object":[${number}]`), request(`"object":[${number}]`), number);
  }
});

test("white space between members is of no matter", () => {
  const spaced =
    `\n{ "kind" : "AdmissionReview" ,\t"request" : { ${REQUIRED} ,\r\n "userInfo" : { } , "object" : { "a" : 1 } } , "x" : [ ] }\n `;
  const found = read(spaced);
  assert.equal(JSON.parse(joined(found)), JSON.parse(request(`"object":{"a":1}`)));
  assert.is(objectOf(found), `{ "a" : 1 }`);
});

test("nulls of optional members and unknown members are left out, wherever they stand", () => {
  const left = [
    `"name":null`,
    `"object":null`,
    `"dryRun":null`,
    `"requestKind":null`,
    `"unknown":{"a":[1]}`,
    `"Uid":"x"`,
  ];
  for (const one of left) {
    assert.is(seen(one), request(), one);
    assert.is(seen(`${one},"namespace":"ns"`), request(`"namespace":"ns"`), one);
    assert.is(seen(`"namespace":"ns",${one}`), request(`"namespace":"ns"`), one);
    assert.is(joined(read(`{"request":{${one},${REQUIRED},"userInfo":{}}}`)), request(), one);
  }
  assert.is(seen(left.join(",")), request());
  assert.is(read(review(`"object":null`)).object, undefined);
  assert.is(read(review()).object, undefined);
  assert.is(read(review()).namespace, undefined);
});

test("nulls inside of free values stay", () => {
  assert.is(seen(`"object":{"a":null},"options":[null]`), request(`"object":{"a":null},"options":[null]`));
});

test("nulls and unknown members of the user are left out, the last of repeated ones counts", () => {
  const cases: readonly (readonly [given: string, seen: string])[] = [
    [`{"username":null}`, `{}`],
    [`{"username":"a","other":1}`, `{"username":"a"}`],
    [`{"groups":null,"uid":"u"}`, `{"uid":"u"}`],
    [`{"extra":{"a":["x"],"b":null}}`, `{"extra":{"a":["x"]}}`],
    [`{"extra":null}`, `{}`],
    [`{"extra":{"__proto__":["x"],"b":null}}`, `{"extra":{"__proto__":["x"]}}`],
    [`{"username":"a","username":"b"}`, `{"username":"b"}`],
    [`{"extra":{"k":["a"],"k":["b"]}}`, `{"extra":{"k":["b"]}}`],
    [`{"groups":["é😀","\\u0000\\n"],"other":{}}`, `{"groups":["é😀","\\u0000\\n"]}`],
  ];
  for (const [given, expected] of cases) {
    assert.is(seen("", `"userInfo":${given}`), request("", `"userInfo":${expected}`), given);
  }
});

test("unknown members of kinds and resources are left out", () => {
  const kind = `"requestKind":{"group":"g","x":[{}],"version":"v","kind":"K"}`;
  assert.is(seen(kind), request(`"requestKind":{"group":"g","version":"v","kind":"K"}`));
  assert.is(read(review(kind)).kind, "K");
});

test("names are known by what they say, not by how they are written", () => {
  const escaped = String
    .raw`{"re\u0071uest":{"\u0075id":"a","kind":{"group":"","v\u0065rsion":"v1","kind":"Pod"},${RESOURCE},` +
    String
      .raw`"operation":"CREATE","userInfo":{"usern\u0061me":null},"nam\u0065space":"n\u0073","obj\u0065ct":1}}`;
  const found = read(escaped);
  assert.equal([found.uid, found.namespace, objectOf(found)], ["a", "ns", "1"]);
  assert.equal(JSON.parse(joined(found)).userInfo, {});
  fails(
    String.raw`{"request":{${REQUIRED},"\u0075id":"b","userInfo":{}}}`,
    ReviewShapeError,
    /duplicate field `uid`/,
  );
});

test("repeated members of the request are refused, those of free values are not", () => {
  for (const member of [`"uid":"v"`, `"userInfo":{}`, KIND]) {
    fails(review(member), ReviewShapeError, /request: duplicate field/);
  }
  fails(review(`"object":1,"object":2`), ReviewShapeError, /duplicate field `object`/);
  fails(
    review(`"requestKind":{"group":"","group":"","version":"","kind":""}`),
    ReviewShapeError,
    /request\.requestKind: duplicate field `group`/,
  );
  fails(`{"request":1,"request":2}`, ReviewShapeError, /request/);
  fails(`{"kind":"a","kind":"b","request":{}}`, ReviewShapeError, /duplicate field `kind`/);
  assert.is(seen(`"object":{"a":1,"a":2}`), request(`"object":{"a":1,"a":2}`));
});

test("missing members are named in the order in which the original misses them", () => {
  const members = ["uid", "kind", "resource", "operation", "userInfo"];
  const texts: Readonly<Record<string, string>> = {
    uid: `"uid":"u"`,
    kind: KIND,
    resource: RESOURCE,
    operation: `"operation":"x"`,
    userInfo: `"userInfo":{}`,
  };
  members.forEach((missing, index) => {
    const given = members.slice(0, index).map((name) => texts[name]).join(",");
    fails(`{"request":{${given}}}`, ReviewShapeError, new RegExp(`request: missing field \`${missing}\``));
  });
  fails("{}", ReviewShapeError, /^missing field `request` in the object at line 1 column 1$/);
});

test("wrong types are told with the member, what was expected, what was found and where", () => {
  const cases: readonly (readonly [more: string, expected: RegExp])[] = [
    [`"name":1`, /request\.name: expected a string, found a number at line 1 column \d+/],
    [`"name":{}`, /found an object/],
    [`"name":[1]`, /found an array/],
    [`"name":true`, /found a boolean/],
    [`"dryRun":"true"`, /request\.dryRun: expected a boolean, found the string "true"/],
    [
      `"requestKind":[]`,
      /request\.requestKind: expected an object \(a group, version and kind\), found an array/,
    ],
    [`"requestKind":{}`, /request\.requestKind: missing field `group`/],
    [
      `"requestResource":{"group":"","version":"","resource":null}`,
      /request\.requestResource\.resource: expected a string, found null/,
    ],
  ];
  for (const [more, expected] of cases) fails(review(more), ReviewShapeError, expected);
  for (const user of [`"userInfo":null`, `"userInfo":[]`, `"userInfo":"x"`]) {
    fails(review("", user), ReviewShapeError, /request\.userInfo: expected an object/);
  }
  fails(
    review("", `"userInfo":{"groups":[1]}`),
    ReviewShapeError,
    /request\.userInfo\.groups\[\]: expected a string/,
  );
  fails(
    review("", `"userInfo":{"extra":{"k":"v"}}`),
    ReviewShapeError,
    /request\.userInfo\.extra\.\*: expected an array of strings/,
  );
  for (const whole of ["null", "1", `"x"`, "[]", "true"]) {
    fails(whole, ReviewShapeError, /expected an object \(the AdmissionReview\)/);
    fails(`{"request":${whole}}`, ReviewShapeError, /request: expected an object \(the admission request\)/);
  }
});

test("what is no JSON is refused, also where nobody would look", () => {
  const broken = [
    `"object":{`,
    `"object":{"a":01}`,
    `"object":{"a":+1}`,
    `"object":{"a":.5}`,
    `"object":{"a":1.}`,
    `"object":{"a":1e}`,
    `"object":{"a":NaN}`,
    `"object":{"a":tru}`,
    `"object":{"a":"\u0001"}`,
    `"object":{"a":"\\x"}`,
    `"object":{"a":"\\u12"}`,
    `"object":{"a":1,}`,
    `"object":{,"a":1}`,
    `"object":{a:1}`,
    `"object":[1,]`,
    `"object":[1 2]`,
    `"object":{"a" 1}`,
    `"object":{"a":1e999}`,
    `"unknown":{"a":01}`,
    `"unknown":"\\ud800"`,
    `"object":"\\udc00"`,
    `"object":"\\ud800\\u0041"`,
    `"object":{"\\ud800":1}`,
  ];
  for (const more of broken) fails(review(more), JsonSyntaxError, /./);
  for (const text of ["", " ", "{", `{"request"`, review().slice(0, -1), `${review()}x`, `${review()}{}`]) {
    fails(text, JsonSyntaxError, /./);
  }
});

test("every beginning of a review is refused, and nothing else happens", () => {
  const whole = bytes(
    review(
      `"object":{"a":[1,"\\u00e9é",{"b":null}],"c":-1.5e3},"dryRun":false`,
      `"userInfo":{"groups":["g"],"extra":{"k":["v"]}}`,
    ),
  );
  for (let length = 0; length < whole.length; length++) {
    try {
      readReview(whole.subarray(0, length));
      assert.unreachable(`taken at ${length}`);
    } catch (error) {
      assert.ok(error instanceof JsonSyntaxError || error instanceof ReviewShapeError, String(error));
    }
  }
});

test("127 levels are taken, 128 are not; the depth of what is left out is of no matter", () => {
  // The review and the request are two of the levels.
  const levels = (count: number) => `"object":${"[".repeat(count - 2)}${"]".repeat(count - 2)}`;
  assert.is(seen(levels(127)), request(levels(127)));
  fails(review(levels(128)), JsonSyntaxError, /nested deeper than 127 levels/);
  const objects = (count: number) => `"object":${`{"a":`.repeat(count - 2)}1${"}".repeat(count - 2)}`;
  assert.is(seen(objects(127)), request(objects(127)));
  fails(review(objects(128)), JsonSyntaxError, /nested deeper than 127 levels/);
  const deep = (count: number) => `"unknown":${"[".repeat(count)}${"]".repeat(count)}`;
  assert.is(seen(deep(4_000)), request());
  fails(review(deep(1_000_000)), JsonSyntaxError, /nested deeper/);
});

test("a raw review is any JSON; its uid is the request's if that is a text", () => {
  const raw = (text: string) => readRawReview(bytes(`{"x":1,"request": ${text} ,"y":[]}`));
  for (const text of ["null", "1.0", `"t"`, "[]", "{}", `{"uid":7}`, `{"uid":null,"a":{"uid":"no"}}`]) {
    const found = raw(text);
    assert.equal([found.uid, joined(found), objectOf(found)], ["", text, text], text);
  }
  assert.is(raw(`{"a":1,"uid":"\\u0061\\n"}`).uid, "a\n");
  assert.is(raw(`{"uid":"a","uid":"b"}`).uid, "b");
  assert.is(raw(`{"uid":"a","uid":1}`).uid, "");
  try {
    readRawReview(bytes(`{"requests":1}`));
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ReviewShapeError);
  }
});

test.run();
