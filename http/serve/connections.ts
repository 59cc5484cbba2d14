/**
 * The connections of a listener. Each is in one state, each state has its time, and all together have their bounds, so that
 * whatever clients do or leave undone, their descriptors and memory come back.
 *
 *             accept
 *               │
 *        ┌──────▼──────┐        ┌──────────────┐  head whole  ┌──────────────────────────────────────┐
 *        │  handshake  ├───────▶│     head     ├─────────────▶│ busy: each exchange passes through   │
 *        │ handshakeMs │ plain: │    headMs    │              │ answer ─▶ body ─▶ answer ─▶ send     │
 *        └──────┬──────┘ at     └──▲────────┬──┘              │           bodyMs            sendMs   │
 *               │        once      │        │ 408             └───┬─────────────┬─────────────────┬──┘
 *               │       first byte │        │   connection: close │      sent,  │                 │ not taken,
 *               │              ┌───┴────┐   │                     │  none waits │                 │ client gone
 *               │              │  idle  ◀───┼─────────────────────┼─────────────┘                 │
 *               │              │ idleMs │   │                     │                               │
 *               │              └───┬────┘   │                     │                               │
 *               │                  ▼        ▼                     ▼                               │
 *               │               ┌────────────────────────────────────┐                            │
 *               │               │ closing: our side is closed, what  │                            │
 *               │               │ still comes is dropped    lingerMs │                            │
 *               │               └─────────────────┬──────────────────┘                            │
 *               └────────────▶ destroyed ◀────────┴───────────────────────────────────────────────┘
 *
 * While the listener ends, idle connections go to closing, and head, body and send have no more than endingMs. The states are
 * left by one sweep over all connections, which costs requests nothing; idle becomes head where it finds that bytes were read.
 */
import type { Socket } from "node:net";
import { BodyError } from "../types/http.ts";
import type { ClosedReason, ConnectionLimits } from "../types/listener.ts";

/** How often the sweep looks, in milliseconds: how much later than its time a connection may end. */
const SWEEP_MS = 250;
/** A body, or an answer that is being sent, may have to go for a new connection once it has taken so long, in milliseconds. */
const SLOW_MS = 1_000;
/** So many connections are looked at for one that never sent a byte: a flood must not make each of its connections costly. */
const MAX_LOOKED_AT = 64;
/** How often a reason is reported. */
const REPORT_MS = 10_000;

/** A request and its answer. HTTP/2 has many at a time on one connection. */
export interface Exchange {
  phase: "answer" | "body" | "send";
  since: number;
  /** When `body` or `send` must be over. */
  deadline: number;
  /** Gives the body up that is being read. */
  failBody: ((reason: BodyError) => void) | undefined;
  /** Made when someone asks for its signal. */
  gone: AbortController | undefined;
}

/** How a connection that speaks HTTP is told things. */
export interface Speaking {
  /** Closes our side, as its protocol does it. */
  readonly end: () => void;
  /** Asks the client to send no further requests. HTTP/1.1 says so with an answer. */
  readonly leave: () => void;
  /** Answers a request whose head did not come in time. */
  readonly refuseHead: () => void;
  /** HTTP/2: bytes need not be a request's. */
  readonly framed: boolean;
}

export interface Connection {
  /** Holds the descriptor; under TLS the bytes of HTTP come and go elsewhere. */
  readonly raw: Socket;
  state: "handshake" | "head" | "busy" | "idle" | "closing";
  deadline: number;
  /** Whether it ever sent a whole head: the others are the first to go when there are too many. */
  proven: boolean;
  /** What had been read when it began to wait for another request. */
  bytesBefore: number;
  speaking: Speaking | undefined;
  readonly exchanges: Set<Exchange>;
}

export interface Connections {
  /** Takes in an accepted socket; undefined, and the socket destroyed, when there is no room. */
  add(raw: Socket): Connection | undefined;
  /** HTTP may begin. */
  ready(connection: Connection, speaking: Speaking): void;
  /** A request's head is whole. */
  begin(connection: Connection): Exchange;
  /** Moves an exchange on; `ms` is how long the phase may last. */
  enter(exchange: Exchange, phase: Exchange["phase"], ms: number): void;
  /** The answer has been taken. */
  finish(connection: Connection, exchange: Exchange): void;
  /** Closes our side once what was written is sent; the rest is dropped. */
  close(connection: Connection): void;
  destroy(connection: Connection, reason?: ClosedReason): void;
  /** Asks clients to send no further requests. */
  leave(): void;
  /** Idle ones are closed, those under way hurry. */
  hurry(): void;
  /** Resolves when none is left, which it sees to after `ms`. */
  gone(ms: number): Promise<void>;
  readonly size: () => number;
}

