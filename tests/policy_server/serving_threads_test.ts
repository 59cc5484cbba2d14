// The threads that serve: how many listen, who may share their port, what is counted and logged, and what happens when one is gone.
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ask, client, reviewOf } from "./requests.ts";
import { failing, freePort, moduleUrl, type ServerProcess, serving, until } from "./server_process.ts";

const GOOD = { module: moduleUrl("policies/pod-privileged/policy.wasm") };
const BUSY = { module: moduleUrl("tests/policies/busy-sleep/policy.wasm") };
const LOGGER = { module: moduleUrl("tests/policies/logger/policy.wasm") };
const onLinux = process.platform === "linux" ? test : test.skip;

/** The sockets of a process that listen on a port of 127.0.0.1. */
function listening(pid: number, port: number): number {
  const wanted = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const inodes = readFileSync(`/proc/${pid}/net/tcp`, "utf8").split("\n").map((line) =>
    line.trim().split(/\s+/)
  )
    .filter(([, local, , state]) => local === wanted && state === "0A").map((fields) =>
      `socket:[${fields[9]}]`
    );
  const own = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return inodes.filter((inode) => own.includes(inode)).length;
}

const metric = async (server: ServerProcess): Promise<number> => {
  const { body } = await ask({ port: server.readinessPort, tls: false }, { method: "GET", path: "/metrics" });
  return body.split("\n").filter((line) => line.startsWith("kubewarden_policy_evaluations_total{"))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
};

for (const workers of [1, 3]) {
  onLinux(
    `--serving-threads ${workers}: so many threads listen on the port, and all of them answer and count`,
    () =>
      serving({ policies: { good: GOOD }, flags: ["--serving-threads", String(workers)] }, async (server) => {
        assert.is(listening(server.pid, server.port), workers);
        let asked = 0;
        for (let round = 0; round < 10; round++) {
          // A connection for each: the system deals them out.
          const clients = Array.from({ length: 12 }, () => client(server, { connections: 1 }));
          const answers = await Promise.all(
            clients.map((one, index) =>
              one.ask({ path: "/validate/good", body: reviewOf({}, { uid: `u${round}-${index}` }) })
            ),
          );
          answers.forEach(({ status, body }, index) => {
            assert.is(status, 200);
            assert.is(JSON.parse(body).response.uid, `u${round}-${index}`);
          });
          asked += answers.length;
          for (const one of clients) one.close();
          assert.is(await metric(server), asked, "what was answered is in the next scrape");
        }
        const finished = () => server.lines("finished processing request").length;
        await until(() => finished() >= asked, () => `${finished()} lines of ${asked}`);
        assert.is(finished(), asked);
        assert.is(server.stderr(), "");
      }),
  );
}

onLinux(
  "a port that another policy server has is not shared, whoever came first",
  () =>
    serving({ policies: { good: GOOD }, flags: ["--serving-threads", "2"] }, async (first) => {
      await failing(
        { policies: { good: GOOD }, flags: ["--serving-threads", "2", "--port", String(first.port)] },
        ({ code, stderr }) => {
          assert.is(code, 1);
          assert.match(stderr, new RegExp(`cannot listen on 127\\.0\\.0\\.1:${first.port} .*in use`, "i"));
        },
      );
      assert.is((await ask(first, { path: "/validate/good", body: reviewOf() })).status, 200);
    }),
);

onLinux("nor one that a stranger offers to share", async () => {
  const port = await freePort();
  const stranger = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) =>
    stranger.listen({ port, host: "127.0.0.1", reusePort: true, exclusive: true }, () => resolve())
  );
  try {
    await failing(
      { policies: { good: GOOD }, flags: ["--serving-threads", "2", "--port", String(port)] },
      ({ code, stderr }) => {
        assert.is(code, 1);
        assert.match(stderr, /cannot listen on .*in use/i);
      },
    );
  } finally {
    stranger.close();
  }
});

test("what policies log comes out once, with the policy's name, wherever they were evaluated", () =>
  serving({ policies: { logs: LOGGER }, flags: ["--serving-threads", "2"] }, async (server) => {
    await ask(server, { path: "/validate/logs", body: reviewOf() });
    const of = () => server.lines("policy_log").filter((line) => line.includes('policy_id="logs"')).length;
    await until(() => of() > 0, () => "the first lines");
    const once = of();
    for (let times = 0; times < 20; times++) {
      await ask(server, { path: "/validate/logs", body: reviewOf() });
    }
    await until(() => of() >= 21 * once, () => `${of()} lines of ${21 * once}`);
    assert.is(of(), 21 * once);
  }));

test("reloads reach all threads before they are logged; requests under way keep the policies they began with", () =>
  serving({ policies: { one: GOOD, busy: BUSY }, flags: ["--serving-threads", "3"] }, async (server) => {
    for (let round = 1; round <= 8; round++) {
      const name = round % 2 ? "two" : "one";
      const slow = ask(server, { path: "/validate/busy", body: reviewOf({ ms: "150" }) });
      writeFileSync(join(server.folder, "policies.yml"), JSON.stringify({ [name]: GOOD, busy: BUSY }));
      server.signal("SIGHUP");
      await server.logged("policies were reloaded", round);
      const clients = Array.from({ length: 9 }, () => client(server, { connections: 1 }));
      const statuses = await Promise.all(clients.map(async (one) => {
        const [there, gone] = await Promise.all(
          [name, round % 2 ? "one" : "two"].map((policy) =>
            one.ask({ path: `/validate/${policy}`, body: reviewOf() })
          ),
        );
        return `${there!.status} ${gone!.status}`;
      }));
      for (const one of clients) one.close();
      assert.equal([...new Set(statuses)], ["200 404"]);
      assert.match(JSON.parse((await slow).body).response.status.message, /^took \d+ ms$/);
    }
    assert.is(server.stderr(), "");
  }));

test.run();
