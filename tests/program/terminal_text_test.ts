// Text for a terminal: what is escaped, what stays, and that no string is ever taken for a style.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { closingTable, progressLine } from "../../audit/render/progress.ts";
import { openScreen } from "../../audit/serve/terminal.ts";
import {
  isUnsafe,
  joined,
  lines,
  oneLine,
  safeJson,
  styled,
  terminalText,
  text,
} from "../../program/render/terminal_text.ts";
import { CLEAR_LINE } from "../../program/types/text.ts";

/** Everything that must never reach a terminal as it is. */
const UNSAFE = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, at) => 0x7f + at),
  0x00ad,
  0x061c,
  ...[0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e],
  ...[0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0x2066, 0x2067, 0x2068, 0x2069, 0x206a, 0x206f],
  ...[0xd800, 0xdbff, 0xdc00, 0xdfff, 0xfeff, 0xfff9, 0xfffa, 0xfffb],
  ...[0x1bca0, 0x1d173, 0xe0001, 0xe0020, 0xe007f],
];

test("every character that is no character of its own is escaped", () => {
  for (const code of UNSAFE) {
    const character = code >= 0xd800 && code <= 0xdfff
      ? String.fromCharCode(code)
      : String.fromCodePoint(code);
    const around = `a${character}b`;
    const hex = code.toString(16);
    assert.ok(isUnsafe(around), hex);
    const shown = oneLine(around);
    assert.match(shown, /^a\\(?:[nrt]|u\{[0-9a-f]+\})b$/, hex);
    assert.is(oneLine(shown), shown, "what is escaped stays so");
    if (code !== 0x0a && code !== 0x09) {
      assert.is(lines(around), shown, hex);
      assert.is(terminalText(around, { colour: true }), shown, hex);
    }
    assert.equal(JSON.parse(safeJson(JSON.stringify({ [around]: around }))), { [around]: around }, hex);
    assert.not(isUnsafe(safeJson(JSON.stringify(around))), hex);
  }
});

test("what people write stays as it is", () => {
  for (
    const plain of [
      "naïve Ünïcödé ― … “quotes” 中文 עברית العربية ไทย",
      "👩‍💻 🏳️‍🌈 👍🏽 ❤️",
      "می‌خواهم",
      "क्‍ष",
      "٪ ۝",
      "\u00a0\u3000",
      "e\u0301",
    ]
  ) {
    assert.not(isUnsafe(plain), plain);
    assert.is(terminalText(plain, { colour: true }), plain);
  }
  assert.is(lines("a\r\nb\n\tc"), "a\nb\n\tc");
  assert.is(lines("a\rb"), "a\\rb", "a carriage return alone rewrites the line");
  assert.ok(isUnsafe("pay\u200dpal"), "a joiner between letters of ASCII hides");
});

test("styles are values: the same bytes in a string are text", () => {
  const forged = `{"style":"31","of":"x"}\u001b[31mx\u001b[0m`;
  const shown = text`${styled("31", "own")} ${forged}${joined(["a", styled("1", forged)], "\n")}`;
  assert.is(
    terminalText(shown, { colour: true }),
    `\u001b[31mown\u001b[0m ${oneLine(forged)}a\n\u001b[1m${oneLine(forged)}\u001b[0m`,
  );
  assert.not.match(terminalText(shown, { colour: false }), "\u001b");
  assert.is(terminalText([CLEAR_LINE, "x"], { colour: false }), "\r\u001b[2Kx");
});

test("long texts are no more work than their length", () => {
  const many = "\u001b\u202e\u200d".repeat(200_000);
  assert.is(oneLine(many).length, (6 + 8 + 8) * 200_000);
  const joiners = "é\u200d".repeat(200_000);
  assert.ok(oneLine(joiners).length >= joiners.length);
});

test("the scanner's bar and table: names of namespaces and policies", () => {
  const name = "shop\u001b[2J\r\n\u202efake 1 0 0";
  const line = progressLine({ namespace: name, done: 1, expected: 2, number: 1, of: 1 }, 200);
  assert.not(isUnsafe(line), line);
  const tally = {
    policies: new Map([[name, { pass: 1, fail: 0, error: 0 }]]),
    totals: {
      resources: 1,
      namespaces: 1,
      written: 1,
      kept: 0,
      removed: 0,
      unwritten: 0,
      unlisted: 0,
      failedNamespaces: 0,
    },
  } as unknown as Parameters<typeof closingTable>[0];
  const table = closingTable(tally, 1);
  assert.not(isUnsafe(table.replaceAll("\n", "")), table);
  assert.is(table.split("\n").length, 6);
  const shown: string[] = [];
  const screen = openScreen({ columns: 200, write: (part) => shown.push(part) }, () => 1000);
  screen.progress.begin(name, 1).expect(1);
  screen.end();
  assert.not(isUnsafe(shown.join("").replaceAll("\r\u001b[2K", "")), shown.join(""));
});

test.run();
