// What a module may hold before an engine sees it: each limit refuses what is over it by name, says what the module has, and real
// policies are far below all of them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ModuleError, prepareModule } from "../../evaluator/apply/prepare.ts";
import { instrument } from "../../evaluator/render/instrument.ts";
import { MODULE_LIMITS } from "../../evaluator/render/module_limits.ts";
import { Reader, SECTION, WasmFormatError, Writer } from "../../evaluator/render/wasm_binary.ts";
import { readModule } from "../../evaluator/render/wasm_module.ts";
import { wasm } from "./wasm_text.ts";

const I32 = 0x7f, FUNCREF = 0x70, EMPTY = 0x40;
const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

type Write = (out: Writer) => void;

/** A module of the given sections, in the order given. */
function binary(sections: readonly (readonly [id: number, content: Write])[]): Uint8Array {
  const out = new Writer();
  out.raw(...HEADER);
  for (const [id, write] of sections) {
    const content = new Writer();
    write(content);
    out.section(id, content);
  }
  return out.view().slice();
}

/** A list section that has `count` times the entry. */
const list = (count: number, entry: readonly number[] | Write): Write => (out) => {
  out.u32(count);
  for (let index = 0; index < count; index++) typeof entry === "function" ? entry(out) : out.raw(...entry);
};

/** A module with the function type `(i32) -> ()`, and one function of that type with `locals` variables and this code. */
const functionOf = (locals: number, code: Write): Uint8Array =>
  binary([
    [SECTION.type, list(1, [0x60, 1, I32, 0])],
    [SECTION.function, list(1, [0])],
    [
      SECTION.code,
      list(1, (out) => {
        const body = new Writer();
        body.u32(1);
        body.u32(locals);
        body.u8(I32);
        code(body);
        body.u8(0x0b);
        out.u32(body.length);
        out.append(body);
      }),
    ],
  ]);

const times = (count: number, ...bytes: number[]): Write => (out) => {
  for (let index = 0; index < count; index++) out.raw(...bytes);
};
const both = (...parts: readonly Write[]): Write => (out) => parts.forEach((part) => part(out));
const text = (length: number): Write => (out) => out.name("x".repeat(length));

const refused = (module: Uint8Array, expected: RegExp, name: string) => {
  try {
    instrument(module, { maxPages: 16 });
  } catch (error) {
    assert.instance(error, WasmFormatError, `${name}: ${(error as Error).message}`);
    assert.match((error as Error).message, expected, `${name}: ${(error as Error).message}`);
    assert.ok((error as Error).message.length < 300, name);
    return;
  }
  assert.unreachable(`${name}: not refused`);
};

const most = (name: keyof typeof MODULE_LIMITS) => MODULE_LIMITS[name].most;
const named = (name: keyof typeof MODULE_LIMITS, more = 1) =>
  new RegExp(`has ${most(name) + more} ${MODULE_LIMITS[name].what}, the limit is ${most(name)}$`);

