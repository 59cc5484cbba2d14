/**
 * Connections of clients that may do as they like. Each is destroyed when its signal fires, and whoever waits for one waits for
 * nothing else: a server may leave a handshake undone, or close its side alone.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { reviewOf } from "../policy_server/requests.ts";

/** Connects to a port of this machine. Resolves to undefined when it comes to nothing. */
export type Open = (port: number, signal: AbortSignal) => Promise<Socket | undefined>;

/** Resolves when `signal` fires. */
export const fired = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

/** Resolves when a connection is closed, by whichever side. */
export const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });

function opened(socket: Socket, event: "connect" | "secureConnect", signal: AbortSignal) {
  return new Promise<Socket | undefined>((resolve) => {
    const end = () => {
      signal.removeEventListener("abort", end);
      socket.destroy();
      resolve(undefined);
    };
    signal.addEventListener("abort", end);
    socket.on("error", () => {}); // "close" comes after it
    socket.once("close", end);
    socket.once(event, () => resolve(socket));
    if (signal.aborted) end();
  });
}

export const tcp: Open = (port, signal) =>
  opened(connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true }), "connect", signal);

export const tls: Open = (port, signal) =>
  opened(connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false }), "secureConnect", signal);

/** What lies below a TLS connection of {@link resettable}: only that can be reset. */
const below = new WeakMap<Socket, Socket>();

/** A TLS connection through a stream of our own: Node breaks when the socket below a connection is reset under its feet. */
export const resettable: Open = async (port, signal) => {
  const raw = await tcp(port, signal);
  if (raw === undefined) return undefined;
  const stream = new Duplex({
    read() {},
    write: (piece, _encoding, done) => raw.write(piece, () => done()),
    final: (done) => raw.end(() => done()),
  });
  raw.on("data", (piece) => stream.push(piece));
  raw.on("end", () => stream.push(null));
  raw.on("close", () => stream.destroy());
  const socket = connectTls({ socket: stream, rejectUnauthorized: false });
  below.set(socket, raw);
  socket.on("close", () => raw.destroy());
  return await opened(socket, "secureConnect", signal);
};

/** Resets a connection of {@link resettable}. */
export function reset(socket: Socket): void {
  below.get(socket)?.resetAndDestroy();
  socket.destroy();
}

/** The head of a review. */
export const head = (policy: string, length: number): string =>
  `POST /validate/${policy} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;

/** A whole review. */
export function whole(policy: string, annotations: Readonly<Record<string, string>> = {}): string {
  const body = reviewOf(annotations);
  return head(policy, Buffer.byteLength(body)) + body;
}
