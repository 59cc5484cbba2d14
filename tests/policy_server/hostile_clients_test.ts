// The server that ships among clients that leave things undone: descriptors come back, SIGTERM ends it, and whoever asks
// properly is answered (http/serve/connections.ts; tests/http/connections_test.ts walks each state with times of its own).
//
// HOSTILE_CLIENTS: how many of each kind, 40 unless given. A process may need a higher `ulimit -n` for more.
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect as connectTcp, type Socket } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bundleFile } from "../programs.ts";
import { ask, client, connectRaw, reviewOf } from "./requests.ts";
import { moduleUrl, type ServerProcess, serving, starting, until } from "./server_process.ts";

const EACH = Number(process.env["HOSTILE_CLIENTS"] ?? 40);
const GOOD = { module: moduleUrl("policies/pod-privileged/policy.wasm") };
const BUSY = { module: moduleUrl("tests/policies/busy-sleep/policy.wasm") };
const PRIVILEGED = reviewOf({}, {
  object: {
    metadata: {},
    spec: { containers: [{ name: "c", image: "i", securityContext: { privileged: true } }] },
  },
});
const HEAD = "POST /validate/good HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length:";
const WHOLE = `${HEAD} ${PRIVILEGED.length}\r\n\r\n${PRIVILEGED}`;
/** The first bytes of a TLS handshake. */
const HELLO = Buffer.from("1603010200010001fc0303", "hex");

/** The machine may be busy. */
const PATIENT = ["--policy-timeout", "20"];

const program = bundleFile("policy_server");
const descriptors = ({ pid }: ServerProcess) => readdirSync(`/proc/${pid}/fd`).length;

/** Opens a connection; it need not come to anything. */
function open(server: ServerProcess, tls: boolean): Promise<Socket> {
  return new Promise((resolve) => {
    const socket: Socket = tls
      ? connectTls({ host: "127.0.0.1", port: server.port, rejectUnauthorized: false }, () => resolve(socket))
      : connectTcp({ host: "127.0.0.1", port: server.port, allowHalfOpen: true }, () => resolve(socket));
    socket.on("error", () => resolve(socket));
  });
}

/** What clients leave undone; none of them closes its side. */
const STATES: Readonly<Record<string, (server: ServerProcess) => Promise<Socket>>> = {
  "no byte": (server) => open(server, false),
  "half a handshake": async (server) => {
    const socket = await open(server, false);
    socket.write(HELLO);
    return socket;
  },
  "a handshake alone": (server) => open(server, server.tls),
  "half a head": async (server) => {
    const socket = await open(server, server.tls);
    socket.write("POST /validate/good HTTP/1.1\r\nhos");
    return socket;
  },
  "half a body": async (server) => {
    const socket = await open(server, server.tls);
    socket.write(`${HEAD} 5000\r\n\r\n{"request":`);
    return socket;
  },
  "requests without end, and no answer read": async (server) => {
    const socket = await open(server, server.tls);
    socket.pause();
    socket.write(WHOLE.repeat(300));
    return socket;
  },
  "an idle connection": async (server) => {
    const socket = await open(server, server.tls);
    socket.write(WHOLE);
    await new Promise((resolve) => socket.once("data", resolve));
    return socket;
  },
};

