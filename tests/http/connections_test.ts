// Every state of a connection, as drawn in http/serve/connections.ts: what clients do in it, and that it ends.
import { readdirSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type ClosedReason,
  type ConnectionLimits,
  type HttpListener,
  LIMITS,
  listen,
} from "../../http/mod.ts";
import { identity } from "../policy_server/certificates.ts";
import { until } from "../policy_server/server_process.ts";

/** Short, so that a test needs no patience; long enough for a busy machine to do what is honest. */
const SHORT: ConnectionLimits = {
  ...LIMITS,
  handshakeMs: 1_500,
  headMs: 1_500,
  bodyMs: 1_500,
  sendMs: 1_500,
  idleMs: 1_500,
  lingerMs: 500,
  endingMs: 1_000,
};
const HEAD = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n";
const GET = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
const LARGE = 32 * 1024 * 1024;

/** A text in which no two parts are alike; its length is in UTF-16 units, and it has more bytes. */
function counted(length: number): string {
  let text = "";
  for (let at = 0; text.length < length; at++) text += `\u20ac${at} `;
  return text.slice(0, length);
}

/** Around the length of the parts in which long answers are sent, and beyond. */
const LENGTHS = [1, 131_071, 131_072, 131_073, 262_144, 500_000, 4_194_304];

type Peer = {
  readonly socket: Socket;
  received(): string;
  /** Status codes of the answers. */
  statuses(): string;
  /** Whether the server has closed its side. */
  closed(): boolean;
};
type Closed = Map<ClosedReason, number>;
type Served = {
  readonly listener: HttpListener;
  readonly closed: Closed;
  /** How many requests were aborted. */
  readonly gone: () => number;
  /** Lets requests for `/wait` have their answer. */
  readonly release: () => void;
  connect(tls?: boolean): Promise<Peer>;
};

const server = await identity("localhost");
const descriptors = () => readdirSync("/proc/self/fd").length;

async function serving(
  tls: boolean,
  use: (served: Served) => Promise<void>,
  limits: Partial<ConnectionLimits> = {},
): Promise<void> {
  const closed: Closed = new Map();
  let gone = 0, release = () => {};
  const released = new Promise<void>((resolve) => release = resolve);
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    tls: tls ? { cert: server.cert, key: server.key, clientCas: undefined } : undefined,
    maxBodyBytes: 1_000_000,
    limits: { ...SHORT, ...limits },
    onClosed: (reason, count) => closed.set(reason, (closed.get(reason) ?? 0) + count),
    handler: async (request) => {
      const answer = (status: number, body: string | Uint8Array) => ({ status, headers: {}, body });
      switch (request.target) {
        case "/echo":
          return await request.body().then(
            (body) => answer(200, body),
            (error) =>
              answer(
                { too_large: 413, failed: 400, timeout: 408, overloaded: 503 }[error.reason as string]!,
                "",
              ),
          );
        case "/large":
          return answer(200, new Uint8Array(LARGE));
        case "/wait":
          request.signal.addEventListener("abort", () => gone++);
          await released;
          return answer(200, "waited");
        default: {
          const [, form, length] = /^\/(text|bytes)\/(\d+)$/.exec(request.target) ?? [];
          if (length === undefined) return answer(200, "hello");
          const text = counted(Number(length));
          return answer(200, form === "text" ? text : Buffer.from(text));
        }
      }
    },
  });
  const peers: Socket[] = [];
  const peer = (socket: Socket): Peer => {
    peers.push(socket);
    let text = "";
    socket.on("data", (chunk) => text += chunk.toString("latin1"));
    socket.on("error", () => {});
    return {
      socket,
      received: () => text,
      statuses: () => [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((found) => found[1]).join(" "),
      closed: () => socket.readableEnded || socket.destroyed,
    };
  };
  try {
    await use({
      listener,
      closed,
      gone: () => gone,
      release,
      connect: (speaksTls = tls) =>
        new Promise((resolve, reject) => {
          const { port } = listener;
          const socket: Socket = speaksTls
            ? connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => resolve(made))
            : connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true }, () => resolve(made));
          const made = peer(socket);
          socket.once("error", reject);
        }),
    });
  } finally {
    release();
    for (const socket of peers) socket.destroy();
    await listener.end({ stillAcceptingMs: 0, graceMs: 0 });
  }
}