/** A module that is just over each limit. */
const OVER: Readonly<Record<keyof typeof MODULE_LIMITS, () => Uint8Array>> = {
  moduleBytes: () => new Uint8Array(most("moduleBytes") + 1),
  types: () => binary([[SECTION.type, list(most("types") + 1, [0x60, 0, 0])]]),
  parameters: () =>
    binary([[
      SECTION.type,
      list(1, both((out) => out.u8(0x60), list(most("parameters") + 1, [I32]), (out) => out.u8(0))),
    ]]),
  results: () =>
    binary([[SECTION.type, list(1, both((out) => out.raw(0x60, 0), list(most("results") + 1, [I32])))]]),
  typeValues: () =>
    binary([[
      SECTION.type,
      list(
        501,
        both((out) => out.u8(0x60), list(1_000, [I32]), list(1_000, [I32])),
      ),
    ]]),
  allLocals: () =>
    binary([
      [SECTION.type, list(1, [0x60, 0, 0])],
      [SECTION.function, list(1_001, [0])],
      [
        SECTION.code,
        list(1_001, (out) => {
          const body = new Writer();
          body.u32(1);
          body.u32(5_000);
          body.raw(I32, 0x0b);
          out.u32(body.length);
          out.append(body);
        }),
      ],
    ]),
  functions: () =>
    binary([[SECTION.type, list(1, [0x60, 0, 0])], [SECTION.function, list(most("functions") + 1, [0])]]),
  imports: () =>
    binary([[SECTION.type, list(1, [0x60, 0, 0])], [
      SECTION.import,
      list(most("imports") + 1, [1, 97, 1, 98, 0, 0]),
    ]]),
  exports: () => binary([[SECTION.export, list(most("exports") + 1, [1, 97, 0, 0])]]),
  globals: () => binary([[SECTION.global, list(most("globals") + 1, [I32, 0, 0x41, 0, 0x0b])]]),
  tags: () => binary([[SECTION.type, list(1, [0x60, 0, 0])], [SECTION.tag, list(most("tags") + 1, [0, 0])]]),
  tables: () => binary([[SECTION.table, list(most("tables") + 1, [FUNCREF, 0, 1])]]),
  tableElements: () =>
    binary([[
      SECTION.table,
      both((out) => out.u32(2), (out) => {
        for (const elements of [most("tableElements"), 1]) {
          out.raw(FUNCREF, 0);
          out.u32(elements);
        }
      }),
    ]]),
  memories: () => binary([[SECTION.memory, list(2, [0, 1])]]),
  dataSegments: () => binary([[SECTION.data, list(most("dataSegments") + 1, [1, 0])]]),
  elementSegments: () => binary([[SECTION.element, list(most("elementSegments") + 1, [1, 0, 0])]]),
  segmentElements: () =>
    binary([[
      SECTION.element,
      list(1, both((out) => out.raw(1, 0), list(most("segmentElements") + 1, [0]))),
    ]]),
  constantInstructions: () =>
    binary([[
      SECTION.global,
      list(
        1,
        both(
          (out) => out.raw(I32, 0, 0x41, 0),
          times(most("constantInstructions") / 2, 0x41, 0, 0x6a),
          (out) => out.u8(0x0b),
        ),
      ),
    ]]),
  functionBytes: () => functionOf(1, times(most("functionBytes") - 3, 0x01)),
  locals: () => functionOf(most("locals") + 1, () => {}),
  nesting: () => functionOf(0, both(times(most("nesting"), 0x02, EMPTY), times(most("nesting"), 0x0b))),
  wideValues: () =>
    binary([
      [
        SECTION.type,
        list(2, both((out) => out.u8(0x60), list(1_000, [I32]), (out) => out.u8(0))),
      ],
      [SECTION.function, list(1, [0])],
      [
        SECTION.code,
        list(1, (out) => {
          const body = new Writer();
          both((out) => out.u8(0), times(41, 0x10, 0), (out) => out.u8(0x0b))(body);
          out.u32(body.length);
          out.append(body);
        }),
      ],
    ]),
  handlers: () => functionOf(0, times(most("handlers") + 1, 0x02, EMPTY, 0x1f, EMPTY, 1, 2, 0, 0x0b, 0x0b)),
  branchTable: () =>
    functionOf(
      0,
      both(
        (out) => out.raw(0x20, 0, 0x0e),
        (out) => out.u32(most("branchTable") + 1),
        times(most("branchTable") + 2, 0),
      ),
    ),
  branchLabels: () =>
    binary([
      [SECTION.type, list(1, [0x60, 1, I32, 0])],
      [SECTION.function, list(101, [0])],
      [
        SECTION.code,
        list(101, (out) => {
          const body = new Writer();
          body.raw(0, 0x20, 0, 0x0e);
          body.u32(20_000);
          times(20_001, 0)(body);
          body.u8(0x0b);
          out.u32(body.length);
          out.append(body);
        }),
      ],
    ]),
};

test("each limit refuses what is over it, and says what the module has", () => {
  const extra: Partial<Record<keyof typeof MODULE_LIMITS, number>> = {
    branchLabels: 20_000,
    typeValues: 2_000,
    allLocals: 5_000,
    wideValues: 1_000,
  };
  for (const [name, module] of Object.entries(OVER)) {
    const key = name as keyof typeof MODULE_LIMITS;
    refused(module(), named(key, extra[key] ?? 1), name);
  }
});

test("names and sections are bounded where they are read", () => {
  refused(
    binary([[SECTION.import, list(1, text(5_000))]]),
    /a name of 5000 bytes at byte \d+, the limit is 4096/,
    "import",
  );
  refused(
    binary([[SECTION.export, list(1, text(5_000))]]),
    /a name of 5000 bytes at byte \d+, the limit is 4096/,
    "export",
  );
  refused(
    binary(Array.from({ length: 1_001 }, () => [SECTION.custom, text(1)])),
    /more than 1000 sections/,
    "custom",
  );
});

