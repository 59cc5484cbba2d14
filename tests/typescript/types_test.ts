// The SDK's types: what an author may write, and what the compiler refuses.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkTypes } from "../../typescript/apply/check_types.ts";
import { inFolder } from "./building.ts";

const SDK =
  'import { accept, type AdmissionRequest, containersOf, definePolicy, mutate, type Pod, podSpecOf, reject } from "portreeve/policy";\n' +
  'import * as v from "valibot";\n' +
  "void [accept, containersOf, definePolicy, mutate, podSpecOf, reject, v]; type Use = [AdmissionRequest, Pod]; void (0 as never as Use);\n";

/** As packages of Kubernetes' types have it. */
const DEPLOYMENT = `interface Deployment {
  apiVersion?: "apps/v1"; kind?: "Deployment";
  metadata?: { name?: string; labels?: { [name: string]: string } };
  spec?: { replicas?: number };
}
`;

/** A source, and what the compiler says of it; undefined for nothing. */
const SOURCES: readonly (readonly [what: string, source: string, said: RegExp | undefined])[] = [
  ["no settings", "export default definePolicy({ validate: () => accept() });", undefined],
  [
    "settings by a schema, with their types",
    `export default definePolicy({
      settings: v.object({ a: v.string(), b: v.optional(v.number(), 1) }),
      validateSettings: ({ a }) => a.length > 3 ? "too long" : undefined,
      validate: (_request, { settings: { a, b } }) => reject(a.toUpperCase(), { code: b.valueOf() }),
    });`,
    undefined,
  ],
  [
    "an object of another package's types",
    `${DEPLOYMENT}export default definePolicy({
      validate(request: AdmissionRequest<Deployment>) {
        const replicas: number | undefined = request.object?.spec?.replicas;
        for (const { image } of containersOf(podSpecOf(request.object))) if (image === "a") return reject("a");
        return replicas === 1 ? accept() : mutate(request.object);
      },
    });`,
    undefined,
  ],
  [
    "such an object, and settings",
    `export default definePolicy({
      settings: v.object({ a: v.string() }),
      validate: (request: AdmissionRequest<Pod>, { settings: { a } }) => reject(a + request.object?.spec?.hostNetwork),
    });`,
    undefined,
  ],
  [
    "its console",
    'console.warn("a");\nexport default definePolicy({ validate: () => accept() });',
    undefined,
  ],
  [
    "a setting that is not there",
    "export default definePolicy({ settings: v.object({}), validate: (_, { settings }) => reject(settings.a) });",
    /TS2339/,
  ],
  [
    "a code that is no number",
    'export default definePolicy({ validate: () => reject("a", { code: "b" }) });',
    /TS2322/,
  ],
  ["an answer that is none", "export default definePolicy({ validate: () => true });", /TS2322/],
  ["a promise", "export default definePolicy({ validate: async () => accept() });", /TS2741/],
  ["nothing", "export default definePolicy({ validate: () => {} });", /TS2322/],
  ["no validate", "export default definePolicy({});", /TS2345|TS2741/],
  [
    "fetch",
    'export default definePolicy({ validate: () => (fetch("a"), accept()) });',
    /TS2304: Cannot find name 'fetch'/,
  ],
  ["Node", "export default definePolicy({ validate: () => reject(process.version) });", /TS2591|TS2580/],
];

test("the compiler takes what is right, and refuses what is wrong, in the author's own file and line", async () => {
  for (const [what, source, said] of SOURCES) {
    await inFolder(async (folder) => {
      const file = join(folder, "policy.ts");
      writeFileSync(file, SDK + source);
      const outcome = await checkTypes(file, new AbortController().signal).catch((error: Error) => error);
      if (said === undefined) return assert.is(outcome, true, `${what}: ${outcome}`);
      assert.instance(outcome, Error, what);
      assert.match((outcome as Error).message, said, what);
      assert.match(
        (outcome as Error).message,
        /^policy\.ts has errors in its types:\npolicy\.ts:\d+:\d+: TS/,
      );
    });
  }
});

test("the folder's own tsconfig.json decides, where there is one", async () => {
  await inFolder(async (folder) => {
    const file = join(folder, "policy.ts");
    writeFileSync(file, "export const a: string = null;\n");
    writeFileSync(
      join(folder, "tsconfig.json"),
      '{ "compilerOptions": { "strict": false, "noEmit": true } }',
    );
    assert.is(await checkTypes(file, new AbortController().signal), true);
  });
});

test("but what only the author's tests have a policy has not", async () => {
  await inFolder(async (folder) => {
    const config = {
      compilerOptions: { strict: true, noEmit: true, module: "preserve", types: ["node"], composite: true },
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    writeFileSync(join(folder, "own.d.ts"), "declare const OWN: string;\n");
    writeFileSync(join(folder, "imported.ts"), "export const a = OWN.length;\n");
    writeFileSync(
      join(folder, "policy.test.ts"),
      'import "node:test";\nsetTimeout(() => {}, Number("a" as never));\n',
    );
    const file = join(folder, "policy.ts");
    const check = (source: string) => {
      writeFileSync(file, `import { a } from "./imported";\nconsole.log(a);\n${source}\n`);
      return checkTypes(file, new AbortController().signal).catch(({ message }: Error) => message);
    };
    assert.is(await check("export {};"), true);
    for (const name of ["fetch", "setTimeout", "process", "document", "Buffer", "URL", "require"]) {
      assert.match(
        String(await check(`${name};`)),
        new RegExp(`policy\\.ts:3:1: TS\\d+: Cannot find name '${name}'`),
      );
    }
  });
});

test.run();
