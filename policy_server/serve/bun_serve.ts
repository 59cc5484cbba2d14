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

/** Reads a body of at most `maxBytes` within `timeoutMs`. */
async function readBody(request: Request, maxBytes: number, timeoutMs: number): Promise<Uint8Array> {
  const tooLarge = () => new BodyError("too_large", `length limit exceeded (${maxBytes} bytes)`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new BodyError("timeout", "the body did not arrive in time")), timeoutMs);
  });
  try {
    const bytes = new Uint8Array(await Promise.race([request.arrayBuffer(), late]));
    if (bytes.length > maxBytes) throw tooLarge();
    return bytes;
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
  const open = (settings: TlsSettings | undefined, at: number): BunServer =>
    bun.serve({
      hostname: host,
      port: at,
      // A listener with new certificates is opened beside the old one, see setTls.
      reusePort: settings !== undefined,
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
    server = open(tls, port);
  } catch (error) {
    return Promise.reject(error);
  }
  const bound = server.port;
  return Promise.resolve(
    {
      port: bound,
      setTls: (next) => {
        const old = server;
        server = open(next, bound);
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