test("2,000 tables of 100,000 elements are refused, and so is any sum over the limit", () => {
  const table = both((out) => out.raw(FUNCREF, 0), (out) => out.u32(100_000));
  refused(
    binary([[SECTION.table, list(2_000, table)]]),
    /has 2000 tables, the limit is 100$/,
    "2,000 tables",
  );
  refused(
    binary([[SECTION.table, list(100, table)]]),
    /has 10000000 elements in all tables together, the limit is 100000$/,
    "100 tables",
  );
});

test("tables that grow share what all of them together may have", async () => {
  const plain = wasm(`(module (table $a 1 funcref) (table $b 1 funcref) (table 10 10 funcref)
    (func (export "grow") (result i32)
      (if (i32.ne (table.grow $a (ref.null func) (i32.const 49994)) (i32.const 1)) (then (return (i32.const 1))))
      (if (i32.ne (table.grow $b (ref.null func) (i32.const 49994)) (i32.const 1)) (then (return (i32.const 2))))
      (i32.and (table.grow $a (ref.null func) (i32.const 1)) (table.grow $b (ref.null func) (i32.const 1)))))`);
  const { bytes } = instrument(plain, { maxPages: 1 });
  const { instance } = await WebAssembly.instantiate(
    bytes as BufferSource,
  ) as unknown as WebAssembly.WebAssemblyInstantiatedSource;
  // Asks before it does what costs so much; whoever asks is let go on.
  attach(instance);
  assert.is((instance.exports["grow"] as () => number)(), -1);
});

/** Lets an instance go on whenever it asks. */
function attach(instance: WebAssembly.Instance): void {
  const yes = new WebAssembly.Instance(
    new WebAssembly.Module(wasm(`(module (func (export "f") (result i32) (i32.const 0)))`) as BufferSource),
  );
  (instance.exports["portreeve:tick"] as WebAssembly.Table).set(0, yes.exports["f"]);
}

/** Small modules that made compilers need up to gigabytes, by what they multiply with local variables or operands. */
const COMPILER_BOMBS: Readonly<Record<string, Uint8Array>> = {
  "blocks": functionOf(4_900, both(times(2_000, 0x02, EMPTY), times(2_000, 0x20, 0, 0x0d, 0, 0x0b))),
  "loops": functionOf(4_900, both(times(2_000, 0x03, EMPTY), times(2_000, 0x0b))),
  "loops in a row": functionOf(4_900, times(2_000, 0x03, EMPTY, 0x20, 0, 0x0d, 0, 0x0b)),
  "ifs": functionOf(4_900, both(times(2_000, 0x20, 0, 0x04, EMPTY), times(2_000, 0x0b))),
  "ifs with else": functionOf(
    4_900,
    times(2_000, 0x20, 0, 0x04, EMPTY, 0x41, 0, 0x21, 5, 0x05, 0x41, 1, 0x21, 5, 0x0b),
  ),
  "one br_table": functionOf(
    4_900,
    both(
      (out) => out.raw(0x02, EMPTY, 0x20, 0, 0x0e),
      (out) => out.u32(5_000),
      times(5_001, 0),
      (out) => out.u8(0x0b),
    ),
  ),
  "exception handlers": functionOf(
    4_900,
    times(500, 0x02, EMPTY, 0x1f, EMPTY, 1, 2, 0, 0x41, 0, 0x10, 0, 0x0b, 0x0b),
  ),
  "old exception handlers": functionOf(
    4_900,
    both(times(500, 0x06, EMPTY), times(500, 0x19, 0x41, 0, 0x10, 0, 0x0b)),
  ),
  "calls whose exceptions are caught": functionOf(
    4_900,
    both(
      (out) => out.raw(0x02, EMPTY, 0x1f, EMPTY, 1, 2, 0),
      times(2_000, 0x41, 0, 0x10, 0),
      (out) => out.raw(0x0b, 0x0b),
    ),
  ),
  "operands below blocks": functionOf(
    10,
    both(times(20_000, 0x20, 0), times(2_000, 0x02, EMPTY, 0x0c, 0, 0x0b), times(20_000, 0x1a)),
  ),
  "operands below loops": functionOf(
    10,
    both(times(5_000, 0x20, 0), times(2_000, 0x03, EMPTY, 0x20, 0, 0x0d, 0, 0x0b), times(5_000, 0x1a)),
  ),
  "operands below exception handlers": functionOf(
    10,
    both(
      times(5_000, 0x20, 0),
      times(500, 0x02, EMPTY, 0x1f, EMPTY, 1, 2, 0, 0x41, 0, 0x10, 0, 0x0b, 0x0b),
      times(5_000, 0x1a),
    ),
  ),
};

