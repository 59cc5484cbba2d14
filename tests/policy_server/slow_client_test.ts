// Clients that take their time, or go away half-way: they hold nothing up, and get an answer or a closed connection.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { client, connectRaw, reviewOf } from "./requests.ts";
import { moduleUrl, type ServerProcess, serving, until } from "./server_process.ts";

const POLICIES = { good: { module: moduleUrl("policies/pod-privileged/policy.wasm") } };
const BODY = reviewOf();
const head = (length: number) =>
  `POST /validate/good HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;

/** Serves good requests as long as `others` run. */
async function meanwhile(server: ServerProcess, others: Promise<unknown>): Promise<void> {
  let running = true;
  const done = others.finally(() => running = false);
  const connections = client(server, { connections: 2 });
  while (running) {
    assert.is((await connections.ask({ path: "/validate/good", body: BODY })).status, 200);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  connections.close();
  await done;
}

/** Plays a scene over TLS and over plain HTTP, side by side: some of them take half a minute. */
function both(scene: (server: ServerProcess) => Promise<void>): () => Promise<void> {
  return async () => {
    await Promise.all([true, false].map((tls) => serving({ policies: POLICIES, tls }, scene)));
  };
}

test(
  "a body or a head that never ends is given up; all others are served",
  both(async (server) => {
    const texts = [
      head(BODY.length) + BODY.slice(0, 10),
      head(BODY.length),
      "POST /validate/good HTTP/1.1\r\nhost: x\r\n",
    ];
    const slow = await Promise.all(texts.map(async (text) => {
      const connection = await connectRaw(server);
      connection.write(text);
      return connection;
    }));
    await meanwhile(
      server,
      Promise.all(
        slow.map(({ closed, received }) =>
          Promise.race([closed, until(() => received() !== "", () => "an answer or the end")])
        ),
      ),
    );
    for (const { received, socket } of slow) {
      assert.match(received(), /^HTTP\/1\.1 408 /);
      socket.destroy();
    }
    await server.logged("status=408", 2);
    assert.equal(server.lines(" ERROR "), []);
    assert.is(server.stderr(), "");
  }),
);

test(
  "clients that close their side get what they asked for, or are forgotten",
  both(async (server) => {
    // The whole request, then the end of the client's side.
    const whole = await connectRaw(server);
    whole.socket.end(head(BODY.length) + BODY);
    // A part of it, then the end; or nothing at all; or a cut.
    const part = await connectRaw(server);
    part.socket.end(head(BODY.length) + BODY.slice(0, 20));
    const nothing = await connectRaw(server);
    nothing.socket.end();
    const cut = await connectRaw(server);
    cut.write(head(BODY.length) + BODY.slice(0, 20));
    cut.socket.destroy();
    await meanwhile(server, Promise.all([whole.closed, part.closed, nothing.closed, cut.closed]));
    if (whole.received() !== "") assert.match(whole.received(), /^HTTP\/1\.1 200 /);
    assert.match(part.received(), /^$|^HTTP\/1\.1 400 /);
    assert.is(nothing.received(), "");
    assert.equal(server.lines(" ERROR "), []);
    assert.is(server.stderr(), "");
  }),
);

test(
  "requests that are sent one behind the other on one connection are answered in order",
  () =>
    serving({ policies: POLICIES, tls: false }, async (server) => {
      const connection = await connectRaw(server);
      const bad = "nonsense";
      connection.write((head(BODY.length) + BODY + head(bad.length) + bad).repeat(3));
      await until(() => connection.received().split("HTTP/1.1 ").length === 7, () => connection.received());
      const statuses = connection.received().split("HTTP/1.1 ").slice(1).map((answer) => answer.slice(0, 3));
      assert.equal(statuses, ["200", "400", "200", "400", "200", "400"]);
      connection.socket.destroy();
    }),
);

test.run();
