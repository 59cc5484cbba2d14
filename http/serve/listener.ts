/**
 * A listener, the same on Node and on Bun. A TCP listener accepts; TLS and HTTP are spoken by servers of `node:tls` and
 * `node:http` that never listen themselves but are handed its sockets. So every descriptor is known from its first moment, and
 * a new certificate is another `node:tls` server for the connections from then on: Bun can't change the one of a server that
 * runs. `Bun.serve`, which costs 20 µs less a request, tells of no connection before its first request, answers none of several
 * requests sent at once, and resets connections that wait when it closes (measured with 1.4.5). Bun's `node:tls` takes sockets
 * from 1.4.0 on.
 */
import { type AddressInfo, createServer, type ListenOptions as Address, type Server } from "node:net";
import { descriptorLimit } from "../apply/descriptor_limit.ts";
import { type ConnectionLimits, type HttpListener, LIMITS, type ListenOptions } from "../types/listener.ts";
import { arrivingBodies } from "./arriving_bodies.ts";
import { Connections } from "./connections.ts";
import type { Protocol, Speech } from "./exchange.ts";
import { Http1 } from "./http1.ts";
import { Tls } from "./tls.ts";

/** How long the listening socket may take to close, in milliseconds. */
const CLOSING_MS = 1_000;

/** Fewer are of no use, whatever the process may have. */
const MIN_CONNECTIONS = 8;

/**
 * Connections that wait to be accepted. Many are taken at once, before any of them is read; with room for all of them, none has
 * to go that had no chance to send something.
 */
const MAX_BACKLOG = 511;

const delay = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms).unref());

function withinDescriptors(limits: ConnectionLimits): ConnectionLimits {
  const share = Math.floor(descriptorLimit() * limits.descriptorShare);
  return { ...limits, maxConnections: Math.min(limits.maxConnections, Math.max(MIN_CONNECTIONS, share)) };
}

/** Binds a listener. Rejects when the address can't be bound, or the certificate can't be used. */
export async function listen(options: ListenOptions): Promise<HttpListener> {
  const { host, port, handler, maxBodyBytes, http2 = false, sharePort = false } = options;
  const limits = withinDescriptors(options.limits ?? LIMITS);
  let ending = false;
  const connections = new Connections(limits, options.onClosed);
  const speech: Speech = {
    handler,
    connections,
    limits,
    maxBodyBytes,
    arriving: arrivingBodies(maxBodyBytes, limits),
    ending: () => ending,
  };
  const http1 = new Http1(speech);
  const framed = http2 ? new (await import("./http2.ts")).Http2(speech) : undefined;
  const tls = options.tls && new Tls(options.tls, http1, framed);
  const first: Protocol = tls ?? http1;

  const front = createServer({ noDelay: true, allowHalfOpen: tls === undefined }, (raw) => {
    const connection = connections.add(raw);
    if (connection !== undefined) first.speak(connection, raw);
  });
  const backlog = Math.min(MAX_BACKLOG, Math.ceil(limits.maxConnections / 4));
  await bind(front, { port, host, backlog, reusePort: sharePort });
  front.on("error", () => {}); // of single connections that could not be accepted

  return {
    port: (front.address() as AddressInfo).port,
    setTls: (next) => tls?.use(next),
    async end({ stillAcceptingMs, graceMs }) {
      const until = performance.now() + graceMs;
      ending = true;
      connections.leave();
      if (stillAcceptingMs > 0) await delay(Math.min(stillAcceptingMs, graceMs));
      const closed = new Promise<void>((resolve) => front.close(() => resolve()));
      connections.hurry();
      await connections.gone(Math.max(0, until - performance.now()));
      await Promise.race([closed, delay(CLOSING_MS)]);
    },
  };
}

/** Resolves when the server listens; rejects when it can't. */
function bind(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(address, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
