import { test } from "uvu";
import * as assert from "uvu/assert";
import { customSections, withCustomSection } from "../../evaluator/render/custom_section.ts";

const preamble = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const empty = Uint8Array.from(preamble);
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (content: Uint8Array | undefined) => new TextDecoder().decode(content);

/** A module with a type section, a section with the name `first`, and a function section without functions. */
const small = Uint8Array.from([
  ...preamble,
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
  ...[0x00, 0x08, 0x05, ...bytes("first"), 0xaa, 0xbb],
  ...[0x03, 0x01, 0x00],
]);

test("a section that was added is found, and the module stays one", () => {
  const marked = withCustomSection(small, "note", bytes("hello"));
  assert.equal(customSections(marked, "note").map(text), ["hello"]);
  assert.equal(customSections(marked, "first").map((content) => [...content]), [[0xaa, 0xbb]]);
  assert.ok(WebAssembly.validate(marked as BufferSource));
  const seen = WebAssembly.Module.customSections(new WebAssembly.Module(marked as BufferSource), "note");
  assert.equal(text(new Uint8Array(seen[0]!)), "hello");
});

test("the section is appended at the end and nothing else changes", () => {
  const marked = withCustomSection(small, "note", bytes("hello"));
  assert.equal([...marked.subarray(0, small.length)], [...small]);
  assert.equal([...marked.subarray(small.length)], [0x00, 0x0a, 0x04, ...bytes("note"), ...bytes("hello")]);
});

test("all sections of that name are replaced by one", () => {
  const twice = Uint8Array.from([
    ...withCustomSection(small, "note", bytes("one")),
    ...withCustomSection(empty, "note", bytes("two")).subarray(preamble.length),
  ]);
  assert.equal(customSections(twice, "note").map(text), ["one", "two"]);
  const replaced = withCustomSection(twice, "note", bytes("three"));
  assert.equal(customSections(replaced, "note").map(text), ["three"]);
  assert.equal([...replaced], [...withCustomSection(small, "note", bytes("three"))]);
});

test("the module given is not changed", () => {
  const before = [...small];
  withCustomSection(small, "first", bytes("other"));
  assert.equal([...small], before);
});

test("names are compared whole, and a module without any has none", () => {
  assert.equal(customSections(small, "firs"), []);
  assert.equal(customSections(small, "first!"), []);
  assert.equal(customSections(small, ""), []);
  assert.equal(customSections(empty, "first"), []);
});

test("empty and long contents, empty names and names beyond ASCII survive", () => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 3_000_000]) {
    const content = new Uint8Array(length).fill(7);
    assert.equal(
      customSections(withCustomSection(empty, "długa nazwa", content), "długa nazwa")[0]?.length,
      length,
    );
  }
  assert.equal(customSections(withCustomSection(empty, "", bytes("x")), "").map(text), ["x"]);
});

test("a size spelt with more bytes than it needs is kept as it is", () => {
  const padded = Uint8Array.from([...preamble, 0x00, 0x83, 0x80, 0x80, 0x80, 0x00, 0x01, 0x61, 0x2a]);
  assert.equal(customSections(padded, "a").map((content) => [...content]), [[0x2a]]);
  const marked = withCustomSection(padded, "b", bytes("x"));
  assert.equal([...marked.subarray(0, padded.length)], [...padded]);
});

/** Both functions say what is wrong with `module`, as an Error with words of its own. */
function refused(module: Uint8Array, why: RegExp): void {
  for (
    const look of [() => customSections(module, "note"), () => withCustomSection(module, "note", bytes("x"))]
  ) {
    try {
      look();
    } catch (error) {
      assert.instance(error, Error);
      assert.not.instance(error, RangeError);
      assert.not.instance(error, TypeError);
      assert.match((error as Error).message, why);
      continue;
    }
    assert.unreachable(`accepted ${[...module.subarray(0, 40)]}`);
  }
}

test("what is not a module is refused", () => {
  refused(new Uint8Array(), /not a WebAssembly module/);
  refused(empty.subarray(0, 7), /not a WebAssembly module/);
  refused(bytes("(module)"), /not a WebAssembly module/);
  refused(Uint8Array.from([...preamble.slice(0, 4), 0x0d, 0x00, 0x01, 0x00]), /component, or a newer format/);
});

test("a section that goes beyond the end is refused", () => {
  refused(Uint8Array.from([...preamble, 0x00]), /end of the module/);
  refused(Uint8Array.from([...preamble, 0x00, 0x80]), /end of the module/);
  refused(Uint8Array.from([...preamble, 0x00, 0x05, 0x01, 0x61]), /end of the module/);
  refused(
    Uint8Array.from([...preamble, 0x00, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x01, 0x61]),
    /end of the module/,
  );
});

test("a size that no section can have is refused", () => {
  refused(Uint8Array.from([...preamble, 0x00, 0xff, 0xff, 0xff, 0xff, 0x7f]), /32 bits/);
  refused(Uint8Array.from([...preamble, 0x00, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), /32 bits/);
  refused(Uint8Array.from([...preamble, 0x00, ...new Uint8Array(64).fill(0xff)]), /32 bits/);
});

test("a name that goes beyond its section is refused, even when the module goes on", () => {
  refused(Uint8Array.from([...preamble, 0x00, 0x00, ...small.subarray(8)]), /end of the module/);
  refused(Uint8Array.from([...preamble, 0x00, 0x02, 0x05, 0x61, ...small.subarray(8)]), /end of the module/);
  refused(Uint8Array.from([...preamble, 0x00, 0x02, 0xff, 0xff, ...small.subarray(8)]), /end of the module/);
  refused(Uint8Array.from([...preamble, 0x00, 0x03, 0x02, 0xff, 0xfe]), /not UTF-8/);
});

test("every prefix of a module, and a module with any byte changed, is read or refused", () => {
  const module = withCustomSection(
    withCustomSection(small, "note", bytes("hello")),
    "other",
    new Uint8Array(200),
  );
  const look = (candidate: Uint8Array) => {
    try {
      customSections(candidate, "note");
      withCustomSection(candidate, "note", bytes("x"));
    } catch (error) {
      assert.is((error as Error).name, "WasmFormatError");
    }
  };
  for (let length = 0; length <= module.length; length++) look(module.subarray(0, length));
  for (let index = 0; index < module.length; index++) {
    for (const value of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
      const changed = Uint8Array.from(module);
      changed[index] = value;
      look(changed);
    }
  }
});

test.run();
