// Issue 4, item 6 and "Bad input": the expressions of policy groups (spec/evaluator.md §10).
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkGroupExpression } from "../../crd/mod.ts";
import {
  evaluateExpression,
  ExpressionError,
  expressionError,
  parseExpression,
  readExpression,
} from "../../evaluator/render/group_expression.ts";

/** What an expression gives where the named members answer true, and which members were asked, in order. */
async function evaluated(source: string, ...happy: readonly string[]): Promise<string> {
  const asked: string[] = [];
  const value = await evaluateExpression(parseExpression(source), (name) => {
    asked.push(name);
    return happy.includes(name);
  });
  return `${value}: ${asked.join(" ")}`;
}

function parseError(source: string): string {
  try {
    parseExpression(source);
  } catch (error) {
    if (error instanceof ExpressionError) return error.message;
    throw error;
  }
  return "";
}

test("members are asked from left to right, and only where it depends on them", async () => {
  assert.is(
    await evaluated("unhappy() || (happy() && unhappy2())", "happy"),
    "false: unhappy happy unhappy2",
  );
  assert.is(await evaluated("unhappy() || happy() || unhappy2()", "happy"), "true: unhappy happy");
  assert.is(await evaluated("a() && b()"), "false: a");
  assert.is(await evaluated("a() && a()", "a"), "true: a a");
  // These two don't stop early.
  assert.is(await evaluated("a() & b()"), "false: a b");
  assert.is(await evaluated("a() | b()", "a"), "true: a b");
});

test("operators bind as in the original, and to the left", async () => {
  assert.is(await evaluated("!a() || b() && c() == d()", "a", "b"), "true: a b c d");
  assert.is(await evaluated("a() == b() != c()", "c"), "false: a b c");
  assert.is(await evaluated("true ^ true ^ true"), "true: ");
  assert.is(await evaluated("1 + 2 * 3 == 7 && 7 / 2 == 3 && 7 % 4 == 3 && -1 < +0x1_0"), "true: ");
  assert.is(await evaluated('"a" + "b" == "ab" && "a" < "b" && 1.5 >= 0b1'), "true: ");
  assert.is(await evaluated("!!(a()) /* why not */ // says the comment", "a"), "true: a");
});

test("what does not parse is told with its place", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["", "Syntax error: expected an expression, found `the end` (line 1, position 1)"],
    ["a() &&", "Syntax error: expected an expression, found `the end` (line 1, position 7)"],
    ["a() b()", "Syntax error: expected an operator or the end, found `b` (line 1, position 5)"],
    ["(a()", "Syntax error: expected `)`, found `the end` (line 1, position 5)"],
    ["a() ||\n  || b()", "Syntax error: expected an expression, found `||` (line 2, position 3)"],
    ["a(1)", "Syntax error: expected `)`, found `1` (line 1, position 3)"],
    ["a", "Variable not found: a (line 1, position 1)"],
    ["something that does not make sense", "Variable not found: something (line 1, position 1)"],
    ['"open', 'Syntax error: unexpected `"` (line 1, position 1)'],
    ['"\\q" == ""', "Syntax error: bad escape in a string (line 1, position 1)"],
  ];
  for (const [source, message] of cases) assert.is(parseError(source), message, source);
});

test("statements, assignments and what else the language has beside expressions are forbidden", () => {
  for (
    const source of [
      "let x = 1; true",
      "a(); b()",
      "a() = true",
      "a() := true",
      "fn f() { true } f()",
      "while true {}",
      "loop {}",
      "return a()",
      "a().b()",
      "a::b()",
      "[a()]",
      "#{a: 1}",
      "`a`",
      "a() ? b() : c()",
      "|x| x",
      'eval("true")',
      'print("x")',
      'import "x" as y',
      "a() << 1",
      "a() @ b()",
      "☃()",
    ]
  ) {
    assert.match(
      parseError(source),
      /^(Syntax error: .*|Variable not found: \w+) \(line 1, position \d+\)$/,
      source,
    );
  }
});