export function trackConnections(
  limits: ConnectionLimits,
  onClosed: (reason: ClosedReason, connections: number) => void = () => {},
): Connections {
  // In the order in which they came.
  const all = new Set<Connection>();
  const closed = new Map<ClosedReason, number>();
  const reported = new Map<ClosedReason, number>();
  let timer: NodeJS.Timeout | undefined;
  let hurrying = false;
  let onEmpty = () => {};

  const now = () => performance.now();
  const after = (ms: number) => now() + (hurrying ? Math.min(ms, limits.endingMs) : ms);

  /** One line for many: the log must not grow with the number of bad clients. */
  function report(): void {
    for (const [reason, count] of closed) {
      const last = reported.get(reason);
      if (last !== undefined && now() - last < REPORT_MS && !(hurrying && all.size === 0)) continue;
      reported.set(reason, now());
      closed.delete(reason);
      onClosed(reason, count);
    }
  }

  function sweep(): void {
    const time = now();
    for (const connection of all) {
      if (connection.state === "idle" && connection.raw.bytesRead > connection.bytesBefore) {
        connection.state = "head";
        connection.deadline = after(limits.headMs);
      }
      for (const exchange of connection.exchanges) {
        if (exchange.deadline <= time) expireExchange(connection, exchange);
      }
      if (connection.deadline <= time) expire(connection);
    }
    report();
    if (all.size === 0 && closed.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  }

  function expireExchange(connection: Connection, exchange: Exchange): void {
    exchange.deadline = Infinity;
    if (exchange.phase === "send") return destroy(connection, "send");
    exchange.failBody?.(new BodyError("timeout", "the body did not arrive in time"));
  }

  function expire(connection: Connection): void {
    switch (connection.state) {
      case "handshake":
        return destroy(connection, "handshake");
      case "head":
        if (connection.raw.bytesRead === connection.bytesBefore) return destroy(connection, "head");
        count("head");
        connection.speaking?.refuseHead();
        return close(connection);
      case "idle":
        return close(connection);
      case "busy":
      case "closing":
        return destroy(connection);
    }
  }

  const count = (reason: ClosedReason) => closed.set(reason, (closed.get(reason) ?? 0) + 1);

  function destroy(connection: Connection, reason?: ClosedReason): void {
    if (reason !== undefined && all.has(connection)) count(reason);
    connection.raw.destroy();
    // Not only when the runtime says so: its events may be late, or missing.
    remove(connection);
  }

  function remove(connection: Connection): void {
    if (!all.delete(connection)) return;
    connection.state = "closing";
    for (const exchange of connection.exchanges) abandon(exchange);
    connection.exchanges.clear();
    if (all.size === 0) {
      if (hurrying) report();
      onEmpty();
    }
  }

  function abandon(exchange: Exchange): void {
    exchange.failBody?.(new BodyError("failed", "the client went away"));
    exchange.gone?.abort();
  }

  function close(connection: Connection): void {
    if (connection.state === "closing") return;
    connection.state = "closing";
    connection.deadline = after(limits.lingerMs);
    connection.speaking?.end();
  }

  /**
   * Makes room: first goes who never sent a byte, or else a whole head, the oldest first; then who is slow to send a body or to
   * take an answer; then who has had no request for longest.
   */
  function shed(): boolean {
    const slowSince = now() - SLOW_MS;
    let unproven: Connection | undefined, slow: Connection | undefined, idle: Connection | undefined;
    let looked = 0;
    for (const connection of all) {
      if (connection.state === "closing") {
        destroy(connection);
        return true;
      }
      if (!connection.proven) {
        unproven ??= connection;
        // An honest client's first bytes come at once, be the end of its handshake as slow as this process is busy.
        if (connection.raw.bytesRead === 0) unproven = connection;
        if (connection.raw.bytesRead === 0 || ++looked === MAX_LOOKED_AT) break;
        continue;
      }
      if (connection.state === "idle" && (idle === undefined || connection.deadline < idle.deadline)) {
        idle = connection;
      }
      for (const { phase, since } of connection.exchanges) {
        if (phase !== "answer" && since < slowSince) slow ??= connection;
      }
    }
    const victim = unproven ?? slow ?? idle;
    if (victim !== undefined) destroy(victim, "shed");
    return victim !== undefined;
  }

  return {
    size: () => all.size,
    add(raw) {
      timer ??= setInterval(sweep, SWEEP_MS).unref();
      if (all.size >= limits.maxConnections && !shed()) {
        count("refused");
        raw.destroy();
        return undefined;
      }
      const connection: Connection = {
        raw,
        state: "handshake",
        deadline: after(limits.handshakeMs),
        proven: false,
        bytesBefore: 0,
        speaking: undefined,
        exchanges: new Set(),
      };
      all.add(connection);
      raw.on("close", () => remove(connection));
      raw.on("error", () => destroy(connection));
      return connection;
    },
    ready(connection, speaking) {
      if (connection.state !== "handshake") return;
      connection.state = "head";
      connection.deadline = after(limits.headMs);
      connection.speaking = speaking;
    },
    begin(connection) {
      connection.state = "busy";
      connection.proven = true;
      connection.deadline = Infinity;
      const exchange: Exchange = {
        phase: "answer",
        since: 0,
        deadline: Infinity,
        failBody: undefined,
        gone: undefined,
      };
      connection.exchanges.add(exchange);
      return exchange;
    },
    enter(exchange, phase, ms) {
      exchange.phase = phase;
      exchange.since = now();
      exchange.deadline = ms === Infinity ? Infinity : after(ms);
    },
    finish(connection, exchange) {
      connection.exchanges.delete(exchange);
      if (connection.exchanges.size > 0 || connection.state !== "busy") return;
      connection.state = "idle";
      connection.bytesBefore = connection.speaking?.framed ? Infinity : connection.raw.bytesRead;
      connection.deadline = after(limits.idleMs);
      if (hurrying) close(connection);
    },
    close,
    destroy,
    leave() {
      for (const { speaking } of all) speaking?.leave();
    },
    hurry() {
      hurrying = true;
      sweep();
      const soon = after(limits.endingMs);
      for (const connection of all) {
        for (const exchange of connection.exchanges) {
          exchange.deadline = Math.min(exchange.deadline, exchange.phase === "answer" ? Infinity : soon);
        }
        if (connection.state === "idle") close(connection);
        else if (connection.state !== "busy") connection.deadline = Math.min(connection.deadline, soon);
      }
    },
    gone(ms) {
      if (all.size === 0) {
        report();
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        const limit = setTimeout(() => {
          for (const connection of all) {
            destroy(connection, connection.state === "closing" ? undefined : "ending");
          }
        }, ms);
        onEmpty = () => {
          clearTimeout(limit);
          report();
          resolve();
        };
      });
    },
  };
}
