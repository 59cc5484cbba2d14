/**
 * Modules as compilers of other ecosystems make them: what the execution modes do not have is refused by us, by the name of the module
 * and in one text, before a runtime says it in its own (WebAssembly core specification, "Binary Format"; 1.36's engine refuses them too).
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inPlace } from "../cli/place.ts";

const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
const section = (id: number, ...content: readonly number[]) => [id, content.length, ...content];
const module = (...sections: readonly (readonly number[])[]) =>
  Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...sections.flat());

/** `(i32, i32) -> i32` and `() -> ()`. */
const TYPES = section(1, 2, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 0x60, 0, 0);
const FUNCTION = section(3, 1, 0);
const GUEST_CALL = [...name("__guest_call"), 0, 0];
const CALL = section(7, 1, ...GUEST_CALL);
const CALL_AND_MEMORY = section(7, 2, ...GUEST_CALL, ...name("memory"), 2, 0);
const memory = (...limits: readonly number[]) => section(5, 1, ...limits);
const importing = (module: string, field: string, ...type: readonly number[]) =>
  section(2, 1, ...name(module), ...name(field), ...type);
const code = (...body: readonly number[]) => section(10, 1, body.length + 2, 0, ...body, 0x0b);
const ZERO = code(0x41, 0);

const NO_HOST = "error when building wasm module: the module imports what no host provides: ";
const ROWS: readonly (readonly [what: string, module: Uint8Array, says: string])[] = [
  ["no memory", module(TYPES, FUNCTION, CALL, ZERO), "the module exports no memory"],
  [
    "a memory that is not exported",
    module(TYPES, FUNCTION, memory(0, 1), CALL, ZERO),
    "the module exports no memory",
  ],
  [
    "a memory of threads",
    module(TYPES, FUNCTION, memory(3, 1, 2), CALL_AND_MEMORY, ZERO),
    "error when building wasm module: shared memories are not supported",
  ],
  [
    "a memory of threads from outside",
    module(TYPES, importing("env", "memory", 2, 3, 1, 2), FUNCTION, CALL, ZERO),
    "error when building wasm module: shared memories are not supported",
  ],
  [
    "a memory from outside, as Emscripten wants it",
    module(TYPES, importing("env", "memory", 2, 0, 1), FUNCTION, CALL, ZERO),
    `${NO_HOST}memory env.memory (execution mode kubewarden-wapc)`,
  ],
  [
    "two memories",
    module(TYPES, FUNCTION, section(5, 2, 0, 1, 0, 1), CALL_AND_MEMORY, ZERO),
    "error when building wasm module: the module has 2 memories, the limit is 1",
  ],
  [
    "four gigabytes at once",
    module(TYPES, FUNCTION, memory(0, 0x80, 0x80, 4), CALL_AND_MEMORY, ZERO),
    "error when building wasm module: the module asks for 4096 MiB of memory, the limit is 256 MiB",
  ],
  [
    "pages of one byte",
    module(TYPES, FUNCTION, memory(8, 1, 0), CALL_AND_MEMORY, ZERO),
    "error when building wasm module: custom page sizes are not supported",
  ],
  [
    "a table of ten millions",
    module(TYPES, FUNCTION, section(4, 1, 0x70, 0, 0x80, 0xad, 0xe2, 4), memory(0, 1), CALL_AND_MEMORY, ZERO),
    "error when building wasm module: the module has 10000000 elements in all tables together, the limit is 100000",
  ],
  [
    "AssemblyScript's abort",
    module(TYPES, importing("env", "abort", 0, 1), FUNCTION, memory(0, 1), CALL, ZERO),
    `${NO_HOST}function env.abort (execution mode kubewarden-wapc)`,
  ],
  [
    "a global from outside",
    module(TYPES, importing("env", "g", 3, 0x7f, 0), FUNCTION, memory(0, 1), CALL_AND_MEMORY, ZERO),
    `${NO_HOST}global env.g (execution mode kubewarden-wapc)`,
  ],
  [
    "a start function that traps",
    module(
      TYPES,
      section(3, 2, 0, 1),
      memory(0, 1),
      CALL_AND_MEMORY,
      section(8, 1),
      section(10, 2, 4, 0, 0x41, 0, 0x0b, 3, 0, 0, 0x0b),
    ),
    "Initialization failed: error while executing: wasm trap: unreachable instruction executed",
  ],
  [
    "types of the garbage collector",
    module(
      section(1, 3, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 0x60, 0, 0, 0x5f, 1, 0x7f, 0),
      FUNCTION,
      memory(0, 1),
      CALL_AND_MEMORY,
      ZERO,
    ),
    "error when building wasm module: garbage-collected types are not supported",
  ],
  [
    "an exception that nothing catches",
    module(TYPES, FUNCTION, memory(0, 1), section(13, 1, 0, 1), CALL_AND_MEMORY, code(0x08, 0)),
    "error while executing: wasm trap: an exception of the guest that nothing caught",
  ],
  [
    "a function that calls itself without end",
    module(TYPES, FUNCTION, memory(0, 1), CALL_AND_MEMORY, code(0x20, 0, 0x20, 1, 0x10, 0)),
    "error while executing: wasm trap: call stack exhausted",
  ],
  [
    "a component",
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0),
    "not a core WebAssembly module of version 1 (a component, or a newer format)",
  ],
  [
    "half of a module",
    module(TYPES, FUNCTION, memory(0, 1), CALL_AND_MEMORY, ZERO).subarray(0, 40),
    "unexpected end of the module at byte 40",
  ],
];

test("each is told in the same words on both runtimes", () =>
  inPlace(async ({ reeve, file }) => {
    file("pod.yml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n");
    for (const [what, bytes, says] of ROWS) {
      file("odd.wasm", bytes);
      const { exit, stdout, stderr } = await reeve("run", "odd.wasm", "-r", "pod.yml");
      assert.equal([exit, stdout], [1, ""], what);
      assert.ok(stderr.includes(says), `${what}: ${stderr}`);
    }
  }));

test.run();
