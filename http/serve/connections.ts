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
import { ClosedReport } from "./closed_report.ts";

/** How often the sweep looks, in milliseconds: how much later than its time a connection may end. */
const SWEEP_MS = 250;
/** A body, or an answer that is being sent, may have to go for a new connection once it has taken so long, in milliseconds. */
const SLOW_MS = 1_000;
/** So many connections are looked at for one that never sent a byte: a flood must not make each of its connections costly. */
const MAX_LOOKED_AT = 64;

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

const now = () => performance.now();

/** The connections of one listener. */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #report: ClosedReport;
  /** In the order in which they came. */
  readonly #all = new Set<Connection>();
  #timer: NodeJS.Timeout | undefined;
  #hurrying = false;
  #onEmpty = () => {};

  constructor(
    limits: ConnectionLimits,
    onClosed: (reason: ClosedReason, connections: number) => void = () => {},
  ) {
    this.#limits = limits;
    this.#report = new ClosedReport(onClosed);
  }

  /** Takes in an accepted socket; undefined, and the socket destroyed, when there is no room. */
  add(raw: Socket): Connection | undefined {
    this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    if (this.#all.size >= this.#limits.maxConnections && !this.#shed()) {
      this.#report.count("refused");
      raw.destroy();
      return undefined;
    }
    const connection: Connection = {
      raw,
      state: "handshake",
      deadline: this.#after(this.#limits.handshakeMs),
      proven: false,
      bytesBefore: 0,
      speaking: undefined,
      exchanges: new Set(),
    };
    this.#all.add(connection);
    raw.on("close", () => this.#remove(connection));
    raw.on("error", () => this.destroy(connection));
    return connection;
  }

  /** HTTP may begin. */
  ready(connection: Connection, speaking: Speaking): void {
    if (connection.state !== "handshake") return;
    connection.state = "head";
    connection.deadline = this.#after(this.#limits.headMs);
    connection.speaking = speaking;
  }

  /** A request's head is whole. */
  begin(connection: Connection): Exchange {
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
  }

  /** Moves an exchange on; `ms` is how long the phase may last. */
  enter(exchange: Exchange, phase: Exchange["phase"], ms: number): void {
    exchange.phase = phase;
    exchange.since = now();
    exchange.deadline = ms === Infinity ? Infinity : this.#after(ms);
  }

  /** The answer has been taken. */
  finish(connection: Connection, exchange: Exchange): void {
    connection.exchanges.delete(exchange);
    if (connection.exchanges.size > 0 || connection.state !== "busy") return;
    connection.state = "idle";
    connection.bytesBefore = connection.speaking?.framed ? Infinity : connection.raw.bytesRead;
    connection.deadline = this.#after(this.#limits.idleMs);
    if (this.#hurrying) this.close(connection);
  }

  /** Closes our side once what was written is sent; the rest is dropped. */
  close(connection: Connection): void {
    if (connection.state === "closing") return;
    connection.state = "closing";
    connection.deadline = this.#after(this.#limits.lingerMs);
    connection.speaking?.end();
  }

  destroy(connection: Connection, reason?: ClosedReason): void {
    if (reason !== undefined && this.#all.has(connection)) this.#report.count(reason);
    connection.raw.destroy();
    // Not only when the runtime says so: its events may be late, or missing.
    this.#remove(connection);
  }

  /** Asks clients to send no further requests. */
  leave(): void {
    for (const { speaking } of this.#all) speaking?.leave();
  }

  /** Idle ones are closed, those under way hurry. */
  hurry(): void {
    this.#hurrying = true;
    this.#sweep();
    const soon = this.#after(this.#limits.endingMs);
    for (const connection of this.#all) {
      for (const exchange of connection.exchanges) {
        exchange.deadline = Math.min(exchange.deadline, exchange.phase === "answer" ? Infinity : soon);
      }
      if (connection.state === "idle") this.close(connection);
      else if (connection.state !== "busy") connection.deadline = Math.min(connection.deadline, soon);
    }
  }

  /** Resolves when none is left, which it sees to after `ms`. */
  gone(ms: number): Promise<void> {
    if (this.#all.size === 0) {
      this.#reportDue();
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const limit = setTimeout(() => {
        for (const connection of this.#all) {
          this.destroy(connection, connection.state === "closing" ? undefined : "ending");
        }
      }, ms);
      this.#onEmpty = () => {
        clearTimeout(limit);
        this.#reportDue();
        resolve();
      };
    });
  }

  #after(ms: number): number {
    return now() + (this.#hurrying ? Math.min(ms, this.#limits.endingMs) : ms);
  }

  #sweep(): void {
    const time = now();
    for (const connection of this.#all) {
      if (connection.state === "idle" && connection.raw.bytesRead > connection.bytesBefore) {
        connection.state = "head";
        connection.deadline = this.#after(this.#limits.headMs);
      }
      for (const exchange of connection.exchanges) {
        if (exchange.deadline <= time) this.#expireExchange(connection, exchange);
      }
      if (connection.deadline <= time) this.#expire(connection);
    }
    this.#reportDue();
    if (this.#all.size === 0 && this.#report.empty) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #expireExchange(connection: Connection, exchange: Exchange): void {
    exchange.deadline = Infinity;
    if (exchange.phase === "send") return this.destroy(connection, "send");
    exchange.failBody?.(new BodyError("timeout", "the body did not arrive in time"));
  }

  #expire(connection: Connection): void {
    switch (connection.state) {
      case "handshake":
        return this.destroy(connection, "handshake");
      case "head":
        if (connection.raw.bytesRead === connection.bytesBefore) return this.destroy(connection, "head");
        this.#report.count("head");
        connection.speaking?.refuseHead();
        return this.close(connection);
      case "idle":
        return this.close(connection);
      case "busy":
      case "closing":
        return this.destroy(connection);
    }
  }

  #remove(connection: Connection): void {
    if (!this.#all.delete(connection)) return;
    connection.state = "closing";
    for (const exchange of connection.exchanges) abandon(exchange);
    connection.exchanges.clear();
    if (this.#all.size === 0) {
      if (this.#hurrying) this.#reportDue();
      this.#onEmpty();
    }
  }

  /** Whatever is left is due once the last connection of a listener that ends is gone. */
  #reportDue(): void {
    this.#report.send(this.#hurrying && this.#all.size === 0);
  }

  /**
   * Makes room: first goes who never sent a byte, or else a whole head, the oldest first; then who is slow to send a body or to
   * take an answer; then who has had no request for longest.
   */
  #shed(): boolean {
    const slowSince = now() - SLOW_MS;
    let unproven: Connection | undefined, slow: Connection | undefined, idle: Connection | undefined;
    let looked = 0;
    for (const connection of this.#all) {
      if (connection.state === "closing") {
        this.destroy(connection);
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
    if (victim !== undefined) this.destroy(victim, "shed");
    return victim !== undefined;
  }
}

function abandon(exchange: Exchange): void {
  exchange.failBody?.(new BodyError("failed", "the client went away"));
  exchange.gone?.abort();
}
