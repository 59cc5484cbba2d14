// Issue 4, "Bad input": modules of 90 MB are served, beside others; larger ones than allowed are refused with both sizes.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { withCustomSection } from "../../evaluator/render/custom_section.ts";
import { ask, reviewOf } from "./requests.ts";
import { failing, moduleUrl, serving } from "./server_process.ts";

const BYTES = 90_000_000;
const folder = mkdtempSync(join(tmpdir(), "large-modules-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** A committed module, brought to {@link BYTES} by a section that carries nothing. */
function padded(path: string): string {
  const module = new Uint8Array(readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url))));
  const file = join(folder, `${path.replaceAll("/", "-")}`);
  writeFileSync(file, withCustomSection(module, "padding", new Uint8Array(BYTES - module.length)));
  return pathToFileURL(file).href;
}

test("policies of 90 MB answer like small ones, in every way to build one", () =>
  serving({
    policies: {
      rust: { module: padded("policies/pod-privileged/policy.wasm") },
      go: {
        module: padded("tests/policies/wasi-go/policy.wasm"),
        settings: { forbiddenAnnotations: ["no"] },
      },
      rego: { module: padded("tests/policies/gatekeeper-load-balancer/policy.wasm") },
      small: { module: moduleUrl("policies/pod-privileged/policy.wasm") },
    },
    flags: ["--workers", "1", "--policy-timeout", "10"],
  }, async (server) => {
    const judge = async (policy: string, annotations: Readonly<Record<string, string>>, spec: unknown) => {
      const object = { apiVersion: "v1", kind: "Pod", metadata: { name: "a", annotations }, spec };
      const answer = await ask(server, { path: `/validate/${policy}`, body: reviewOf({}, { object }) });
      assert.is(answer.status, 200, answer.body);
      const { allowed, status } = JSON.parse(answer.body).response;
      return [allowed, status?.message];
    };
    const pod = (privileged: boolean) => ({
      containers: [{ name: "a", image: "a", securityContext: { privileged } }],
    });
    for (const policy of ["rust", "small"]) {
      assert.equal(await judge(policy, {}, pod(false)), [true, undefined]);
      assert.equal(await judge(policy, {}, pod(true)), [false, "Privileged container is not allowed"]);
    }
    assert.equal(await judge("go", {}, pod(false)), [true, undefined]);
    assert.equal(await judge("go", { no: "x" }, pod(false)), [false, 'annotation "no" is forbidden']);
    assert.equal(await judge("rego", {}, pod(false)), [true, undefined]);
  }));

test("a module that is too large, or large and no module, is refused", async () => {
  const sparse = (name: string, bytes: number) => {
    const path = join(folder, name);
    writeFileSync(path, new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    truncateSync(path, bytes);
    return { module: pathToFileURL(path).href };
  };
  await failing({ policies: { huge: sparse("huge.wasm", 300 << 20) } }, ({ code, stderr }) => {
    assert.is(code, 1);
    assert.match(stderr, /the module has 314572800 bytes, the limit is 268435456/);
  });
  await failing({ policies: { empty: sparse("empty.wasm", BYTES) } }, ({ code, stderr }) => {
    assert.is(code, 1);
    assert.match(stderr, /empty/);
    assert.not.match(stderr, /at .*\.ts:\d+/);
  });
});

test.run();