test("small modules that make a compiler need much memory are refused before it sees them", async () => {
  for (const [name, module] of Object.entries(COMPILER_BOMBS)) {
    assert.ok(
      WebAssembly.validate(module as BufferSource),
      `${name} is a valid module, so only the limit refuses it`,
    );
    try {
      await prepareModule(module, { memoryMib: 64 });
      assert.unreachable(`${name}: not refused`);
    } catch (error) {
      assert.instance(error, ModuleError, name);
      assert.match((error as Error).message, /compilers? need \d+ MiB by its .* the limit /, name);
    }
  }
  refused(
    functionOf(50_000, times(1_000, 0x02, EMPTY, 0x0b)),
    named("locals", 45_000),
    "the most locals that engines take",
  );
});

/** A function of the type `(i32) -> ()`, beside one that takes and gives `values` values, whose type is 1. */
const withValues = (values: number, code: Write): Uint8Array =>
  binary([
    [
      SECTION.type,
      both((out) => out.raw(2, 0x60, 1, I32, 0, 0x60), list(values, [I32]), list(values, [I32])),
    ],
    [SECTION.function, (out) => out.raw(2, 0, 1)],
    [
      SECTION.code,
      (out) => {
        const body = new Writer();
        body.u8(0);
        both(times(values, 0x20, 0), code, times(values, 0x1a))(body);
        body.u8(0x0b);
        const same = new Writer();
        same.u8(0);
        for (let value = 0; value < values; value++) {
          same.u8(0x20);
          same.u32(value);
        }
        same.u8(0x0b);
        out.u32(2);
        for (const written of [body, same]) {
          out.u32(written.length);
          out.append(written);
        }
      },
    ],
  ]);

// Measured on Bun, whose optimising compiler took 0.2 to 1.3 GiB for them when they were called often; each is of 70 KB or less.
const VALUE_BOMBS: Readonly<Record<string, Uint8Array>> = {
  "blocks with a result": functionOf(0, times(11_600, 0x02, I32, 0x41, 0, 0x0b, 0x1a)),
  "blocks that hand one value on": withValues(1, times(11_700, 0x02, 1, 0x0b)),
  "blocks that hand 8 values on": withValues(8, times(23_000, 0x02, 1, 0x0b)),
  "blocks that hand 16 values on": withValues(16, times(1_249, 0x02, 1, 0x0b)),
  "calls of 8 values": withValues(8, times(35_000, 0x10, 1)),
  "branches with 1,000 values": withValues(
    1_000,
    both((out) => out.raw(0x02, 1), times(8_700, 0x20, 0, 0x0d, 0), (out) => out.u8(0x0b)),
  ),
  "old handlers of 300 variables": functionOf(
    300,
    times(300, 0x06, EMPTY, 0x20, 0, 0x21, 1, 0x10, 0, 0x19, 0x0b),
  ),
};

test("values that blocks, branches, calls and handlers move are counted, too", () => {
  for (const [name, module] of Object.entries(VALUE_BOMBS)) {
    assert.ok(module.length < 75_000, `${name}: ${module.length} bytes`);
    refused(module, /compilers? need \d+ MiB by its .* the limit /, name);
  }
});

test("many loops or calls in one function are refused by what a compiler needs for them", () => {
  refused(
    functionOf(1, times(140_000, 0x03, EMPTY, 0x20, 0, 0x0d, 0, 0x0b)),
    /^function 0 makes a compiler need \d+ MiB by its loops, branches and calls, the limit is 160 MiB$/,
    "loops",
  );
});

test("a function that takes long to compile is refused: no deadline interrupts that", () => {
  const forms: Readonly<Record<string, Write>> = {
    "indirect calls": times(50_000, 0x41, 0, 0x11, 0, 0),
    throws: times(60_000, 0x20, 0, 0x04, EMPTY, 0x08, 0, 0x0b),
    "saturating truncations": times(60_000, 0x43, 0, 0, 0, 0, 0xfc, 4, 0x1a),
    "vector instructions": times(60_000, 0x20, 0, 0xfd, 0x0f, 0xfd, 0x62, 0xfd, 0xf8, 0x01, 0x1a),
    "data.drop": times(120_000, 0xfc, 9, 0),
  };
  for (const [name, code] of Object.entries(forms)) {
    refused(
      functionOf(1, code),
      /^function 0 makes a compiler work for \d\d ms by its calls, traps and conversions, the limit is 25 ms$/,
      name,
    );
  }
});

