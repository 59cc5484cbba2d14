/** Serves with `Bun.serve`, which is faster than `node:https` on Bun and can take new certificates. */
import {
  BodyError,
  type HttpListener,
  type HttpRequest,
  inPieces,
  type Listen,
  type TlsSettings,
} from "../types/http.ts";
import { type ArrivingBodies, arrivingBodies } from "./arriving_bodies.ts";

/** What is used of Bun; its own type declarations would hide mistakes in code that runs on Node too. */
interface BunServer {
  readonly port: number;
  readonly pendingRequests: number;
  stop(closeActiveConnections?: boolean): Promise<void>;
}
interface BunRuntime {
  serve(options: {
    hostname: string;
    port: number;
    reusePort: boolean;
    idleTimeout: number;
    maxRequestBodySize: number;
    tls?: unknown;
    fetch(request: Request): Promise<Response>;
    error(error: Error): Response;
  }): BunServer;
}

const EXPECTED_EMPTY = [204, 304];
const ENCODER = new TextEncoder();

/** A body that announces no more is taken in one piece, which is faster; its announced length counts as arrived. */
const SMALL_BODY_BYTES = 64 * 1024;

/** Reads a body piece by piece: what is too large is known before all of it is held. */
async function readPieces(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  tooLarge: () => Error,
  arrived: (bytes: number) => boolean,
  stopped: AbortSignal,
): Promise<Uint8Array> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  const reader = stream.getReader();
  stopped.addEventListener("abort", () => {
    pieces = [];
    void reader.cancel().catch(() => {});
  }, { once: true });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(pieces, length);
    length += value.length;
    if (length > maxBytes) throw tooLarge();
    if (!arrived(value.length)) throw new BodyError("failed", "the body was given up");
    pieces.push(value);
  }
}

/** Reads a body of at most `maxBytes` within `timeoutMs`. */
async function readBody(
  request: Request,
  maxBytes: number,
  timeoutMs: number,
  arriving: ArrivingBodies,
): Promise<Uint8Array> {
  const tooLarge = () => new BodyError("too_large", `length limit exceeded (${maxBytes} bytes)`);
  const announced = request.headers.get("content-length");
  const expected = Number(announced ?? Infinity);
  if (announced !== null && expected > maxBytes) throw tooLarge();
  const stop = new AbortController();
  let giveUp = (_reason: BodyError) => {};
  const givenUp = new Promise<never>((_, reject) => giveUp = reject);
  const body = arriving.begin((reason) => giveUp(reason));
  const timer = setTimeout(
    () => giveUp(new BodyError("timeout", "the body did not arrive in time")),
    timeoutMs,
  );
  try {
    const whole = expected > SMALL_BODY_BYTES && request.body
      ? readPieces(request.body, maxBytes, tooLarge, body.arrived, stop.signal)
      : (body.arrived(Math.min(expected, SMALL_BODY_BYTES)), request.arrayBuffer()).then((buffer) =>
        new Uint8Array(buffer)
      );
    return await Promise.race([whole, givenUp]);
  } catch (error) {
    stop.abort();
    if (error instanceof BodyError) throw error;
    throw new BodyError("failed", error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
    body.end();
  }
}

/** How long a listener that is to be closed still answers, telling its clients to connect anew. */
const RETIRE_MS = 1_000;

/** One of Bun's servers; while it retires, every answer asks the client to close the connection. */
interface Door {
  readonly server: BunServer;
  retiring: boolean;
}

/** Binds a listener. */
export const listenBun: Listen = ({ host, port, tls, handler, maxBodyBytes, requestTimeoutMs }) => {
  const bun = (globalThis as unknown as { Bun: BunRuntime }).Bun;
  const arriving = arrivingBodies(maxBodyBytes);
  let active = 0;

  const answer = async (request: Request, retiring: () => boolean): Promise<Response> => {
    active++;
    try {
      const adapted: HttpRequest = {
        method: request.method,
        url: request.url,
        contentType: request.headers.get("content-type") ?? undefined,
        body: () => readBody(request, maxBodyBytes, requestTimeoutMs, arriving),
        whenGone: (listener) => request.signal.addEventListener("abort", listener),
      };
      const { status, headers, body } = await handler(adapted);
      // Bun takes pieces as they are.
      const sent: unknown = inPieces(body) ? inBytes(body) : body;
      return new Response(EXPECTED_EMPTY.includes(status) ? null : sent as BodyInit, {
        status,
        headers: retiring() ? { ...headers, connection: "close" } : headers,
      });
    } finally {
      active--;
    }
  };
  /** The request is not done before its last piece is. */
  async function* inBytes(pieces: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
    active++;
    try {
      for await (const piece of pieces) yield ENCODER.encode(piece);
    } finally {
      active--;
    }
  }
  const open = (settings: TlsSettings | undefined, at: number, reusePort: boolean): Door => {
    const door: { server?: BunServer; retiring: boolean } = { retiring: false };
    door.server = bun.serve({
      hostname: host,
      port: at,
      reusePort,
      idleTimeout: 255,
      // One byte more than the limit reaches the handler, which knows how to say so.
      maxRequestBodySize: maxBodyBytes + 64 * 1024 * 1024,
      ...(settings && {
        tls: {
          cert: settings.cert,
          key: settings.key,
          ...(settings.clientCas && { ca: settings.clientCas, requestCert: true, rejectUnauthorized: true }),
        },
      }),
      fetch: (request) => answer(request, () => door.retiring),
      error: () => new Response('{"message":"Something went wrong","status":500}', { status: 500 }),
    });
    return door as Door;
  };
  let current: Door;
  try {
    // A listener with new certificates is opened beside the old one, see setTls; that needs a shared port. A port that another
    // process shares already would be shared too, so it is bound for ourselves once before.
    if (tls !== undefined && port !== 0) void open(tls, port, false).server.stop(true);
    current = open(tls, port, tls !== undefined);
  } catch (error) {
    return Promise.reject(error);
  }
  const bound = current.server.port;
  const doors = new Set([current]);
  /** Bun closes idle connections when it stops to listen, so their clients are asked to leave first. */
  const retire = async (door: Door, forMs: number) => {
    door.retiring = true;
    await new Promise((resolve) => setTimeout(resolve, forMs));
    void door.server.stop(false);
  };
  return Promise.resolve(
    {
      port: bound,
      setTls: (next) => {
        const old = current;
        current = open(next, bound, true);
        doors.add(current);
        void retire(old, RETIRE_MS).then(() => doors.delete(old));
        return Promise.resolve();
      },
      drain: async (graceMs) => {
        const until = performance.now() + graceMs;
        const open = [...doors];
        await Promise.all(open.map((door) => retire(door, Math.min(graceMs, RETIRE_MS))));
        while (active > 0 && performance.now() < until) {
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        await Promise.all(open.map((door) => door.server.stop(true)));
      },
    } satisfies HttpListener,
  );
};