/** What a client does, what it gets within its time, and the reason that is reported. */
type Scene = {
  readonly name: string;
  /** Without a TLS handshake. */
  readonly raw?: true;
  readonly does: (peer: Peer) => void;
  readonly gets: string;
  readonly reason?: ClosedReason;
};
const SCENES: readonly Scene[] = [
  { name: "is silent", raw: true, does: () => {}, gets: "", reason: "handshake" },
  {
    name: "stops in its handshake",
    raw: true,
    does: ({ socket }) => void socket.write(Buffer.from("16030102000100", "hex")),
    gets: "",
    reason: "handshake",
  },
  {
    name: "sends half a head",
    does: ({ socket }) => void socket.write("GET / HTTP"),
    gets: "408",
    reason: "head",
  },
  { name: "sends half a body", does: ({ socket }) => void socket.write(`${HEAD}123`), gets: "408" },
  {
    name: "sends half a second head",
    does: ({ socket }) => {
      socket.write(GET);
      socket.once("data", () => socket.write("GET / HT"));
    },
    gets: "200 408",
    reason: "head",
  },
  { name: "stays idle after an answer", does: ({ socket }) => void socket.write(GET), gets: "200" },
  {
    name: "announces too large a body",
    does: ({ socket }) =>
      void socket.write("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000001\r\n\r\n"),
    gets: "413",
  },
  {
    name: "asks before it sends too large a body",
    does: ({ socket }) =>
      void socket.write(
        "POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1000001\r\n\r\n",
      ),
    gets: "413",
  },
  { name: "speaks no HTTP", does: ({ socket }) => void socket.write("nonsense\r\n\r\n"), gets: "400" },
  {
    name: "sends a head without end",
    does: ({ socket }) => void socket.write(`GET / HTTP/1.1\r\nhost: x\r\nx: ${"x".repeat(20_000)}\r\n\r\n`),
    gets: "431",
  },
  {
    name: "sends nonsense behind a request",
    does: ({ socket }) => void socket.write(`${GET}nonsense\r\n\r\n`),
    gets: "200",
  },
  {
    name: "sends a malformed chunk",
    does: ({ socket }) =>
      void socket.write(
        "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nX\r\n",
      ),
    gets: "400",
  },
];

