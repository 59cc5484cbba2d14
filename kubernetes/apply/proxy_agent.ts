/**
 * Connections to the API server through a proxy, alike on Node and on Bun: an agent of `node:https` or `node:http` that first opens a
 * tunnel, by CONNECT (RFC 9110 §9.3.6) or by SOCKS5 (RFC 1928, RFC 1929). Bun's own `fetch` has no SOCKS, joins the values of a header,
 * and asks `NO_PROXY` also where it is given a proxy.
 */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from "node:https";
import { isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { loadSocks } from "../../deps.ts";

/** What is wrong between us and the proxy; the message names the proxy without its login, and what to do. */
export class ProxyError extends Error {
  /** The name of the error. */
  override readonly name = "ProxyError";
}

/** How long a proxy may take to open a tunnel. */
const TUNNEL_MS = 30_000;

const bare = (hostname: string): string => hostname.replace(/^\[|\]$/g, "");
const isSocks = (proxy: URL): boolean => proxy.protocol.startsWith("socks5");

/** A percent sign that escapes nothing is one. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const login = (proxy: URL) =>
  proxy.username === "" && proxy.password === "" ? undefined : {
    user: unescaped(proxy.username),
    password: unescaped(proxy.password),
  };

/** The header by which a proxy is told who asks; empty without a login. */
export function proxyAuthorization(proxy: URL): Readonly<Record<string, string>> {
  const known = login(proxy);
  return known === undefined ? {} : {
    "proxy-authorization": `Basic ${Buffer.from(`${known.user}:${known.password}`).toString("base64")}`,
  };
}

/** A proxy's address without its login, for messages. */
const nameOf = (proxy: URL): string => `the proxy ${proxy.protocol}//${proxy.host}`;

/** How to connect to a proxy of HTTP; one that speaks TLS is trusted by the cluster's authority, as client-go does. */
export function proxyAddress(proxy: URL, { ca, rejectUnauthorized }: RequestOptions): RequestOptions {
  const host = bare(proxy.hostname);
  const secure = proxy.protocol === "https:";
  return {
    host,
    port: proxy.port === "" ? (secure ? 443 : 80) : Number(proxy.port),
    ...(secure && {
      ...(ca === undefined ? {} : { ca }),
      rejectUnauthorized: rejectUnauthorized ?? true,
      servername: isIP(host) === 0 ? host : "",
    }),
  };
}

function connectTunnel(proxy: URL, host: string, port: number, tls: RequestOptions): Promise<Socket> {
  const target = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    const send = proxy.protocol === "https:" ? httpsRequest : httpRequest;
    const request = send({
      ...proxyAddress(proxy, tls),
      method: "CONNECT",
      path: target,
      headers: { host: target, ...proxyAuthorization(proxy) },
      agent: false,
      timeout: TUNNEL_MS,
    });
    const refuse = (reason: string) => {
      reject(new ProxyError(`${nameOf(proxy)} ${reason}`));
      request.destroy();
    };
    request.once(
      "timeout",
      () => refuse(`did not open a connection to ${target} within ${TUNNEL_MS / 1000} s`),
    );
    request.once(
      "error",
      (error: NodeJS.ErrnoException) => refuse(`cannot be used (${error.code ?? error.message})`),
    );
    // A proxy that answers as if CONNECT were any request.
    request.once(
      "response",
      ({ statusCode }) => refuse(`answered CONNECT ${target} with status ${statusCode}`),
    );
    request.once("connect", ({ statusCode }, socket: Socket, head: Uint8Array) => {
      if (statusCode !== 200) {
        socket.destroy();
        const login = statusCode === 407
          ? ": it asks for a name and a password, write them into its URL"
          : "";
        return refuse(`answered CONNECT ${target} with status ${statusCode}${login}`);
      }
      socket.setTimeout(0);
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.end();
  });
}

async function socksTunnel(proxy: URL, host: string, port: number): Promise<Socket> {
  const { SocksClient } = await loadSocks();
  const known = login(proxy);
  try {
    // The name goes to the proxy as it is, which looks it up, as in client-go.
    const { socket } = await SocksClient.createConnection({
      command: "connect",
      timeout: TUNNEL_MS,
      destination: { host, port },
      proxy: {
        type: 5,
        host: bare(proxy.hostname),
        port: proxy.port === "" ? 1080 : Number(proxy.port),
        ...(known === undefined ? {} : { userId: known.user, password: known.password }),
      },
    });
    return socket;
  } catch (error) {
    // Of a SOCKS error the options are a part, with the password; its message has none of them.
    const { code, message } = error as NodeJS.ErrnoException;
    throw new ProxyError(
      `${nameOf(proxy)} did not open a connection to ${host}:${port} (${code ?? message})`,
    );
  }
}

type Connected = ((error: Error | null, socket: Duplex) => void) | undefined;

/** An agent is told of an error without a socket, which its type does not say. */
const failed = (error: Error, connected: Connected) =>
  (connected as ((error: Error) => void) | undefined)?.(error);

const tunnel = (proxy: URL, options: RequestOptions): Promise<Socket> => {
  const host = bare(String(options.host));
  const port = Number(options.port);
  return isSocks(proxy) ? socksTunnel(proxy, host, port) : connectTunnel(proxy, host, port, options);
};

class SecureTunnelAgent extends HttpsAgent {
  readonly #proxy: URL;
  constructor(proxy: URL, options: object) {
    super(options);
    this.#proxy = proxy;
  }
  override createConnection(options: RequestOptions, connected?: Connected): undefined {
    tunnel(this.#proxy, options)
      .then((socket) => super.createConnection({ ...options, socket } as never) as Duplex)
      .then((socket) => connected?.(null, socket), (error: Error) => failed(error, connected));
  }
}

class PlainTunnelAgent extends HttpAgent {
  readonly #proxy: URL;
  constructor(proxy: URL, options: object) {
    super(options);
    this.#proxy = proxy;
  }
  override createConnection(options: RequestOptions, connected?: Connected): undefined {
    tunnel(this.#proxy, options).then(
      (socket) => connected?.(null, socket),
      (error: Error) => failed(error, connected),
    );
  }
}

/** An agent whose connections go through `proxy`: to a server of `https` when `secure`, otherwise to one of `http` by SOCKS. */
export const tunnelAgent = (proxy: URL, secure: boolean, options: object): HttpsAgent | HttpAgent =>
  secure ? new SecureTunnelAgent(proxy, options) : new PlainTunnelAgent(proxy, options);

/** A request to a server of plain `http` is sent to an HTTP proxy itself; everything else needs a tunnel. */
export const needsTunnel = (proxy: URL, secure: boolean): boolean => secure || isSocks(proxy);
