// Servers of modules that stall in the midst of one: with `--continue-on-errors`, nobody else's policy waits for theirs.
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Client, client, reviewOf } from "./requests.ts";
import { moduleUrl, serving } from "./server_process.ts";

const MODULE = readFileSync(
  fileURLToPath(new URL("../../policies/pod-privileged/policy.wasm", import.meta.url)),
);
const HALF = MODULE.length >> 1;
/** More than are fetched at once: they don't hold the places of the others either. */
const STALLED = 6;

/** A file server that sends half of each module, and the rest when it is let. */
async function stallingServer() {
  const stalled: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-length": MODULE.length }).write(MODULE.subarray(0, HALF));
    stalled.push(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    host: `127.0.0.1:${port}`,
    finish: () => stalled.splice(0).forEach((response) => response.end(MODULE.subarray(HALF))),
    breakOff: () => stalled.splice(0).forEach((response) => response.destroy()),
    close: () => (server.closeAllConnections(), server.close()),
  };
}

async function answer(http: Client, policy: string): Promise<string> {
  const { status, body } = await http.ask({ path: `/validate/${policy}`, body: reviewOf() });
  assert.is(status, 200, policy);
  const { allowed, status: said } = JSON.parse(body).response;
  return allowed ? "allowed" : said.message;
}

const LOADING = "the policy is not served yet: its module is still being loaded";

test("policies that are ready are served while others' modules stall, which refuse until they are there", async () => {
  const slow = await stallingServer();
  const names = Array.from({ length: STALLED }, (_, index) => `slow-${index}`);
  const module = (name: string) => `http://${slow.host}/${name}.wasm`;
  // The first to be asked for, so that they are in the way if anything is.
  const policies = Object.fromEntries([
    ...names.map((name) => [name, { module: module(name) }]),
    ["group", { expression: "!a()", message: "m", policies: { a: { module: module("slow-0") } } }],
    ["good", { module: moduleUrl("policies/pod-privileged/policy.wasm") }],
    ["settings", { module: moduleUrl("policies/pod-privileged/policy.wasm"), settings: { typo: 1 } }],
  ]);
  try {
    await serving({
      policies,
      flags: ["--continue-on-errors", "--sources-path", "sources.yml"],
      prepare: (folder) => writeFileSync(join(folder, "sources.yml"), `insecure_sources: ["${slow.host}"]\n`),
    }, async (server) => {
      const http = client(server);
      // It serves, and no module of the slow server has come: that is up to this test.
      assert.is(await answer(http, "good"), "allowed");
      assert.match(await answer(http, "settings"), /^Policy settings are invalid: /);
      for (const name of names) assert.is(await answer(http, name), LOADING);
      assert.match(await answer(http, "group"), LOADING);
      assert.match(await answer(http, "group%2Fa"), LOADING);
      assert.match(server.lines("have stalled").join("\n"), /ready=2 waiting=7 policies="slow-0, slow-1/);
      // A reload waits for the set to be whole, and is not lost.
      server.signal("SIGHUP");
      await server.logged("SIGHUP received");
      const finishing = setInterval(slow.finish, 50);
      await server.logged("policies were reloaded");
      clearInterval(finishing);
      for (const name of names) assert.is(await answer(http, name), "allowed");
      assert.is(await answer(http, "group"), "m");
      http.close();
    });
  } finally {
    slow.close();
  }
});

test("a module that never comes fails its own policy, with the reason, and no other", async () => {
  const slow = await stallingServer();
  try {
    await serving({
      policies: {
        slow: { module: `http://${slow.host}/slow.wasm` },
        good: { module: moduleUrl("policies/pod-privileged/policy.wasm") },
      },
      flags: ["--continue-on-errors", "--sources-path", "sources.yml"],
      prepare: (folder) => writeFileSync(join(folder, "sources.yml"), `insecure_sources: ["${slow.host}"]\n`),
    }, async (server) => {
      const http = client(server);
      assert.is(await answer(http, "slow"), LOADING);
      const breaking = setInterval(slow.breakOff, 50);
      await server.logged("policy is not served");
      clearInterval(breaking);
      assert.match(
        await answer(http, "slow"),
        /^bootstrap failure: slow: Error while downloading policy 'slow' from /,
      );
      assert.is(await answer(http, "good"), "allowed");
      http.close();
    });
  } finally {
    slow.close();
  }
});

test.run();
