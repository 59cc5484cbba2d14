// What a person at a terminal sees, and what a pipe gets (spec/cli.md §1.1, §4, §10): through a real pseudo-terminal.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startServer } from "../artifact/_server.ts";
import { commandsInPath } from "./commands_in_path.ts";
import { inPlace, POLICY } from "./place.ts";

const policy = readFileSync(POLICY);
const there = process.platform === "linux" && spawnSync("script", ["--version"]).status === 0;
const onTerminal = (there ? test : test.skip) as typeof test;
if (!there) test.skip("a terminal: needs script of util-linux (apt-get install bsdutils)", () => {});

/** Runs a shell's command line, at a terminal or through a pipe, while this process goes on answering. */
function run(line: string, terminal: boolean, cwd: string, env: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const [command, ...words] = terminal
      ? ["script", "-qec", line, "/dev/null"]
      : ["sh", "-c", `${line} 2>&1`];
    const child = spawn(command!, words, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => output += piece);
    child.on("error", reject);
    child.on("close", () => resolve(output));
  });
}

onTerminal(
  "progress, colours and tables at a terminal, plain text through a pipe",
  () =>
    inPlace(async ({ home, cwd, file }) => {
      const bin = commandsInPath(cwd);
      const base = { PATH: `${bin}:${process.env["PATH"]}`, HOME: home, TERM: "xterm" };
      // Slowly enough that progress is worth showing.
      const server = await startServer(async (_, response) => {
        response.writeHead(200, { "content-length": String(policy.length) });
        for (let at = 0; at < policy.length; at += policy.length / 8) {
          response.write(policy.subarray(at, at + policy.length / 8));
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        response.end();
      });
      try {
        file("sources.yaml", `insecure_sources: ["${server.host}"]\n`);
        file("policy.wasm", policy);
        const pull = (name: string) => `reeve pull --sources-path sources.yaml ${server.base}/${name}.wasm`;
        const shown = await run(pull("one"), true, cwd, base);
        assert.match(shown, `Pulling policy from ${server.base}/one.wasm`);
        assert.ok(shown.includes("\r\u001b[2K"), JSON.stringify(shown));
        assert.match(shown, /\[=+ *\] [\d.]+ kB\/[\d.]+ kB/);
        assert.match(shown, `Successfully pulled policy from ${server.base}/one.wasm`);
        assert.is(await run(pull("two"), false, cwd, base), "");

        const inspect = "reeve inspect policy.wasm";
        assert.match(await run(inspect, true, cwd, base), "\u001b[");
        assert.not.match(await run(inspect, false, cwd, base), "\u001b[");
        assert.not.match(await run(inspect, true, cwd, { ...base, NO_COLOR: "1" }), "\u001b[");
        assert.not.match(await run("reeve --no-color inspect policy.wasm", true, cwd, base), "\u001b[");
        const table = await run("reeve policies", true, cwd, base);
        assert.match(table.replaceAll("\r", ""), /^\+-+\+[^\n]*\n\| Policy /);
      } finally {
        await server.stop();
      }
    }),
);

test.run();