/** Asks over eight connections as long as `others` run; every answer must be right. */
async function asking(server: ServerProcess, others: () => Promise<void>): Promise<number> {
  const connections = client(server, { connections: 8 });
  let running = true, answered = 0;
  const wrong: string[] = [];
  const workers = Array.from({ length: 8 }, async () => {
    while (running) {
      const text = await connections.ask({ path: "/validate/good", body: PRIVILEGED }).then(
        ({ status, body }) => status === 200 ? JSON.parse(body).response.status.message : `${status} ${body}`,
        String,
      );
      if (text !== "Privileged container is not allowed") wrong.push(text);
      answered++;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  await others().finally(() => running = false);
  await Promise.all(workers);
  connections.close();
  assert.equal(wrong, [], `of ${answered}`);
  return answered;
}

for (const tls of [true, false]) {
  const how = tls ? "TLS" : "plain HTTP";

  test(`${how}: what clients left undone is given back, while others are answered`, () =>
    serving({ policies: { good: GOOD }, tls, program, flags: PATIENT }, async (server) => {
      assert.is((await ask(server, { path: "/validate/good", body: PRIVILEGED })).status, 200);
      const before = descriptors(server);
      const sockets: Socket[] = [];
      let most = 0;
      await asking(server, async () => {
        for (const [name, make] of Object.entries(STATES)) {
          // An idle connection may stay for longer than this test, also if its client has not read what was sent.
          if (name === "an idle connection" || name.endsWith("no answer read")) continue;
          for (let made = 0; made < EACH; made++) {
            sockets.push(await make(server));
            most = Math.max(most, descriptors(server));
          }
          // A client is connected before the server has taken its connection from the queue.
          await until(
            () => (most = Math.max(most, descriptors(server))) > before + 8,
            () => `${before} descriptors before, ${most} at most`,
          );
        }
        for (let made = 0; made < EACH; made++) {
          const socket = await open(server, false);
          socket.write(tls ? HELLO : `${HEAD} 5000\r\n\r\n{`);
          socket.resetAndDestroy();
        }
        // Eight are of those who ask.
        await until(
          () => descriptors(server) <= before + 8,
          () => `${before} descriptors before, now ${descriptors(server)}`,
        );
      });
      for (const socket of sockets) socket.destroy();
      await until(() => descriptors(server) <= before, () => `${before}, now ${descriptors(server)}`);
      const lines = server.lines("connections were closed");
      assert.ok(lines.length >= 1 && lines.length <= 10, lines.join("\n"));
      assert.is(server.stderr(), "");
      assert.equal(server.lines(" ERROR "), []);
    }));

  test(`${how}: SIGTERM ends a server in every state of its connections`, () =>
    serving({ policies: { good: GOOD, slow: BUSY }, tls, program, flags: PATIENT }, async (server) => {
      const sockets = await Promise.all(Object.values(STATES).map((make) => make(server)));
      const slow = ask(server, { path: "/validate/slow", body: reviewOf({ ms: "1500", do: "sleep" }) });
      await ask(server, { path: "/validate/slow", body: reviewOf({ ms: "0" }) });
      server.signal("SIGTERM");
      let exit: unknown;
      void server.exited.then((how) => exit = how);
      await until(() => exit !== undefined, () => `the end\n${server.stdout()}`);
      assert.equal(exit, { code: 0, signal: null });
      const { status, body } = await slow;
      assert.is(status, 200);
      assert.match(JSON.parse(body).response.status.message, /^took \d+ ms$/);
      assert.equal(server.lines("the grace period was over"), []);
      assert.is(server.stderr(), "");
      for (const socket of sockets) socket.destroy();
    }));

  test(`${how}: after SIGTERM it is not ready, and asks clients to leave, before it stops to listen`, () =>
    serving({ policies: { good: GOOD }, tls, program, flags: PATIENT }, async (server) => {
      const probe = { port: server.readinessPort, tls: false };
      const ready = () => ask(probe, { method: "GET", path: "/readiness" }).then(({ status }) => status);
      assert.is(await ready(), 200);
      const kept = await connectRaw(server);
      kept.write(WHOLE);
      await until(() => kept.received().includes("uid"), kept.received);
      server.signal("SIGTERM");
      await server.logged("shutting down");
      assert.is(await ready(), 503);
      // The API server uses a connection that it kept, and opens others, until it has heard of it.
      kept.write(WHOLE);
      const late = await connectRaw(server);
      late.write(WHOLE);
      for (const { closed, received } of [kept, late]) {
        await until(() => /connection: close[^]*Privileged container/i.test(received()), received);
        void closed;
      }
      assert.match(kept.received(), /^HTTP\/1\.1 200 [^]*HTTP\/1\.1 200 /);
      kept.socket.end();
      late.socket.end();
      assert.equal(await server.exited, { code: 0, signal: null });
      assert.is(server.stderr(), "");
    }));
}

/** What leaves room for fewer connections than clients make, and for how many. */
const SCARCE = {
  descriptors: { room: 128, clients: 600, options: { flags: PATIENT, descriptors: 256 } },
  memory: { room: 819, clients: 1_000, options: { flags: [...PATIENT, "--memory-limit-mib", "512"] } },
};
for (const [what, { room, clients, options }] of Object.entries(SCARCE)) {
  test(`with little room for ${what} it serves on among more clients than it has room for`, async () => {
    await serving({ policies: { good: GOOD }, program, ...options }, async (server) => {
      const sockets: Socket[] = [];
      const before = descriptors(server);
      await asking(server, async () => {
        for (let made = 0; made < clients; made++) {
          sockets.push(await open(server, false));
          // All that come between two turns of its event loops look alike to a server.
          if (made % 20 === 0) await ask(server, { path: "/validate/good", body: PRIVILEGED });
        }
        // Those who ask are among them; what a thread opens now and then is not.
        await until(
          () => descriptors(server) <= before + room + 8,
          () => `${before} descriptors before, ${descriptors(server)}`,
        );
        assert.is((await ask(server, { path: "/validate/good", body: PRIVILEGED })).status, 200);
        const probe = { port: server.readinessPort, tls: false };
        assert.is((await ask(probe, { method: "GET", path: "/readiness" })).status, 200);
      });
      for (const socket of sockets) socket.destroy();
      await server.logged("there were too many connections");
      assert.is(server.stderr(), "");
    });
  });
}

/** Serves modules, and holds what is asked for until it is told to let go. */
async function withModules(
  use: (modules: {
    readonly url: (name: string) => string;
    readonly sources: string;
    readonly asked: () => number;
    hold(): void;
    release(): void;
  }) => Promise<void>,
): Promise<void> {
  const bytes = readFileSync(fileURLToPath(GOOD.module));
  let held: (() => void)[] | undefined, asked = 0;
  const release = () => {
    for (const answer of held ?? []) answer();
    held = undefined;
  };
  const modules = createServer((_request, response) => {
    asked++;
    const answer = () => void response.end(bytes);
    if (held === undefined) answer();
    else held.push(answer);
  });
  await new Promise<void>((resolve) => modules.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(modules.address() as AddressInfo).port}`;
  try {
    await use({
      url: (name) => `http://${host}/${name}.wasm`,
      sources: `insecure_sources: ["${host}"]\n`,
      asked: () => asked,
      hold: () => held ??= [],
      release,
    });
  } finally {
    release();
    modules.closeAllConnections();
    modules.close();
  }
}

