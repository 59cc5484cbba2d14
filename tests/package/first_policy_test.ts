/** A policy's first five commands, as `reeve new` prints them: by a package that no registry has, with a real npm. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blocksOf } from "../docs/_page.ts";
import { BIN, copyCheckout, ROOT } from "./consumer.ts";
import { type NpmRegistry, startNpmRegistry } from "./npm_registry.ts";

const BUN = "bun" in process.versions;

let home: string;
let checkout: string;
let registry: NpmRegistry;
test.before(async () => {
  home = mkdtempSync(join(tmpdir(), "portreeve-first-policy-"));
  for (const name of ["packed", "bin", "work"]) mkdirSync(join(home, name));
  checkout = copyCheckout(join(home, "check out"));
  for (const name of ["node", "bun"]) symlinkSync(join(BIN, name), join(home, "bin", name));
  registry = await startNpmRegistry(join(home, "packed"));
});
test.after(async () => {
  await registry.stop();
  rmSync(home, { recursive: true, force: true });
});

/** What somebody types into a shell. Resolves to what it printed; it must succeed. */
function type(command: string, path: readonly string[] = [], cwd = join(home, "work")): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", command], {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: [...path, join(home, "bin"), process.env["PATH"]].join(":"),
        HOME: home,
        NO_COLOR: "1",
        npm_config_registry: registry.url,
        npm_config_audit: "false",
        npm_config_prefix: join(home, "global"),
      },
    });
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (piece: string) => void (printed += piece));
    }
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(printed);
      else reject(new Error(`${command} ended with ${code}:\n${printed}`));
    });
  });
}

/** The commands behind `next:`, and what package.json says of this package. */
function printed(text: string, folder: string): readonly [next: string, dependency: string] {
  const { devDependencies } = JSON.parse(
    readFileSync(join(home, "work", folder, "package.json"), "utf8"),
  );
  return [/^next: (.*)$/m.exec(text)![1]!, devDependencies.portreeve];
}

/** On Bun, the commands of npm that run this package are Bun's; npm itself is a program of Node's. */
const onRuntime = (next: string) =>
  BUN
    ? next.replace("npm run build", "bun --bun run build").replace(
      "npm test",
      "bun test && bun --bun run reeve test",
    )
    : next;

const MADE = /policy\.wasm: \d+ bytes[^]*3 passed, 0 failed/;

test("with the package that README.md has packed and installed, from an empty folder to a tested module", async () => {
  const blocks = blocksOf(readFileSync(join(ROOT, "README.md"), "utf8"));
  const get = blocks.find(({ text }) => text.includes("npm pack"))!.text;
  // The copy has its packages.
  await type(get.replace("npm ci && ", ""), [], checkout);
  const bin = join(home, "global/bin");
  const [next, dependency] = printed(await type("reeve new 'my policies/first'", [bin]), "my policies/first");
  assert.is(dependency, `file:${join(home, "global/lib/node_modules/portreeve")}`);
  assert.is(next, "cd 'my policies/first' && npm install && npm run build && npm test");
  assert.match(await type(onRuntime(next), [bin]), MADE);
});

test("in a checkout, the package is packed into the policy's folder", async () => {
  const reeve = `${BUN ? "bun" : "node"} '${join(checkout, "cli/main.ts")}'`;
  const [next, dependency] = printed(await type(`${reeve} new second`), "second");
  const { version } = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8"));
  assert.is(dependency, `file:portreeve-${version}.tgz`);
  assert.is(
    next,
    `cd second && npm pack --silent '${checkout}' && npm install && npm run build && npm test`,
  );
  assert.match(await type(onRuntime(next)), MADE);
});

test("a published package is named by its version", async () => {
  const own = join(home, "global/lib/node_modules/portreeve");
  writeFileSync(join(own, "npm/published"), "");
  const { version } = JSON.parse(readFileSync(join(own, "package.json"), "utf8"));
  const [, dependency] = printed(await type("reeve new third", [join(home, "global/bin")]), "third");
  assert.is(dependency, `^${version}`);
  // So it is without a package around it, as in an image, which says what to do where no registry has it.
  const program = join(home, "alone");
  await type(`mkdir '${program}' && cp -R '${join(own, "npm")}/.' '${program}'`);
  const said = await type(`node '${program}/reeve.js' new fourth`);
  assert.is(printed(said, "fourth")[1], `^${version}`);
  assert.match(said, /^note: package\.json names portreeve \^[^]*pack it in a checkout with npm pack/m);
});

test("no registry was asked for this package", () => {
  assert.ok(registry.asked.has("valibot"));
  assert.not.ok(registry.asked.has("portreeve"));
});

test.run();
