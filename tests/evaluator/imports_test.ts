// What a module may import: exactly what is on the list of its execution mode. Names come from the runtime itself, by reflection:
// whatever an ordinary object, a function or the global object answers to is tried as namespace and as name.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RUNTIMES } from "../../evaluator/apply/engine.ts";
import { ModuleError, prepareModule } from "../../evaluator/apply/prepare.ts";
import { IMPORTS } from "../../evaluator/types/imports.ts";
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import { loadGuest } from "../load_guest.ts";
import { evaluation } from "./evaluation.ts";
import { wasm } from "./wasm_text.ts";
import { importing, listed, type WantedImport } from "./import_modules.ts";

const MODES = Object.keys(RUNTIMES) as readonly ExecutionMode[];

/** Every name that the value, or a prototype of it, has as an own one. */
function namesOf(value: object): readonly string[] {
  const names = new Set<string>();
  for (let at: object | null = value; at !== null; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  return [...names];
}

/** What an import could be looked up on by mistake: objects, functions, and whatever hangs on them. */
const INHERITED = [
  ...new Set([
    ...namesOf({}),
    ...namesOf(() => {}),
    ...namesOf(Object),
    ...namesOf(Function),
    ...namesOf([]),
    ...namesOf(new Map()),
    ...namesOf(Promise),
    ...namesOf(Reflect),
    ...namesOf(WebAssembly),
    ...namesOf(globalThis),
  ]),
];

const FUNCTION_LIKE = ["->", "externref -> externref", "i32 -> i32"];

async function refusal(mode: ExecutionMode, wanted: readonly WantedImport[]): Promise<string> {
  try {
    await prepareModule(importing(mode, wanted), { memoryMib: 8 });
  } catch (error) {
    assert.instance(error, ModuleError);
    return (error as Error).message;
  }
  return "";
}

test("the names that are tried are those that the runtime has", () => {
  assert.ok(INHERITED.length > 200, `${INHERITED.length} names`);
  for (const name of ["constructor", "__proto__", "groupBy", "call", "eval", "process"]) {
    assert.ok(INHERITED.includes(name), name);
  }
});

for (const mode of MODES) {
  test(`${mode}: what objects, functions and the global object inherit is refused, as namespace and as name`, async () => {
    const known = [...IMPORTS[mode].functions.keys()];
    for (const [index, inherited] of INHERITED.entries()) {
      const signature = FUNCTION_LIKE[index % FUNCTION_LIKE.length]!;
      const places: readonly WantedImport[] = [
        { namespace: inherited, name: inherited, signature },
        { namespace: inherited, name: "constructor", signature },
        ...["constructor", "__proto__", "", ...known].map((namespace) => ({
          namespace,
          name: inherited,
          signature,
        })),
      ];
      // Each by itself would take long; one that is let pass would be missing among those that are named.
      for (let at = 0; at < places.length; at += 10) {
        const some = places.slice(at, at + 10);
        const message = await refusal(mode, some);
        for (const { namespace, name } of some) {
          assert.ok(message.includes(`function ${namespace}.${name}`), `${namespace}.${name}: ${message}`);
        }
      }
    }
  });

  test(`${mode}: tables, globals, tags and memories are refused under every name`, async () => {
    const places = ["constructor", "__proto__", "", "env", ...IMPORTS[mode].functions.keys()];
    for (const namespace of places) {
      for (const name of ["memory", "prototype", "constructor", "", "__indirect_function_table", "JSTag"]) {
        for (const kind of ["table", "memory", "global", "tag"] as const) {
          const { memory } = IMPORTS[mode];
          if (kind === "memory" && memory?.namespace === namespace && memory.name === name) continue;
          const message = await refusal(mode, [{ namespace, name, kind }]);
          assert.ok(
            message.includes(`${kind} ${namespace}.${name}`) || /tag|exception/i.test(message),
            `${kind} ${namespace}.${name}: ${message}`,
          );
        }
      }
    }
  });

  test(`${mode}: what is on the list is refused with any other signature or kind`, async () => {
    for (const entry of listed(mode)) {
      const { namespace, name, signature } = entry;
      const others: readonly Partial<WantedImport>[] = signature === undefined
        ? [{ kind: "function" }, { kind: "global" }, { kind: "table" }]
        : [
          ...["externref -> externref", "funcref ->", "-> externref", "f64 -> f64", "i64 -> i64 i64"]
            .map((other) => ({ signature: other })),
          { signature: `${signature} i32` },
          { signature: `i32 ${signature}` },
          { signature: `externref ${signature}` },
          { kind: "global" },
          { kind: "memory" },
          { kind: "table" },
        ];
      for (const other of others) {
        const message = await refusal(mode, [{ namespace, name, ...other }]);
        assert.ok(
          message.includes(`${other.kind ?? "function"} ${namespace}.${name}`),
          `${namespace}.${name} ${JSON.stringify(other)}: ${message}`,
        );
      }
    }
  });

  test(`${mode}: what is on the list is linked, all of it and twice over`, () =>
    evaluation(async ({ load }) => {
      const entries = listed(mode);
      const functions = entries.filter(({ kind }) => kind === undefined);
      const policy = await load("all", { wasm: importing(mode, [...entries, ...functions]) });
      const outcome = await policy.outcome("{}");
      // It exports nothing, which is found once it is linked.
      const said = outcome.kind === "error" ? outcome.message : JSON.stringify(outcome);
      assert.match(said, /export/);
      assert.not.match(said, /import/);
    }));
}

test("a refusal names the first imports only, long names cut, and counts the others", async () => {
  const many = Array.from(
    { length: 500 },
    (_, index) => ({ namespace: "x".repeat(4000), name: `n${index}` }),
  );
  const message = await refusal("wasi", many);
  assert.ok(message.length < 3000, `${message.length} characters`);
  assert.match(message, /n0, /);
  assert.match(message, / and 490 more \(execution mode wasi\)$/);
  const more = Array.from({ length: 1001 }, () => ({ namespace: "host", name: "call" }));
  assert.match(await refusal("wasi", more), /the module has 1001 imports, the limit is 1000$/);
});

test("no reference crosses the border by an export either", async () => {
  const refuse = async (text: string) => {
    try {
      await prepareModule(wasm(text), { memoryMib: 8 });
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  const expected = "the module exports functions that take or give references: ";
  for (
    const type of ["(param externref)", "(param i32 funcref)", "(result externref)", "(result i32 funcref)"]
  ) {
    const body = type.includes("result") ? "unreachable" : "";
    const text =
      `(module (func $f ${type} ${body}) (func $g) (export "g" (func $g)) (export "__guest_call" (func $f)))`;
    assert.match(await refuse(text), `${expected}__guest_call`, type);
    assert.is(await refuse(text.replace('(export "__guest_call" (func $f))', "")), "", type);
  }
  const many = Array.from({ length: 20 }, (_, index) => `(export "e${index}" (func $f))`).join(" ");
  assert.match(await refuse(`(module (func $f (param externref)) ${many})`), /e9 and 10 more$/);
});

test("a function of one mode is refused in another", async () => {
  for (const mode of MODES) {
    const own = listed(mode);
    for (const other of MODES) {
      for (const entry of listed(other)) {
        const shared = own.some(({ namespace, name, kind, signature }) =>
          namespace === entry.namespace && name === entry.name && kind === entry.kind &&
          signature === entry.signature
        );
        if (shared) continue;
        const message = await refusal(mode, [entry]);
        assert.ok(message.includes(`${entry.namespace}.${entry.name}`), `${mode}: ${entry.name}: ${message}`);
      }
    }
  }
});

test("mod.ts refuses to load it, with and without threads", async () => {
  const escapes: readonly WantedImport[] = [
    { namespace: "constructor", name: "constructor", signature: "externref externref -> externref" },
    { namespace: "constructor", name: "groupBy", signature: "externref externref -> externref" },
    { namespace: "toString", name: "constructor", signature: "-> externref" },
  ];
  for (const mode of MODES) {
    for (const escape of escapes) {
      for (const threads of [0, 1]) {
        let message = "";
        try {
          await using policy = await loadGuest(importing(mode, [escape]), { threads });
          message = JSON.stringify(await policy.validateSettings());
        } catch (error) {
          message = (error as Error).message;
        }
        assert.match(message, "the module imports what no host provides: function ");
      }
    }
  }
});

test.run();
