// What users get is the bundle: what it loads when it is needed has to be in it, and it answers to both of its names.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { REGISTRY_BINARY, REGISTRY_MISSING, startRegistry } from "../artifact/_registry.ts";
import { inPlace, POLICY, type TestPlace } from "./place.ts";
import { bundledProgram, type Ended, execute, type Program } from "./program.ts";
import { signImage, signingKey } from "./signing.ts";

let program: Program;
test.before(() => {
  program = bundledProgram();
});
test.after(() => program?.remove());

/** Runs a command line with the bundle, which has to succeed. */
function runner({ cwd, home }: TestPlace): (line: string) => Promise<Ended> {
  return async (line) => {
    const [name = "", ...words] = line.split(" ");
    const ended = await execute(join(program.folder, name), words, {
      cwd,
      env: { PATH: program.path, HOME: home },
    });
    assert.is(ended.exit, 0, `${line}: ${ended.stderr}`);
    return ended;
  };
}

test("it is called kwctl or reeve by the link that led to it", () =>
  inPlace(async (place) => {
    const run = runner(place);
    assert.match((await run("kwctl --version")).stdout, /^kwctl 1\.36\./);
    assert.match((await run("reeve -V")).stdout, /^reeve 1\.36\./);
  }));

const withRegistry = (REGISTRY_BINARY === undefined ? test.skip : test) as typeof test;

withRegistry(
  `registries, signatures and archives are in the bundle${
    REGISTRY_BINARY === undefined ? ` (${REGISTRY_MISSING})` : ""
  }`,
  () =>
    inPlace(async (place) => {
      const registry = await startRegistry();
      try {
        const run = runner(place);
        const { home, file, inStore } = place;
        const key = signingKey();
        mkdirSync(join(home, ".config/kubewarden"), { recursive: true });
        writeFileSync(
          join(home, ".config/kubewarden/sources.yaml"),
          JSON.stringify({ insecure_sources: [registry.host] }),
        );
        file("policy.wasm", readFileSync(POLICY));
        file("key.pub", key.pem);
        const uri = `registry://${registry.host}/tests/bundle:v1`;
        const pushed = await run(`kwctl push policy.wasm ${uri}`);
        const digest = /sha256:[0-9a-f]{64}/.exec(pushed.stdout)![0];
        await signImage(registry.host, "tests/bundle", digest, [key]);
        assert.is((await run(`reeve digest ${uri}`)).stdout, `${uri}@${digest}\n`);
        await run(`reeve pull -k key.pub ${uri}`);
        const stored = inStore();
        assert.is(stored.length, 1);
        await run(`reeve save -o saved.tar.gz ${uri}`);
        await run(`reeve rm ${uri}`);
        assert.equal(inStore(), []);
        await run("reeve load --input saved.tar.gz");
        assert.equal(inStore(), stored);
        assert.match((await run(`reeve inspect ${uri}`)).stdout, /title: +pod-privileged/);
      } finally {
        await registry.stop();
      }
    }),
);

test.run();
