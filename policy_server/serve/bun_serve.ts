/** Serves with `Bun.serve`, which is faster than `node:https` on Bun and can take new certificates. */
import {
  BodyError,
  type HttpListener,
  type HttpRequest,
  type Listen,
  type TlsSettings,
} from "../types/http.ts";

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

/** Reads a body that came without its length, piece by piece: what is too large is known before all of it is held. */
async function readPieces(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  tooLarge: () => Error,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(pieces, length);
    length += value.length;
    if (length > maxBytes) {
      void reader.cancel().catch(() => {});
      throw tooLarge();
    }
    pieces.push(value);
  }
}

/** Reads a body of at most `maxBytes` within `timeoutMs`. */
async function readBody(request: Request, maxBytes: number, timeoutMs: number): Promise<Uint8Array> {
  const tooLarge = () => new BodyError("too_large", `length limit exceeded (${maxBytes} bytes)`);
  const announced = request.headers.get("content-length");
  if (Number(announced ?? 0) > maxBytes) throw tooLarge();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new BodyError("timeout", "the body did not arrive in time")), timeoutMs);
  });
  try {
    const whole = announced === null && request.body
      ? readPieces(request.body, maxBytes, tooLarge)
      : request.arrayBuffer().then((buffer) => new Uint8Array(buffer));
    return await Promise.race([whole, late]);
  } catch (error) {
    if (error instanceof BodyError) throw error;
    throw new BodyError("failed", error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
  }
}

/** Binds a listener. */
export const listenBun: Listen = ({ host, port, tls, handler, maxBodyBytes, requestTimeoutMs }) => {
  const bun = (globalThis as unknown as { Bun: BunRuntime }).Bun;
  let draining = false;
  let active = 0;

  const serve = async (request: Request): Promise<Response> => {
    active++;
    try {
      const adapted: HttpRequest = {
        method: request.method,
        url: request.url,
        contentType: request.headers.get("content-type") ?? undefined,
        body: () => readBody(request, maxBodyBytes, requestTimeoutMs),
      };
      const { status, headers, body } = await handler(adapted);
      return new Response(EXPECTED_EMPTY.includes(status) ? null : body, {
        status,
        headers: draining ? { ...headers, connection: "close" } : headers,
      });
    } finally {
      active--;
    }
  };
  const open = (settings: TlsSettings | undefined, at: number, reusePort: boolean): BunServer =>
    bun.serve({
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
      fetch: serve,
      error: () => new Response('{"message":"Something went wrong","status":500}', { status: 500 }),
    });
  let server: BunServer;
  try {
    // A listener with new certificates is opened beside the old one, see setTls; that needs a shared port. A port that another
    // process shares already would be shared too, so it is bound for ourselves once before.
    if (tls !== undefined && port !== 0) void open(tls, port, false).stop(true);
    server = open(tls, port, tls !== undefined);
  } catch (error) {
    return Promise.reject(error);
  }
  const bound = server.port;
  return Promise.resolve(
    {
      port: bound,
      setTls: (next) => {
        const old = server;
        server = open(next, bound, true);
        // Established connections of the old one are served until their clients close them.
        void old.stop(false);
        return Promise.resolve();
      },
      drain: async (graceMs) => {
        draining = true;
        const until = performance.now() + graceMs;
        // Keeps answering for a moment, with `connection: close`: requests on their way over idle connections must not fail.
        void server.stop(false);
        await new Promise((resolve) => setTimeout(resolve, Math.min(graceMs, 1_000)));
        while (active > 0 && performance.now() < until) {
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        await server.stop(true);
      },
    } satisfies HttpListener,
  );
};
