/** What a listener is made with, and what it limits. */
import type { HttpHandler } from "./http.ts";

/** How long each state of a connection may last, in milliseconds, and how much all of them may hold. */
export interface ConnectionLimits {
  /** From accepting a connection until its TLS handshake is done. */
  readonly handshakeMs: number;
  /** From the handshake, or a later request's first byte, until the request's head is whole. */
  readonly headMs: number;
  /** From the head until the body is whole. The API server itself waits for at most 30 s for an answer. */
  readonly bodyMs: number;
  /** Until a client has taken an answer, or the next piece of it. */
  readonly sendMs: number;
  /** Without a request. Longer than the API server keeps idle connections (90 s), so that it is the one that closes them. */
  readonly idleMs: number;
  /** What a client that was refused still sends is read and dropped for so long: an early end would cost it the answer. */
  readonly lingerMs: number;
  /** While the listener ends: until what has begun to arrive, or is being sent, is whole. */
  readonly endingMs: number;
  readonly maxConnections: number;
  /** Of the descriptors that the process may have, what connections may take: with few it is less than `maxConnections`. */
  readonly descriptorShare: number;
  /** Of all bodies that are not whole yet. */
  readonly maxArrivingBytes: number;
  /** Whatever `maxArrivingBytes` says, so many of the largest bodies fit. */
  readonly largestAtOnce: number;
  /** Requests of all connections that wait for earlier ones of their own connection. */
  readonly maxPipelined: number;
}

export const LIMITS: ConnectionLimits = {
  handshakeMs: 10_000,
  headMs: 10_000,
  bodyMs: 30_000,
  sendMs: 30_000,
  idleMs: 240_000,
  lingerMs: 2_000,
  endingMs: 5_000,
  maxConnections: 2_048,
  descriptorShare: 0.5,
  maxArrivingBytes: 64 * 1024 * 1024,
  largestAtOnce: 4,
  maxPipelined: 10_000,
};

/** What each of `listeners` that share a port may take, so that all together take what one would. */
export function sharedLimits(limits: ConnectionLimits, listeners: number): ConnectionLimits {
  const share = (most: number) => Math.ceil(most / listeners);
  return {
    ...limits,
    maxConnections: share(limits.maxConnections),
    descriptorShare: limits.descriptorShare / listeners,
    maxArrivingBytes: share(limits.maxArrivingBytes),
    largestAtOnce: share(limits.largestAtOnce),
    maxPipelined: share(limits.maxPipelined),
  };
}

/** For listeners that answer probes and scrapes: a handful of clients, no bodies. */
export const PROBE_LIMITS: ConnectionLimits = {
  ...LIMITS,
  maxConnections: 128,
  descriptorShare: 0.1,
  maxArrivingBytes: 1024 * 1024,
  maxPipelined: 1_000,
};

/**
 * How long a listener still accepts once it is to end, in milliseconds: until then Endpoints, and the rules of each node that
 * follow them, may lead new connections here.
 */
export const STILL_ACCEPTING_MS = 3_000;

/** Why connections were closed that had done nothing to be answered for. */
export type ClosedReason = "handshake" | "head" | "send" | "shed" | "refused" | "pipelined" | "ending";

/** What a log says of each. */
export const CLOSED_TEXT: Readonly<Record<ClosedReason, string>> = {
  handshake: "the TLS handshake did not end in time",
  head: "the head of a request did not arrive in time",
  send: "the client did not take its answer in time",
  shed: "there were too many connections: those that had sent nothing for longest had to go",
  refused: "there were too many connections, all with requests under way",
  pipelined: "too many requests waited behind earlier ones of their connections",
  ending: "the grace period was over",
};

/** Certificate and key of a listener, and whom it asks for theirs. PEM texts. */
export interface TlsSettings {
  readonly cert: string;
  readonly key: string;
  /** Clients must show a certificate issued by (or equal to) one of these; undefined: they need none. */
  readonly clientCas: readonly string[] | undefined;
}

/** What a listener serves with. */
export interface ListenOptions {
  /** All addresses unless given. */
  readonly host: string | undefined;
  /** 0: any that is free. */
  readonly port: number;
  /** Whether other listeners of this user may have the port too (Linux); the system deals connections out to them. */
  readonly sharePort?: boolean;
  /** Undefined for plain HTTP. */
  readonly tls: TlsSettings | undefined;
  readonly handler: HttpHandler;
  /** The largest body that is taken. */
  readonly maxBodyBytes: number;
  /** {@link LIMITS} unless given. */
  readonly limits?: ConnectionLimits;
  /** Offers HTTP/2 in TLS handshakes; not unless true. */
  readonly http2?: boolean;
  /** Called with how many connections were closed since the last time, at most every ten seconds for each reason. */
  readonly onClosed?: (reason: ClosedReason, connections: number) => void;
}

/** How a listener ends. */
export interface Ending {
  /** Goes on accepting for so long, in milliseconds; answers ask clients to close their connections meanwhile. */
  readonly stillAcceptingMs: number;
  /** Whatever is not done by then, in milliseconds from now, is cut. */
  readonly graceMs: number;
}

export const AT_ONCE: Ending = { stillAcceptingMs: 0, graceMs: 0 };

/** A listener that serves. */
export interface HttpListener {
  /** The port it is bound to. */
  readonly port: number;
  /** New connections get these; established ones keep theirs. Throws when they can't be used. */
  setTls(tls: TlsSettings): void;
  /** Lets requests that have begun end, and closes connections as they fall idle. Resolves when all are closed. */
  end(ending: Ending): Promise<void>;
}
