/** What a soak does to the server while answers are checked: each is a client, or many, that may do as it likes. */
import { connect as connectTcp, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { reviewOf } from "../policy_server/requests.ts";
import type { Observed } from "./observed.ts";

/** Does its worst until `signal` fires, and then lets go of all that it holds. */
export type Fault = (server: Observed, signal: AbortSignal) => Promise<void>;

/** Connections of one attack that are open at once. */
const CONNECTIONS = 100;
const BODY_BYTES = 7_900_000;

const until = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

const rest = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", end);
      resolve();
    }, ms);
    signal.addEventListener("abort", end, { once: true });
  });

function tcp(server: Observed): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host: "127.0.0.1", port: server.port, allowHalfOpen: true });
    socket.on("error", () => resolve(undefined));
    socket.once("connect", () => resolve(socket));
  });
}

function tls(server: Observed): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: "127.0.0.1", port: server.port, rejectUnauthorized: false });
    socket.on("error", () => resolve(undefined));
    socket.once("secureConnect", () => resolve(socket));
  });
}

/** What lies below a TLS connection of {@link resettable}: only that can be reset. */
const below = new WeakMap<Socket, Socket>();

/** A TLS connection through a stream of our own: Node breaks when the socket below a connection is reset under its feet. */
async function resettable(server: Observed): Promise<Socket | undefined> {
  const raw = await tcp(server);
  if (raw === undefined) return undefined;
  const stream = new Duplex({
    read() {},
    write: (piece, _encoding, done) => raw.write(piece, () => done()),
    final: (done) => raw.end(() => done()),
  });
  raw.on("data", (piece) => stream.push(piece));
  raw.on("close", () => stream.destroy());
  return await new Promise((resolve) => {
    const socket = connectTls({ socket: stream, rejectUnauthorized: false });
    below.set(socket, raw);
    socket.on("error", () => (raw.destroy(), resolve(undefined)));
    socket.once("secureConnect", () => resolve(socket));
  });
}

/** Opens many connections, does `use` with each, and holds them until the end. */
const holding =
  (open: typeof tcp, use: (socket: Socket) => void, connections = CONNECTIONS): Fault =>
  async (server, signal) => {
    const sockets: Socket[] = [];
    for (let count = 0; count < connections && !signal.aborted; count++) {
      const socket = await open(server);
      if (!socket) continue;
      sockets.push(socket);
      socket.resume();
      use(socket);
    }
    await until(signal);
    for (const socket of sockets) socket.destroy();
  };

/** Does `use` with one connection after the other. */
const again =
  (open: typeof tcp, use: (socket: Socket) => Promise<void> | void, pauseMs: number): Fault =>
  async (server, signal) => {
    while (!signal.aborted) {
      const socket = await open(server);
      if (socket) {
        socket.resume();
        await use(socket);
        socket.destroy();
      }
      await rest(pauseMs, signal);
    }
  };

const head = (policy: string, length: number) =>
  `POST /validate/${policy} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
const whole = (policy: string, annotations: Readonly<Record<string, string>>) => {
  const body = reviewOf(annotations);
  return head(policy, Buffer.byteLength(body)) + body;
};

/** Asks a policy that misbehaves, over and over, and waits for each answer. */
const asking = (policy: string, annotations: Readonly<Record<string, string>>, pauseMs: number): Fault =>
  again(tls, (socket) =>
    new Promise<void>((resolve) => {
      socket.on("data", () => resolve());
      socket.on("close", () => resolve());
      socket.write(whole(policy, annotations));
    }), pauseMs);

const piece = Buffer.alloc(64 * 1024, 0x20);

/** By name. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  "silent connections": holding(tcp, () => {}),
  "silent connections that half-close": holding(tcp, (socket) => void socket.end()),
  "silent TLS connections": holding(tls, () => {}),
  "half headers": holding(tls, (socket) => void socket.write("POST /validate/loop HTTP/1.1\r\nhost: lo")),
  "half bodies": holding(tls, (socket) => {
    socket.write(head("loop", BODY_BYTES));
    for (let sent = 0; sent < BODY_BYTES - 100_000; sent += piece.length) socket.write(piece);
  }, 40),
  "resets in the midst of a body": again(resettable, (socket) => {
    socket.write(head("loop", BODY_BYTES));
    socket.write(piece);
    below.get(socket)?.resetAndDestroy();
  }, 5),
  "aborted handshakes": again(tcp, (socket) => void socket.write(Buffer.from("16030100", "hex")), 5),
  "bodies byte by byte": async (server, signal) => {
    const sockets = (await Promise.all(Array.from({ length: 20 }, () => tls(server)))).filter((socket) =>
      socket !== undefined
    );
    for (const socket of sockets) socket.resume().write(head("loop", 1000));
    while (!signal.aborted) {
      for (const socket of sockets) if (!socket.destroyed) socket.write(" ");
      await rest(100, signal);
    }
    for (const socket of sockets) socket.destroy();
  },
  "pipelined requests": again(tls, (socket) => {
    const request = whole("trap", {});
    socket.write(request.repeat(100));
    return new Promise<void>((resolve) => {
      let answers = 0;
      socket.on("data", (data) => {
        answers += data.toString("latin1").split("HTTP/1.1 ").length - 1;
        if (answers >= 100) resolve();
      });
      socket.on("close", () => resolve());
    });
  }, 50),
  "clients that give up on a slow policy": again(tls, async (socket) => {
    socket.write(whole("sleep", { do: "sleep", ms: "1500" }));
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
  }, 100),
  "handshakes": again(tls, () => {}, 2),
  "what is no request": again(
    tls,
    (socket) => void socket.write("\x00\x01 nonsense\r\n\r\n".repeat(100)),
    10,
  ),
  "loops": asking("loop", { do: "tight" }, 200),
  "exhausted memory": asking("memory", { do: "allocate" }, 200),
  "memory that grows and goes": asking("memory", { do: "grow", megabytes: "40" }, 20),
  "traps": asking("trap", { do: "unreachable" }, 5),
  "garbage": asking("garbage", { do: "megabytes" }, 20),
  "reloads": async (server, signal) => {
    while (!signal.aborted) {
      server.reload();
      await rest(5_000, signal);
    }
  },
  "certificate swaps": async (server, signal) => {
    while (!signal.aborted) {
      await server.swapCertificate();
      await rest(3_000, signal);
    }
  },
};
