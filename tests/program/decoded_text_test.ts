// Files as editors and shells leave them: what is text is read, what is none is refused and never altered.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodedText, looseText } from "../../program/types/decoded_text.ts";

const utf16 = (text: string) => Buffer.from(`\uFEFF${text}`, "utf16le");

test("UTF-8, and UTF-16 with a mark", () => {
  const rows: readonly (readonly [string, Uint8Array, string])[] = [
    ["UTF-8", Buffer.from("ä\r\n日本 👋"), "ä\r\n日本 👋"],
    ["UTF-8 with a mark", Buffer.from("\uFEFFä"), "ä"],
    ["UTF-16, as Windows writes it", utf16("ä 👋\r\n"), "ä 👋\r\n"],
    ["UTF-16, the other way round", utf16("ä 👋").swap16(), "ä 👋"],
    ["nothing", new Uint8Array(), ""],
    ["a mark alone", utf16(""), ""],
    ["a mark inside", Buffer.from("a\uFEFFb"), "a\uFEFFb"],
  ];
  for (const [what, bytes, text] of rows) assert.is(decodedText(bytes), text, what);
});

test("what is neither is refused", () => {
  const rows: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ["Latin-1", Buffer.from("caf\u00e9", "latin1"), /^it is not UTF-8: save it as UTF-8$/],
    ["half a character", Buffer.from("ä").subarray(0, 1), /it is not UTF-8/],
    ["a surrogate in UTF-8", Uint8Array.of(0xed, 0xa0, 0x80), /it is not UTF-8/],
    ["half of a unit of UTF-16", utf16("ab").subarray(0, 5), /it is not UTF-8/],
    [
      "UTF-16 without a mark",
      utf16("ab").subarray(2),
      /it holds zero bytes, as UTF-16 without a mark or a binary file/,
    ],
    ["UTF-32", Uint8Array.of(0xff, 0xfe, 0, 0, 0x61, 0, 0, 0), /it holds zero bytes/],
    ["a zero byte", Buffer.from("a\0b"), /it holds zero bytes/],
    ["a module", Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), /it holds zero bytes/],
  ];
  for (const [what, bytes, text] of rows) assert.throws(() => decodedText(bytes), text, what);
});

test("loose: what is of no encoding is replaced", () => {
  assert.is(looseText(utf16("ä")), "ä");
  assert.is(looseText(Buffer.from("caf\u00e9", "latin1")), "caf\ufffd");
  assert.is(looseText(Buffer.from("a\0b")), "a\0b");
});

test.run();
