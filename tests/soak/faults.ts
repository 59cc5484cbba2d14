/** What a soak does to the server while answers are checked: each is a client, or many, that may do as it likes. */
import type { Socket } from "node:net";
import { sleep } from "../../program/apply/sleep.ts";
import type { Observed } from "./observed.ts";
import { fired, head, type Open, reset, resettable, tcp, tls, whole } from "./sockets.ts";

/** Does its worst until `signal` fires, and then lets go of all that it holds. */
export type Fault = (server: Observed, signal: AbortSignal) => Promise<void>;

/** Connections of one attack that are open at once. */
const CONNECTIONS = 100;
const BODY_BYTES = 7_900_000;

/** Opens many connections, does `use` with each, and holds them until the end. */
const holding = (open: Open, use: (socket: Socket) => void, connections = CONNECTIONS): Fault =>
async (
  { port },
  signal,
) => {
  for (let count = 0; count < connections && !signal.aborted; count++) {
    const socket = await open(port, signal);
    if (socket) use(socket.resume());
  }
  await fired(signal);
};

/** Does `use` with one connection after the other. */
const again =
  (open: Open, use: (socket: Socket) => Promise<void> | void, pauseMs: number): Fault =>
  async ({ port }, signal) => {
    const end = fired(signal);
    while (!signal.aborted) {
      const socket = await open(port, signal);
      if (socket) {
        await Promise.race([use(socket.resume()), end]);
        socket.destroy();
      }
      await sleep(pauseMs, signal);
    }
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
    reset(socket);
  }, 5),
  "aborted handshakes": again(tcp, (socket) => void socket.write(Buffer.from("16030100", "hex")), 5),
  "bodies byte by byte": async ({ port }, signal) => {
    const opening = Array.from({ length: 20 }, () => tls(port, signal));
    const sockets = (await Promise.all(opening)).filter((socket) => socket !== undefined);
    for (const socket of sockets) socket.resume().write(head("loop", 1000));
    while (!signal.aborted) {
      for (const socket of sockets) if (!socket.destroyed) socket.write(" ");
      await sleep(100, signal);
    }
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
    await sleep(50);
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
      await sleep(5_000, signal);
    }
  },
  "certificate swaps": async (server, signal) => {
    while (!signal.aborted) {
      await server.swapCertificate();
      await sleep(3_000, signal);
    }
  },
};
