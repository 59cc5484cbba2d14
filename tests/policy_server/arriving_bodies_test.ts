// Clients that each send most of a large body and then wait: the memory that they hold is bounded, they lose their requests and
// nobody else does.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { arrivingBodies } from "../../http/serve/arriving_bodies.ts";
import type { BodyError } from "../../http/types.ts";
import { client, connectRaw, reviewOf } from "./requests.ts";
import { moduleUrl, serving, until } from "./server_process.ts";

const MIB = 1024 * 1024;

test("the body that began first is given up for what is too much", () => {
  const arriving = arrivingBodies(10, { maxArrivingBytes: 100, largestAtOnce: 4 });
  const lost: string[] = [];
  const begin = (name: string) => arriving.begin(({ reason }: BodyError) => lost.push(`${name} ${reason}`));
  const [a, b, c] = [begin("a"), begin("b"), begin("c")];
  assert.ok(a.arrived(40) && b.arrived(30) && c.arrived(30));
  assert.equal(lost, []);
  assert.ok(c.arrived(1));
  assert.equal(lost, ["a overloaded"]);
  assert.not(a.arrived(1), "what is given up takes no more");
  // What has ended makes room.
  b.end();
  assert.ok(c.arrived(60));
  const d = begin("d");
  assert.ok(d.arrived(9));
  assert.equal(lost, ["a overloaded"]);
  // One that is too much by itself loses itself last.
  assert.not(d.arrived(200));
  assert.equal(lost, ["a overloaded", "c overloaded", "d overloaded"]);
  assert.ok(begin("e").arrived(100));
});

test("there is room for some of the largest bodies that are taken", () => {
  const arriving = arrivingBodies(1_000, { maxArrivingBytes: 10, largestAtOnce: 4 });
  const lost: string[] = [];
  const bodies = Array.from({ length: 5 }, (_, at) => arriving.begin(() => lost.push(`${at}`)));
  for (const body of bodies) body.arrived(1_000);
  assert.equal(lost, ["0"]);
});

for (const tls of [true, false]) {
  test(`many unfinished bodies over ${tls ? "TLS" : "plain HTTP"}`, () =>
    serving(
      { policies: { good: { module: moduleUrl("policies/pod-privileged/policy.wasm") } }, tls },
      async (server) => {
        const peak = () =>
          Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))![1]) / 1024;
        const ask = client(server, { connections: 2 });
        const body = reviewOf();
        assert.is((await ask.ask({ path: "/validate/good", body })).status, 200);
        const before = peak();
        const size = 7 * MIB;
        const most = `{"a":"${"a".repeat(size - 1_000)}`;
        const held: Awaited<ReturnType<typeof connectRaw>>[] = [];
        for (let at = 0; at < 100; at++) {
          const connection = await connectRaw(server);
          connection.socket.on("error", () => {});
          connection.write(
            `POST /validate/good HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${size}\r\n\r\n${most}`,
          );
          held.push(connection);
          assert.is((await ask.ask({ path: "/validate/good", body })).status, 200, `beside ${at}`);
        }
        // Room is for nine of them; what the others sent was given up.
        await until(
          () => held.filter(({ received }) => received().startsWith("HTTP/1.1 503 ")).length >= 85,
          () => held.map(({ received }) => received().slice(9, 12)).join(),
        );
        assert.ok(peak() - before < 400, `${before} MiB, then ${peak()} MiB`);
        assert.is((await ask.ask({ path: "/validate/good", body })).status, 200);
        for (const { socket } of held) socket.destroy();
        ask.close();
        assert.is(server.stderr(), "");
      },
    ));
}

test.run();
