// ARCHITECTURE.md, "Rooms" and "Four floors": enforced on every import of the sources.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { breaches, floorOf, importsOf, roomOf, ROOMS } from "./floors.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
/** Besides what is not ours: a plug-in in AssemblyScript, whose imports have no ending. */
const SKIPPED = new Set([
  "node_modules",
  "dist",
  "npm",
  "npm-maps",
  "target",
  ".git",
  "vectors",
  "extism-assemblyscript",
]);

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return SKIPPED.has(entry.name) ? [] : sources(path);
    return entry.name.endsWith(".ts") ? [relative(root, path).replaceAll("\\", "/")] : [];
  });
}

const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
/** What is bundled is a development dependency like any other; `deps.ts` tells which those are. */
const shipped = new Set(importsOf(readFileSync(join(root, "deps.ts"), "utf8")));
const packages = { development: Object.keys(devDependencies).filter((name) => !shipped.has(name)) };

test("no import breaks the rules", () => {
  const files = sources(root);
  assert.ok(files.length > 100);
  for (const room of ["evaluator", "policy_server"]) {
    assert.ok(Object.hasOwn(ROOMS, room) && files.some((file) => roomOf(file) === room), room);
  }
  const found = files.flatMap((file) => breaches(file, readFileSync(join(root, file), "utf8"), packages));
  assert.is(found.join("\n"), "");
});

/** An import that must be found, and what is said of it; undefined where it is fine. */
const EXAMPLES: readonly (readonly [path: string, source: string, why: RegExp | undefined])[] = [
  ["evaluator/render/a.ts", `import { readFileSync } from "node:fs";`, /the floor render is pure/],
  ["evaluator/types/a.ts", `import type { Buffer } from "node:buffer";`, /the floor types is pure/],
  ["evaluator/types.ts", `import process from "node:process";`, /the floor types is pure/],
  ["evaluator/apply/a.ts", `import { readFileSync } from "node:fs";`, undefined],
  ["evaluator/render/a.ts", `import { Pool } from "../apply/pool.ts";`, /a floor above render/],
  ["evaluator/render/a.ts", `import type { Pool } from "../apply/pool.ts";`, /a floor above render/],
  ["evaluator/types/a.ts", `export * from "../render/b.ts";`, /a floor above types/],
  ["evaluator/apply/a.ts", `import { serve } from "../serve/b.ts";`, /a floor above apply/],
  ["evaluator/apply/a.ts", `const { serve } = await import("../serve/b.ts");`, /a floor above apply/],
  [
    "evaluator/render/a.ts",
    `const url = new URL("../apply/worker.ts", import.meta.url);`,
    /a floor above render/,
  ],
  ["evaluator/serve/a.ts", `import { main } from "../main.ts";`, /a floor above serve/],
  ["evaluator/apply/a.ts", `import { wapc } from "../runtimes/wapc.ts";`, undefined],
  ["evaluator/runtimes/wapc.ts", `import { Pool } from "../apply/pool.ts";`, undefined],
  ["evaluator/render/a.ts", `import { wapc } from "../runtimes/wapc.ts";`, /a floor above render/],
  ["evaluator/main.ts", `import { a } from "./serve/a.ts";\nimport fs from "node:fs";`, undefined],
  [
    "evaluator/apply/a.ts",
    `import { Log } from "../../policy_server/apply/log.ts";`,
    /may not import policy_server/,
  ],
  [
    "controller/apply/a.ts",
    `import { Pool } from "../../evaluator/apply/pool.ts";`,
    /may not import evaluator/,
  ],
  ["policy_server/apply/a.ts", `import { Pool } from "../../evaluator/apply/pool.ts";`, undefined],
  [
    "policy_server/render/a.ts",
    `import { Pool } from "../../evaluator/apply/pool.ts";`,
    /a floor above render/,
  ],
  ["evaluator/types/a.ts", `import type { Policy } from "../../crd/types/policy.ts";`, undefined],
  ["evaluator/apply/a.ts", `import { render } from "../../crd/render/crd.ts";`, /may not import crd/],
  ["artifact/apply/a.ts", `import type { Policy } from "../../crd/types/policy.ts";`, /may not import crd/],
  ["crd/types/a.ts", `import { help } from "../../tests/floors.ts";`, /outside of the rooms/],
  ["evaluator/apply/a.ts", `import { parse } from "yaml";`, /packages are named in deps.ts only/],
  ["evaluator/apply/a.ts", `import "reflect-metadata";`, /packages are named in deps.ts only/],
  ["evaluator/apply/a.ts", `const yaml = await import${"("}"yaml");`, /packages are named in deps.ts only/],
  ["evaluator/apply/a.ts", `import { test } from "uvu";`, /packages are named in deps.ts only/],
  ["evaluator/apply/a.ts", `import {\n  parse,\n  stringify,\n} from "../../deps.ts";`, undefined],
  ["deps.ts", `export { parse } from "yaml";`, undefined],
  ["tests/a_test.ts", `import * as assert from "uvu/assert";`, undefined],
  ["tests/a_test.ts", `import { parse } from "yaml";`, /packages are named in deps.ts only/],
  ["evaluator/apply/a.ts", `import { b } from "./b";`, /with its ending/],
  ["evaluator/apply/a.ts", `import { b } from "./b.mjs";`, /with its ending/],
  ["tests/a_test.ts", `import { b } from "./b.mjs";`, undefined],
  ["tests/a_test.ts", `import { loadPolicy } from "portreeve/evaluator";`, undefined],
  ["evaluator/apply/a.ts", `import { loadPolicy } from "portreeve";`, /packages are named in deps.ts only/],
  ["tests/a_test.ts", `import { b } from "portreeve-other";`, /packages are named in deps.ts only/],
  ["admission/apply/a.ts", `import { Pool } from "../../evaluator/apply/pool.ts";`, undefined],
  [
    "admission/apply/a.ts",
    `import { Log } from "../../policy_server/apply/log.ts";`,
    /may not import policy_server/,
  ],
  ["evaluator/apply/a.ts", `import { b } from "../../admission/types/b.ts";`, /may not import admission/],
  [
    "evaluator/render/a.ts",
    `/** Like \`import fs from "node:fs"\`. */\n// import fs from "node:fs";`,
    undefined,
  ],
];

test("the check finds what it has to find, and nothing else", () => {
  for (const [path, source, why] of EXAMPLES) {
    const found = breaches(path, source, { development: ["uvu"] });
    if (why === undefined) assert.equal(found, [], `${path}: ${source}`);
    else {
      assert.is(found.length, 1, `${path}: ${source}`);
      assert.match(found[0]!, why);
    }
  }
});

test("imports are found in every form", () => {
  const source = `import a from "./a.ts";
import {
  b,
  type B,
} from './b.ts';
import * as c from "./c.ts";
export type { D } from "./d.ts";
export * from "./e.ts";
import "./f.ts";
const g = () => import("./g.ts");
type H = typeof import("./h.ts");
`;
  assert.equal([...importsOf(source)].sort(), [..."abcdefgh"].map((name) => `./${name}.ts`));
  assert.equal(["a/types/b.ts", "a/render/b.ts", "a/apply/b/c.ts", "a/serve.ts", "a/main.ts"].map(floorOf), [
    0,
    1,
    2,
    3,
    4,
  ]);
});

test.run();