function write(server: ServerProcess, policies: unknown): void {
  writeFileSync(join(server.folder, "new.yml"), JSON.stringify(policies));
  renameSync(join(server.folder, "new.yml"), join(server.folder, "policies.yml"));
}

test("SIGHUP while it starts: it starts, and reads the policies again", () =>
  withModules(async ({ url, sources, asked, hold, release }) => {
    hold();
    await starting({
      policies: { first: { module: url("first") } },
      flags: ["--sources-path", "sources.yml"],
      prepare: (folder) => writeFileSync(join(folder, "sources.yml"), sources),
      program,
    }, async (server) => {
      await until(() => asked() > 0, () => server.stdout() + server.stderr());
      write(server, { second: GOOD });
      server.signal("SIGHUP");
      await server.logged("SIGHUP received");
      release();
      await server.logged("policies were reloaded");
      assert.is((await ask(server, { path: "/validate/second", body: PRIVILEGED })).status, 200);
      assert.is(server.stderr(), "");
    });
  }));

test("SIGHUP before anything of the program runs does not end it", () =>
  starting({ policies: { good: GOOD }, program }, async (server) => {
    // The runtime itself is up: it has opened the program's file, or is about to.
    await until(
      () => readFileSync(`/proc/${server.pid}/status`, "utf8").includes("SigCgt:"),
      () => "a process",
    );
    await until(() => catches(server, 1) || server.stdout() !== "", () => "a handler of SIGHUP");
    server.signal("SIGHUP");
    await server.logged("policy server is ready");
    assert.is(server.stderr(), "");
  }));

/** Whether a process handles a signal. */
function catches({ pid }: ServerProcess, signal: number): boolean {
  const mask = /SigCgt:\s*([0-9a-f]+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]!;
  return (BigInt(`0x${mask}`) >> BigInt(signal - 1) & 1n) === 1n;
}

test("a burst of SIGHUPs is one more reload, of what the file holds then", () =>
  withModules(async ({ url, sources, asked, hold, release }) => {
    await serving({
      policies: { good: GOOD },
      flags: ["--sources-path", "sources.yml"],
      prepare: (folder) => writeFileSync(join(folder, "sources.yml"), sources),
      program,
    }, async (server) => {
      hold();
      write(server, { held: { module: url("held") } });
      server.signal("SIGHUP");
      await until(() => asked() === 1, () => server.stdout());
      write(server, { last: GOOD });
      for (let sent = 2; sent <= 10; sent++) {
        server.signal("SIGHUP");
        await server.logged("SIGHUP received", sent);
      }
      release();
      await server.logged("policies were reloaded", 2);
      assert.is((await ask(server, { path: "/validate/last", body: PRIVILEGED })).status, 200);
      server.signal("SIGINT");
      assert.equal(await server.exited, { code: 0, signal: null });
      assert.is(server.lines("policies were reloaded").length, 2);
    });
  }));

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} during a reload is no error`, () =>
    serving({ policies: { good: GOOD }, program }, async (server) => {
      // Takes longer than what the server waits for.
      write(server, Object.fromEntries(Array.from({ length: 3_000 }, (_, at) => [`policy-${at}`, GOOD])));
      server.signal("SIGHUP");
      await server.logged("policies download", 2);
      server.signal(signal);
      assert.equal(await server.exited, { code: 0, signal: null });
      assert.equal(server.lines(" ERROR "), []);
      assert.is(server.stderr(), "");
    }));
}

test.run();
