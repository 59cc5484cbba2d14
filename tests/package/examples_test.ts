/** Every file of `examples/` runs as it stands, with the packed package installed beside it. */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BIN, consumer, MISSING_TOOLS, ROOT, run, write } from "./consumer.ts";

const onBun = "bun" in process.versions;
const ENV = {
  POLICY: join(ROOT, "policies/required-labels/policy.wasm"),
  SETTINGS: '{"required":["owner"]}',
  PORT: "0",
};
const pod = (labels: unknown) => ({ apiVersion: "v1", kind: "Pod", metadata: { name: "web", labels } });
const review = (labels: unknown) => ({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "u",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    operation: "CREATE",
    userInfo: {},
    object: pod(labels),
  },
});

let folder: string;
const examples = readdirSync(join(ROOT, "examples")).filter((name) => !name.endsWith(".md"));
const covered = new Set<string>();
test.before(() => {
  const files = examples.map((name) => [name, readFileSync(join(ROOT, "examples", name), "utf8")]);
  const links = MISSING_TOOLS === undefined ? ["express", "hono", "@hono/node-server", "fastify"] : [];
  folder = consumer(Object.fromEntries(files), { links });
});

/** Starts a server, asks it as an API server does, and ends it with SIGTERM; it must end in good order. */
async function checkServer(command: string, name: string): Promise<void> {
  covered.add(name);
  const child = spawn(command, [name], {
    cwd: folder,
    env: { PATH: process.env["PATH"]!, ...ENV },
    stdio: "pipe",
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  try {
    let output = "";
    let errors = "";
    child.stderr.on("data", (text) => errors += text);
    const port = await new Promise<string>((resolve, reject) => {
      child.stdout.on("data", (text) => {
        output += text;
        const found = /listening on (\d+)/.exec(output);
        if (found) resolve(found[1]!);
      });
      void ended.then((code) => reject(new Error(`${name} ended with ${code}: ${errors}`)));
    });
    const ask = async (body: string) => {
      const answer = await fetch(`http://localhost:${port}/validate`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      return {
        status: answer.status,
        body: await answer.json() as { response: Record<string, unknown>; message: string },
      };
    };
    const rejected = await ask(JSON.stringify(review({})));
    assert.is(rejected.status, 200);
    assert.is(rejected.body.response["uid"], "u");
    assert.is(rejected.body.response["allowed"], false);
    assert.is((await ask(JSON.stringify(review({ owner: "me" })))).body.response["allowed"], true);
    for (const wrong of ['{"request"', '{"request":{"uid":1}}', "[]"]) {
      const refused = await ask(wrong);
      assert.is(refused.status, 400, `${wrong}: ${JSON.stringify(refused.body)}`);
      assert.type(refused.body.message, "string");
    }
  } finally {
    child.kill("SIGTERM");
  }
  // Some end by the signal once nothing is left, some by themselves.
  assert.ok([0, null].includes(await ended));
}

const withTools = MISSING_TOOLS === undefined ? test : test.skip;
const hint = MISSING_TOOLS === undefined ? "" : ` (${MISSING_TOOLS})`;
for (const name of ["express.mjs", "hono.mjs", "fastify.mjs"]) {
  covered.add(name);
  withTools(`${name}${hint}`, () => checkServer(join(BIN, onBun ? "bun" : "node"), name));
}

covered.add("bun_server.ts");
(onBun ? test : test.skip)("bun_server.ts (on Bun)", () => checkServer(join(BIN, "bun"), "bun_server.ts"));

covered.add("check_manifests.mjs");
test("check_manifests.mjs reads YAML and JSON, and says what it did not check", () => {
  symlinkSync(join(ROOT, "node_modules/yaml"), join(folder, "node_modules/yaml"));
  const runtime = join(BIN, onBun ? "bun" : "node");
  const check = (files: Readonly<Record<string, string>>) => {
    rmSync(join(folder, "manifests"), { recursive: true, force: true });
    mkdirSync(join(folder, "manifests"));
    write(join(folder, "manifests"), files);
    const { status, stdout, stderr } = run(folder, runtime, ["check_manifests.mjs", "manifests"], ENV);
    assert.is(stderr, "");
    return [status, stdout] as const;
  };
  const good = JSON.stringify(pod({ owner: "me" }));
  const bad = JSON.stringify(pod({}));
  const told = 'Pod web: label "owner" is required';
  assert.equal(check({ "a.json": good, "deep/b.json": bad }), [
    1,
    `deep/b.json: ${told}\n2 checked, 1 rejected, 0 not readable\n`,
  ]);
  assert.equal(check({ "a.yaml": `${good}\n---\n${bad}\n---\n`, "b.yml": `kind: List\nitems: [${bad}]\n` }), [
    1,
    `a.yaml: ${told}\nb.yml: ${told}\n3 checked, 2 rejected, 0 not readable\n`,
  ]);
  assert.equal(
    check({ "a.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {labels: {owner: me}}\n", "b.txt": bad }),
    [
      0,
      "1 checked, 0 rejected, 0 not readable\n",
    ],
  );
  const nothing =
    "0 checked, 0 rejected, 0 not readable\nthere is no manifest (.yaml, .yml, .json) below manifests\n";
  assert.equal(check({}), [1, nothing]);
  assert.equal(check({ "values.yaml": "replicas: 1\n" }), [
    1,
    `values.yaml: skipped: no apiVersion and kind, so no manifest\n${nothing}`,
  ]);
  const [status, output] = check({ "a.json": good, "b.json": "{" });
  assert.is(status, 1);
  assert.match(output, /^b\.json: cannot be read: .*\n1 checked, 0 rejected, 1 not readable\n$/);
  const refused = run(folder, runtime, ["check_manifests.mjs", "manifests"], { ...ENV, SETTINGS: "{}" });
  assert.not(refused.status === 0);
  assert.match(refused.stderr, "the policy refuses its settings");
  assert.not(run(folder, runtime, ["check_manifests.mjs", "absent"], ENV).status === 0);
});

covered.add("policy.test.mjs");
(onBun ? test.skip : test)("policy.test.mjs (on Node)", () => {
  const { status, stdout } = run(folder, join(BIN, "node"), ["--test", "policy.test.mjs"], ENV);
  assert.is(status, 0, stdout);
  assert.match(stdout, /pass 3/);
});

covered.add("deno_script.ts");
(onBun ? test.skip : test)("deno_script.ts (on Deno)", async () => {
  const child = spawn(join(BIN, "deno"), [
    "run",
    "--no-check",
    "--allow-read",
    "--allow-env=POLICY,SETTINGS",
    "deno_script.ts",
  ], {
    cwd: folder,
    env: { PATH: process.env["PATH"]!, HOME: process.env["HOME"] ?? folder, NO_COLOR: "1", ...ENV },
  });
  let output = "";
  child.stdout.on("data", (text) => output += text);
  child.stderr.on("data", (text) => output += text);
  child.stdin.end(JSON.stringify(review({})));
  assert.is(await new Promise((resolve) => child.once("exit", resolve)), 0, output);
  assert.is(JSON.parse(output).response.allowed, false);
});

for (const name of ["playground.mjs", "playground.html"]) covered.add(name); // In browser_test.ts.

test("every example is run, and the list names every one", () => {
  assert.equal([...covered].sort(), [...examples].sort());
  const list = readFileSync(join(ROOT, "examples/README.md"), "utf8");
  for (const name of examples) assert.match(list, `(${name})`);
});

test.run();
