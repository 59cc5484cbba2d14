// The air-gap scripts: policies of a list, carried to a registry that has never heard of them (spec/cli.md §12).
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createAuthority } from "../artifact/_certificates.ts";
import { putPolicy } from "../artifact/_image.ts";
import { REGISTRY_BINARY, REGISTRY_MISSING, startRegistry } from "../artifact/_registry.ts";
import { startServer } from "../artifact/_server.ts";
import { commandsInPath, type Ran, runWith } from "./commands_in_path.ts";
import { inPlace, POLICY, root } from "./place.ts";

const scripts = join(root, "deploy/scripts");
const policy = readFileSync(POLICY);

/** Runs a script while this process goes on answering. */
function script(bin: string, home: string, cwd: string, name: string, ...words: string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(scripts, name), words, {
      cwd,
      env: { PATH: `${bin}:${process.env["PATH"]}`, HOME: home },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => output += piece);
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
}

const withRegistry = (REGISTRY_BINARY === undefined ? test.skip : test) as typeof test;

withRegistry(
  `what was saved here is pushed there${REGISTRY_BINARY === undefined ? ` (${REGISTRY_MISSING})` : ""}`,
  () =>
    inPlace(async ({ home, cwd, reeve, inStore, store }) => {
      const [here, there] = [await startRegistry(), await startRegistry()];
      const authority = await createAuthority();
      const files = await startServer((_, response) => void response.end(policy), await authority.issue());
      try {
        const bin = commandsInPath(cwd);
        await putPolicy(`http://${here.host}`, "policies/one", "v1", policy);
        const config = join(home, ".config/kubewarden");
        mkdirSync(config, { recursive: true });
        writeFileSync(
          join(config, "sources.yaml"),
          JSON.stringify({
            insecure_sources: [here.host],
            source_authorities: { [files.host]: [{ type: "Data", data: authority.ca }] },
          }),
        );
        const list = [
          `registry://${here.host}/policies/one:v1`,
          "",
          `https://${files.host}/o/r/policy.wasm`,
          `http://localhost:1/absent.wasm`,
        ];
        writeFileSync(join(cwd, "list.txt"), list.join("\n"));
        const saved = await script(
          bin,
          home,
          cwd,
          "kubewarden-save-policies.sh",
          "-l",
          "list.txt",
          "--policies",
          "p.tar.gz",
        );
        assert.is(saved.status, 0, saved.output);
        assert.match(saved.output, `Policy pull success: ${list[0]}\n`);
        assert.match(saved.output, `Policy pull success: ${list[2]}\n`);
        assert.match(saved.output, `Policy pull failed: ${list[3]}\n`);
        rmSync(store, { recursive: true });

        // Where nothing but the new registry is.
        await Promise.all([here.stop(), files.stop()]);
        writeFileSync(join(cwd, "there.yaml"), JSON.stringify({ insecure_sources: [there.host] }));
        writeFileSync(join(cwd, "list.txt"), `${list.slice(0, 3).join("\n")}\n`);
        const loaded = await script(
          bin,
          home,
          cwd,
          "kubewarden-load-policies.sh",
          "--policies-list",
          "list.txt",
          "-p",
          "p.tar.gz",
          "--registry",
          there.host,
          "--sources-path",
          "there.yaml",
        );
        assert.is(loaded.status, 0, loaded.output);
        rmSync(store, { recursive: true });
        for (const name of ["policies/one:v1", "o/r/policy.wasm"]) {
          const { exit, stderr } = await reeve(
            "pull",
            "--sources-path",
            "there.yaml",
            `registry://${there.host}/${name}`,
          );
          assert.is(exit, 0, stderr);
        }
        assert.is(inStore().length, 2);
      } finally {
        await Promise.all([here.stop(), there.stop(), files.stop()]);
      }
    }),
);

test("without a registry, or without anything to save, the scripts say what they want", () =>
  inPlace(({ home, cwd, file }) => {
    const bin = commandsInPath(cwd);
    const run = (name: string, ...words: string[]) => runWith(bin, home, cwd, join(scripts, name), ...words);
    for (
      const [words, text] of [
        [["-p", "x"], "USAGE: "],
        [["--nonsense"], "USAGE: "],
        [["-r", "h:1"], "cannot read kubewarden-policies.txt"],
      ] as const
    ) {
      const { status, output } = run("kubewarden-load-policies.sh", ...words);
      assert.is(status, 1);
      assert.match(output, text);
    }
    assert.is(run("kubewarden-load-policies.sh", "--help").status, 0);
    assert.match(run("kubewarden-save-policies.sh").output, "cannot read kubewarden-policies.txt");
    file("kubewarden-policies.txt", "http://localhost:1/absent.wasm\n");
    const none = run("kubewarden-save-policies.sh");
    assert.is(none.status, 1);
    assert.match(none.output, "none of the policies in kubewarden-policies.txt could be pulled");
    return Promise.resolve();
  }));

test.run();
