/**
 * Memories and tables with addresses of 64 bits are refused by us, in one text, before a runtime sees them: Node 26
 * takes both and Bun 1.4.5 neither, so that what a guest may do would depend on the runtime. The flags of limits are those of the
 * binary format of WebAssembly 3.0 ("limits"): 0x01 a maximum, 0x02 shared, 0x04 addresses of 64 bits; 0x08 is the proposal for custom page sizes.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadGuest } from "../load_guest.ts";
import { inPlace } from "../cli/place.ts";
import { failing } from "../policy_server/server_process.ts";
import { metadataOf } from "./stateful_guests.ts";
import { withMetadata } from "./wasm_text.ts";

const folder = mkdtempSync(join(tmpdir(), "wide-addresses-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const section = (id: number, ...content: number[]) => [id, content.length, ...content];
const FUNCREF = 0x70;
const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
const memory = (...limits: number[]) => section(5, 1, ...limits);
const table = (...limits: number[]) => section(4, 1, FUNCREF, ...limits);
const importing = (kind: number, ...type: number[]) =>
  section(2, 1, ...name("env"), ...name("x"), kind, ...type);
/** 2^33 as LEB128: more than an address of 32 bits can say. */
const HUGE = [0x80, 0x80, 0x80, 0x80, 0x20];

const MEMORY = "error when building wasm module: 64-bit memories are not supported";
const TABLE = "error when building wasm module: shared or 64-bit tables are not supported";

const ROWS: readonly (readonly [what: string, module: readonly number[], message: string])[] = [
  ["a memory", memory(0x04, 1), MEMORY],
  ["a memory with a maximum", memory(0x05, 1, 2), MEMORY],
  ["a memory of 2^33 pages", memory(0x04, ...HUGE), MEMORY],
  ["a memory with a maximum of 2^33 pages", memory(0x05, 1, ...HUGE), MEMORY],
  ["an imported memory", importing(2, 0x04, 1), MEMORY],
  ["an imported memory with a maximum", importing(2, 0x05, 1, 2), MEMORY],
  ["a memory with pages of another size", memory(0x0c, 1, 0), MEMORY],
  ["a table", table(0x04, 1), TABLE],
  ["a table with a maximum", table(0x05, 1, 2), TABLE],
  ["a table of 2^33 elements", table(0x04, ...HUGE), TABLE],
  ["a shared table", table(0x03, 1, 2), TABLE],
  ["an imported table", importing(1, FUNCREF, 0x04, 1), TABLE],
  ["an imported table with a maximum", importing(1, FUNCREF, 0x05, 1, 2), TABLE],
  // 0x40 0x00 says that an expression for its elements follows: `ref.null func`.
  ["a table with an initial value", section(4, 1, 0x40, 0x00, FUNCREF, 0x04, 1, 0xd0, 0x70, 0x0b), TABLE],
  ["a second table", section(4, 2, FUNCREF, 0x00, 1, FUNCREF, 0x05, 1, 2), TABLE],
  [
    "a table of references of a known type",
    section(4, 1, 0x63, 0x70, 0x04, 1),
    TABLE,
  ],
];

const policyOf = (module: readonly number[]) =>
  withMetadata(
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...module),
    metadataOf("kubewarden-wapc"),
  );

test("the library", async () => {
  for (const [what, module, message] of ROWS) {
    for (const threads of [0, 1]) {
      try {
        await using _ = await loadGuest(policyOf(module), { threads });
        assert.unreachable(what);
      } catch (error) {
        assert.is((error as Error).message, message, what);
      }
    }
  }
});

test("reeve: what is run, and what is annotated", () =>
  inPlace(async ({ reeve, file }) => {
    file("pod.yml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n");
    file(
      "metadata.yml",
      `rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]\nmutating: false\n`,
    );
    for (const [what, module, message] of ROWS) {
      file("wide.wasm", policyOf(module));
      const ran = await reeve("run", "wide.wasm", "-r", "pod.yml");
      assert.equal([ran.exit, ran.stdout], [1, ""], what);
      assert.ok(ran.stderr.includes(message), `${what}: ${ran.stderr}`);
      const annotated = await reeve("annotate", "-m", "metadata.yml", "-o", "out.wasm", "wide.wasm");
      assert.is(annotated.exit, 1, what);
      assert.ok(annotated.stderr.includes(message), `${what}: ${annotated.stderr}`);
    }
  }));

test("the policy server", () =>
  failing({
    policies: Object.fromEntries(ROWS.map(([, module], index) => {
      const file = join(folder, `wide-${index}.wasm`);
      writeFileSync(file, policyOf(module));
      return [`wide-${index}`, { module: pathToFileURL(file).href }];
    })),
  }, ({ code, stdout, stderr }) => {
    assert.is(code, 1);
    for (const [index, [what, , message]] of ROWS.entries()) {
      assert.ok(`${stdout}${stderr}`.includes(`wide-${index}: ${message}`), `${what}: ${stderr}`);
    }
  }));

test.run();
