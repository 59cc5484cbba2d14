/** Valid modules of which one thing is very many: what a compiler takes time and memory for though it is a few bytes. */
import { Writer } from "../../evaluator/render/wasm_binary.ts";
import type { Random } from "./random.ts";

const I32 = 0x7f, I64 = 0x7e, F64 = 0x7c, V128 = 0x7b, FUNCREF = 0x70;
const TYPES = [I32, I64, F64, V128, FUNCREF];

/** A count of any magnitude up to `max`. */
const many = (random: Random, max: number) =>
  Math.min(max, random.below(2 ** (1 + random.below(Math.ceil(Math.log2(max))))));

function bodyOf(random: Random, write: (body: Writer) => void, locals = 0): Writer {
  const body = new Writer();
  if (locals > 0) {
    body.u32(1);
    body.u32(locals);
    body.u8(random.pick(TYPES));
  } else body.u8(0);
  write(body);
  body.u8(0x0b);
  return body;
}

type Shape = {
  readonly body: Writer;
  readonly functions?: number;
  readonly tables?: number;
  readonly elements?: number;
  readonly globals?: number;
  readonly data?: number;
  readonly exports?: number;
  readonly types?: number;
};

function shapeOf(random: Random): Shape {
  const nothing = () => bodyOf(random, () => {});
  switch (random.below(12)) {
    case 0: { // local variables times blocks
      const blocks = many(random, 8_000);
      return {
        body: bodyOf(random, (body) => {
          for (let left = blocks; left > 0; left--) body.raw(random.pick([0x02, 0x03]), 0x40, 0x0b);
        }, many(random, 30_000)),
      };
    }
    case 1: { // nesting
      const depth = many(random, 2_500);
      return {
        body: bodyOf(random, (body) => {
          for (let left = depth; left > 0; left--) body.raw(0x02, 0x40);
          for (let left = depth; left > 0; left--) body.u8(0x0b);
        }, many(random, 30_000)),
      };
    }
    case 2: { // a branch to very many places
      const targets = many(random, 60_000);
      return {
        body: bodyOf(random, (body) => {
          body.raw(0x41, 0, 0x0e);
          body.u32(targets);
          for (let left = targets; left >= 0; left--) body.u8(0);
        }),
      };
    }
    case 3: // many loops
      return {
        body: bodyOf(random, (body) => {
          for (let left = many(random, 8_000); left > 0; left--) body.raw(0x03, 0x40, 0x41, 0, 0x0d, 0, 0x0b);
        }, many(random, 5_000)),
      };
    case 4: // conditions that keep local variables alive
      return {
        body: bodyOf(random, (body) => {
          for (let left = many(random, 6_000); left > 0; left--) body.raw(0x41, 1, 0x04, 0x40, 0x05, 0x0b);
        }, many(random, 20_000)),
      };
    case 5:
      return { body: bodyOf(random, () => {}, many(random, 30_000)), functions: many(random, 2_000) };
    case 6:
      return { body: nothing(), functions: many(random, 20_000) };
    case 7:
      return { body: nothing(), tables: many(random, 3_000), elements: many(random, 100_000) };
    case 8:
      return { body: nothing(), globals: many(random, 30_000) };
    case 9:
      return { body: nothing(), exports: many(random, 20_000) };
    case 10:
      return { body: nothing(), types: many(random, 30_000) };
    default:
      return { body: nothing(), data: many(random, 20_000) };
  }
}

/** A module that is small as a file. */
export function extremeModule(random: Random): Uint8Array {
  const { body, functions = 1, tables = 0, elements = 0, globals = 0, data = 0, exports = 0, types = 0 } =
    shapeOf(random);
  const out = new Writer();
  out.raw(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const section = (id: number, count: number, write: (content: Writer, index: number) => void) => {
    const content = new Writer();
    content.u32(count);
    for (let index = 0; index < count; index++) write(content, index);
    out.section(id, content);
  };
  const count = Math.max(1, functions);
  section(1, 1 + types, (content) => content.raw(0x60, 0, 0));
  section(3, count, (content) => content.u8(0));
  if (tables > 0) {
    section(4, tables, (content) => {
      content.raw(FUNCREF, 0);
      content.u32(elements);
    });
  }
  section(5, 1, (content) => content.raw(0, 1));
  if (globals > 0) section(6, globals, (content) => content.raw(I64, 1, 0x42, 0, 0x0b));
  // Function 0 is exported in any case: compilers may wait for the first call.
  section(7, Math.max(1, exports), (content, index) => {
    content.name(`e${index}`);
    content.raw(0, 0);
  });
  section(10, count, (content) => {
    content.u32(body.length);
    content.append(body);
  });
  if (data > 0) section(11, data, (content) => content.raw(0, 0x41, 0, 0x0b, 0));
  return out.view().slice();
}