/** Every place that can claim a count: the claim is refused or runs into the section's end, at once. */
test("a claimed count of four billion neither loops nor allocates", () => {
  const MANY = [0xff, 0xff, 0xff, 0xff, 0x0f];
  const claims: Readonly<Record<string, Uint8Array>> = {
    ...Object.fromEntries(
      Object.entries(SECTION).map((
        [name, id],
      ) => [`section ${name}`, binary([[id, (out) => out.raw(...MANY)]])]),
    ),
    "section length": Uint8Array.of(...HEADER, 1, ...MANY),
    "parameters": binary([[SECTION.type, (out) => out.raw(1, 0x60, ...MANY)]]),
    "results": binary([[SECTION.type, (out) => out.raw(1, 0x60, 0, ...MANY)]]),
    "name": binary([[SECTION.export, (out) => out.raw(1, ...MANY)]]),
    "elements": binary([[SECTION.element, (out) => out.raw(1, 1, 0, ...MANY)]]),
    "data": binary([[SECTION.data, (out) => out.raw(1, 1, ...MANY)]]),
    "body": binary([[SECTION.code, (out) => out.raw(1, ...MANY)]]),
    "local groups": binary([[SECTION.code, (out) => out.raw(1, 6, ...MANY, 0x0b)]]),
    "locals": binary([[SECTION.code, (out) => out.raw(1, 8, 1, ...MANY, I32, 0x0b)]]),
    "br_table": binary([[SECTION.code, (out) => out.raw(1, 8, 0, 0x0e, ...MANY, 0x0b)]]),
    "select": binary([[SECTION.code, (out) => out.raw(1, 8, 0, 0x1c, ...MANY, 0x0b)]]),
    "clauses": binary([[SECTION.code, (out) => out.raw(1, 9, 0, 0x1f, EMPTY, ...MANY, 0x0b)]]),
  };
  for (const [name, module] of Object.entries(claims)) {
    const { user, system } = process.cpuUsage();
    try {
      instrument(module, { maxPages: 16 });
      // Sections without a count of their own, or of which only the length is read.
      assert.ok(
        ["section custom", "section start", "section dataCount"].includes(name),
        `${name}: not refused`,
      );
    } catch (error) {
      assert.instance(error, WasmFormatError, `${name}: ${(error as Error).message}`);
    }
    const after = process.cpuUsage();
    assert.ok(after.user - user + after.system - system < 500_000, `${name}: took long`);
  }
});

function wasmFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.name === "node_modules" || entry.name === "target") return [];
    return entry.isDirectory() ? wasmFiles(path) : path.endsWith(".wasm") ? [path] : [];
  });
}

test("all committed policies are valid after instrumenting, and their largest parts are below half of the limits", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const files = [join(root, "policies"), join(root, "tests/policies")].flatMap(wasmFiles);
  assert.ok(files.length > 30, `${files.length} files`);
  for (const file of files) {
    const module = new Uint8Array(readFileSync(file));
    const { bytes } = instrument(module, { maxPages: 65_536 });
    assert.ok(WebAssembly.validate(bytes as BufferSource), file);
    const { types, functionTypes, bodies, tables, globals, dataLengths } = readModule(module);
    const has: Partial<Record<keyof typeof MODULE_LIMITS, number>> = {
      moduleBytes: module.length,
      types: types.length,
      functions: functionTypes.length,
      tables: tables.length,
      globals,
      dataSegments: dataLengths.length,
      functionBytes: Math.max(0, ...bodies.map(({ start, end }) => end - start)),
      locals: Math.max(0, ...bodies.map(({ locals }) => locals)),
    };
    for (const [name, count] of Object.entries(has)) {
      assert.ok(count <= most(name as keyof typeof MODULE_LIMITS) / 2, `${file}: ${count} ${name}`);
    }
  }
});

test("a name is read from its own bytes only", () => {
  const reader = new Reader(Uint8Array.of(3, 97, 98), 0);
  assert.throws(() => reader.name(), /unexpected end of the module/);
});

test.run();