test("an expression has bounds", () => {
  assert.match(parseError("(".repeat(100_000)), /^Syntax error: longer than 65536 characters/);
  assert.match(
    parseError(`${"(".repeat(30_000)}a()${")".repeat(30_000)}`),
    /^Syntax error: nested deeper than 1024/,
  );
  assert.match(parseError(`${"!".repeat(30_000)}a()`), /^Syntax error: nested deeper than 1024/);
  assert.match(
    parseError(`${"1+".repeat(30_000)}1 == 1`),
    /^Syntax error: nested deeper than 1024 operators/,
  );
  assert.match(
    parseError("/* ".repeat(20_000)),
    /^Syntax error: the comment does not end \(line 1, position 1\)/,
  );
  for (const unfinished of ["a() /*", "a() /*/", "/* * / a()"]) {
    assert.match(parseError(unfinished), /the comment does not end/, unfinished);
  }
  assert.is(parseError("/**/ a() /* ** */ || /***/ b()"), "");
  const long = "x".repeat(60_000);
  for (const source of [long, `a() ${long}`, `a(${long}`]) {
    assert.ok(parseError(source).length < 300, source.slice(0, 10));
  }
});

test("a chain of members may be as long as the text, and is evaluated lazily", async () => {
  for (const [sign, decisive] of [["||", true], ["&&", false]] as const) {
    const chain = parseExpression(Array(9_000).fill("a()").join(sign));
    let asked = 0;
    assert.is(await evaluateExpression(chain, () => (asked++, !decisive)), !decisive);
    assert.is(asked, 9_000);
    asked = 0;
    assert.is(await evaluateExpression(chain, () => ++asked === 5 ? decisive : !decisive), decisive);
    assert.is(asked, 5);
    assert.is(await expressionError(chain, ["a"]), undefined);
    assert.match(await expressionError(chain, ["b"]) ?? "", /^Function not found: a \(\)/);
  }
});

test("what the controller accepts, however long or deep, keeps no policy server from starting", async () => {
  const nested = (times: number, open: string) => `${open.repeat(times)}a()${")".repeat(times)}`;
  for (
    const [label, source] of [
      ["parentheses", nested(199, "(")],
      ["nots", `${"!".repeat(199)}a()`],
      ["nots and parentheses", nested(99, "!(")],
      ["operands in parentheses", nested(199, "a() && (")],
      ["negated operands in parentheses", nested(199, "a() && !(")],
      ["long chain", Array(9_000).fill("a()").join("||")],
      ["comparisons", Array(400).fill("a()").join("==")],
    ] as const
  ) {
    assert.is(checkGroupExpression(source, ["a"]), undefined, label);
    assert.is(typeof await readExpression(source, ["a"]), "object", label);
  }
  for (const source of [nested(300, "("), `${"!".repeat(300)}a()`, `${"a()||".repeat(14_000)}a()`]) {
    assert.is(checkGroupExpression(source, ["a"])?.kind, "compilation");
  }
});

test("unknown members are found wherever they stand, and anything but a boolean is refused", async () => {
  const fault = (source: string) => expressionError(parseExpression(source), ["happy", "match", "is"]);
  assert.is(await fault("true || happy()"), undefined);
  assert.is(await fault("2 > 1"), undefined);
  // Words of the original's language are fine as names here.
  assert.is(await fault("match() && is()"), undefined);
  assert.is(await fault("unknown() || happy()"), "Function not found: unknown () (line 1, position 1)");
  assert.is(await fault("happy() ||\n !nowhere()"), "Function not found: nowhere () (line 2, position 3)");
  assert.is(await fault("toString()"), "Function not found: toString () (line 1, position 1)");
  assert.is(await fault("__proto__()"), "Function not found: __proto__ () (line 1, position 1)");
  assert.is(await fault("1 + 1"), "Output type incorrect: i64 (expecting bool)");
  assert.is(await fault('"happy"'), "Output type incorrect: string (expecting bool)");
  assert.is(await fault("happy() + 1"), "Function not found: + (bool, i64) (line 1, position 9)");
  assert.is(await fault("1 && happy()"), "Data type incorrect: i64 (expecting bool) (line 1, position 3)");
  assert.is(await fault("!1"), "Function not found: ! (i64) (line 1, position 1)");
  assert.is(await fault("1 / 0 == 1"), "Division by zero (line 1, position 3)");
});

test("what a member throws ends the expression as it is", async () => {
  const reason = new Error("the member broke");
  const failed = await evaluateExpression(parseExpression("a() || b()"), () => Promise.reject(reason)).catch((
    error,
  ) => error);
  assert.is(failed, reason);
});

test.run();