for (const tls of [true, false]) {
  const test = suite(tls ? "over TLS" : "over plain HTTP");

  test("whoever leaves something undone is answered if there is something to answer, and closed", async () => {
    const before = descriptors();
    await serving(tls, async ({ connect, closed }) => {
      const peers = await Promise.all(SCENES.map(async (scene) => {
        const peer = await connect(scene.raw ? false : tls);
        scene.does(peer);
        return { ...scene, peer };
      }));
      // None of them closes its own side.
      await until(
        () => peers.every(({ peer }) => peer.closed()),
        () => peers.filter(({ peer }) => !peer.closed()).map(({ name }) => name).join(),
      );
      for (const { name, peer, gets } of peers) {
        // Without TLS there is no handshake: what was meant for one is no HTTP.
        const plain: Record<string, string> = { "stops in its handshake": "400" };
        assert.is(peer.statuses(), tls ? gets : plain[name] ?? gets, name);
        const answers = peer.received().split("HTTP/1.1 ").slice(1);
        if (gets !== "" && gets !== "200") assert.match(answers.at(-1)!, /connection: close/i, name);
      }
      const expected = tls ? { handshake: 2, head: 2 } : { head: 3 };
      await until(
        () => JSON.stringify([...closed].sort()) === JSON.stringify(Object.entries(expected).sort()),
        () => JSON.stringify([...closed]),
      );
    });
    await until(() => descriptors() <= before, () => `${before} descriptors, now ${descriptors()}`);
  });

  test("answers of any length arrive whole, one behind the other and between others", () =>
    serving(tls, async ({ connect }) => {
      const paths = [
        "/hello",
        ...LENGTHS.flatMap((length) => [`/text/${length}`, `/bytes/${length}`]),
        "/hello",
      ];
      const bodies = ["hello", ...LENGTHS.flatMap((length) => [counted(length), counted(length)]), "hello"];
      const peers = await Promise.all([connect(), connect()]);
      for (const { socket } of peers) {
        socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`).join(""));
      }
      const wanted = bodies.reduce((sum, body) => sum + Buffer.byteLength(body), 0);
      for (const { received } of peers) {
        // The heads besides.
        await until(
          () => received().length > wanted && received().endsWith("hello"),
          () => `${received().length}`,
        );
        let text = received();
        for (const [index, body] of bodies.entries()) {
          const start = text.indexOf("\r\n\r\n") + 4;
          const length = Number(/content-length: (\d+)/i.exec(text.slice(0, start))?.[1]);
          assert.is(length, Buffer.byteLength(body), paths[index]);
          const end = start + length;
          assert.ok(Buffer.from(text.slice(start, end), "latin1").toString() === body, paths[index]);
          text = text.slice(end);
        }
      }
    }, { ...LIMITS }));

  test("a client that does not take its answer is cut", async () => {
    const before = descriptors();
    await serving(tls, async ({ connect, closed }) => {
      const peer = await connect();
      peer.socket.pause();
      peer.socket.write("GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
      await until(() => closed.get("send") === 1, () => JSON.stringify([...closed]));
      peer.socket.resume();
      await until(() => peer.closed(), () => "the end");
      assert.ok(peer.received().length < LARGE);
    });
    await until(() => descriptors() <= before, () => `${before} descriptors, now ${descriptors()}`);
  });

  test("clients that vanish, in whatever state, cost nothing, and their requests hear of it", async () => {
    const before = descriptors();
    await serving(tls, async ({ connect, gone }) => {
      const peers: Peer[] = [];
      for (let round = 0; round < 5; round++) {
        peers.push(await connect(false));
        for (const text of ["", "GET / HT", `${HEAD}12`, GET, "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n"]) {
          const peer = await connect();
          peer.socket.write(text);
          peers.push(peer);
        }
      }
      // Answered after all of them.
      const last = await connect();
      last.socket.write(GET);
      await until(() => last.statuses() === "200", last.received);
      const opened = descriptors();
      for (const [at, { socket }] of peers.entries()) {
        if (at % 2 === 0 || tls) socket.destroy();
        else socket.resetAndDestroy();
      }
      await until(() => descriptors() === opened - 2 * peers.length, () => `${opened}, ${descriptors()}`);
      await until(() => gone() === 5, () => `${gone()} requests heard of it`);
      last.socket.destroy();
    }, { ...LIMITS });
    await until(() => descriptors() <= before, () => `${before} descriptors, now ${descriptors()}`);
  });

  test("2,000 requests sent at once are answered in order", () =>
    serving(tls, async ({ connect }) => {
      const peer = await connect();
      let sent = "";
      for (let at = 0; at < 2_000; at++) {
        const text = String(at);
        sent += `POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
      }
      peer.socket.write(sent);
      const bodies = () => [...peer.received().matchAll(/\r\n\r\n(\d+)/g)].map((found) => found[1]);
      await until(() => bodies().length === 2_000, () => `${bodies().length} answers`);
      assert.equal(bodies(), Array.from({ length: 2_000 }, (_, at) => String(at)));
    }));

  test("more requests than may wait behind others are not kept", () =>
    serving(tls, async ({ connect, closed }) => {
      const peer = await connect();
      peer.socket.write("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n" + GET.repeat(60));
      await until(() => closed.get("pipelined") === 1, () => JSON.stringify([...closed]));
      await until(() => peer.closed(), () => "the end");
    }, { maxPipelined: 50 }));

  test("with too many connections, those that sent nothing go first, then the slow, then the idle", () =>
    serving(tls, async ({ connect, closed, release }) => {
      const all = (peers: readonly Peer[]) => () => peers.every((peer) => peer.closed());
      const asks = async (text: string, statuses: string) => {
        const peer = await connect();
        peer.socket.write(text);
        await until(() => peer.statuses() === statuses, () => `${statuses}, received: ${peer.received()}`);
        return peer;
      };
      const busy = await connect();
      busy.socket.write("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
      const idle = await asks(GET, "200");
      const slow = await connect();
      slow.socket.write(`${HEAD}12`);
      const silent = await Promise.all([connect(false), connect(false), connect(false)]);
      const next = [await asks(GET, "200"), await asks(GET, "200"), await asks(GET, "200")];
      await until(all(silent), () => "the silent ones to go");
      assert.not.ok(slow.closed() || idle.closed() || next.some((peer) => peer.closed()));
      // The body has taken longer than a second by now, or soon.
      await until(async () => {
        (await connect()).socket.destroy();
        return slow.closed() || idle.closed();
      }, () => "the slow one to go");
      await asks(GET, "200");
      await until(() => slow.closed(), () => "the slow one to go");
      assert.not.ok(busy.closed());
      release();
      await until(() => busy.statuses() === "200", busy.received);
      await until(() => (closed.get("shed") ?? 0) >= 4, () => JSON.stringify([...closed]));
    }, { ...LIMITS, maxConnections: 6 }));

  test("the end: what is under way is answered, everything else closed, whatever clients do", async () => {
    const before = descriptors();
    await serving(tls, async ({ listener, connect, closed, release }) => {
      const busy = await connect();
      busy.socket.write("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
      const peers = await Promise.all(SCENES.map(async (scene) => {
        const peer = await connect(scene.raw ? false : tls);
        scene.does(peer);
        return peer;
      }));
      const kept = await connect();
      kept.socket.write(GET);
      await until(() => kept.statuses() === "200", kept.received);
      const large = await connect();
      large.socket.pause();
      large.socket.write("GET /large HTTP/1.1\r\nhost: x\r\n\r\n");

      const ended = listener.end({ stillAcceptingMs: 1_000, graceMs: 30_000 });
      // As the cluster learns of it: new connections, and requests on old ones.
      const late = await connect();
      for (const { socket } of [kept, late]) socket.write(GET);
      await until(() => late.statuses() === "200" && kept.statuses() === "200 200", () => late.received());
      for (const peer of [late, kept]) {
        assert.match(peer.received().split("HTTP/1.1 ").at(-1)!, /connection: close/i);
      }
      await until(
        () => peers.every((peer) => peer.closed()),
        () => "the others' end",
      );
      assert.not.ok(busy.closed());
      release();
      await ended;
      assert.is(busy.statuses(), "200");
      assert.is(closed.get("ending"), undefined, "nothing had to wait for the whole grace period");
      await refused(listener.port);
      for (const { socket } of [busy, kept, late, large, ...peers]) socket.destroy();
    }, { ...LIMITS, endingMs: 2_000 });
    await until(() => descriptors() <= before, () => `${before} descriptors, now ${descriptors()}`);
  });

  test("the end comes with the grace period, even if a request never ends", () =>
    serving(tls, async ({ listener, connect, closed, gone }) => {
      const peer = await connect();
      peer.socket.write("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
      const other = await connect();
      other.socket.write(GET);
      await until(() => other.statuses() === "200", other.received);
      await listener.end({ stillAcceptingMs: 0, graceMs: 500 });
      assert.is(closed.get("ending"), 1);
      assert.is(gone(), 1);
    }));

  test.run();
}

const framed = suite("over HTTP/2");
framed("answers of any length arrive whole, all at once", async () => {
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    tls: { cert: server.cert, key: server.key, clientCas: undefined },
    http2: true,
    maxBodyBytes: 1_000_000,
    handler: ({ target }) =>
      Promise.resolve({ status: 200, headers: {}, body: counted(Number(target.slice(1))) }),
  });
  const client = connectHttp2(`https://127.0.0.1:${listener.port}`, { rejectUnauthorized: false });
  try {
    await Promise.all(LENGTHS.map(async (length) => {
      const stream = client.request({ ":path": `/${length}` });
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      assert.ok(Buffer.concat(chunks).toString() === counted(length), `${length}`);
    }));
  } finally {
    client.close();
    await listener.end({ stillAcceptingMs: 0, graceMs: 0 });
  }
});
framed.run();

async function refused(port: number): Promise<void> {
  const code = await new Promise((resolve) => {
    const socket = connectTcp({ host: "127.0.0.1", port }, () => resolve("connected"));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  assert.is(code, "ECONNREFUSED");
}
