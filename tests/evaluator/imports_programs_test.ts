// The server and the command-line tool refuse modules that import what objects inherit, in every execution mode, before anything
// of them runs.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RUNTIMES } from "../../evaluator/apply/engine.ts";
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import { hostCallRequest, openFolder } from "../cli/folder.ts";
import { failing } from "../policy_server/server_process.ts";
import { importing } from "./import_modules.ts";

const MODES = Object.keys(RUNTIMES) as readonly ExecutionMode[];
const ESCAPES: Readonly<Record<string, string>> = {
  constructor: "constructor",
  toString: "call",
  __proto__: "constructor",
  hasOwnProperty: "bind",
};
const signature = "externref externref -> externref";
const REASON = "the module imports what no host provides: function ";

test("the server does not start with such a policy, and names each of them", async () => {
  const folder = mkdtempSync(join(tmpdir(), "imports-"));
  try {
    const policies: Record<string, { module: string }> = {};
    for (const mode of MODES) {
      for (const [index, [namespace, name]] of Object.entries(ESCAPES).entries()) {
        const path = join(folder, `${mode}-${index}.wasm`);
        writeFileSync(path, importing(mode, [{ namespace, name, signature }]));
        policies[`${mode}-${index}`] = { module: pathToFileURL(path).href };
      }
    }
    await failing({ policies, tls: false }, ({ code, stderr }) => {
      assert.is(code, 1, stderr);
      for (const mode of MODES) {
        for (const [index, [namespace, name]] of Object.entries(ESCAPES).entries()) {
          const line = stderr.split("\n").find((line) => line.includes(`${mode}-${index}: `));
          assert.ok(
            line?.includes(`${REASON}${namespace}.${name}`),
            `${mode} ${namespace}.${name}: ${line}`,
          );
        }
      }
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("`reeve run` refuses it", async () => {
  const folder = openFolder();
  try {
    const request = folder.file("request.json", hostCallRequest(undefined));
    for (const mode of MODES) {
      for (const [namespace, name] of Object.entries(ESCAPES)) {
        const module = folder.file("escape.wasm", importing(mode, [{ namespace, name, signature }]));
        const { exit, stdout, stderr } = await folder.run(["run", module, "-r", request]);
        assert.is(exit, 1);
        assert.is(stdout, "");
        assert.ok(
          stderr.includes(`${REASON}${namespace}.${name}`),
          `${mode} ${namespace}.${name}: ${stderr}`,
        );
      }
    }
  } finally {
    folder.remove();
  }
});

test.run();
