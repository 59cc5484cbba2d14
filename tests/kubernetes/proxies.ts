/** Proxies on loopback, of the kinds that a kubeconfig may name. Every host that they are asked for is this machine. */
import { createServer as createHttpServer, type IncomingMessage, request, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type Proxy = {
  readonly port: number;
  /** `CONNECT host:port`, `GET http://…`, `SOCKS host:port`, in order; a login that was refused is `REFUSED`. */
  readonly seen: string[];
  stop(): Promise<void>;
};

async function started(
  server: { listen: Server["listen"]; address: Server["address"]; close: Server["close"] },
  sockets: Set<Socket>,
  seen: string[],
): Promise<Proxy> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const keep = (sockets: Set<Socket>) => (socket: Socket) => {
  sockets.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
};

/**
 * A proxy of HTTP.
 *
 * @param login `user:password` that it asks for
 * @param tls what it serves by, if it speaks TLS itself
 */
export function startHttpProxy(
  { login, tls }: {
    readonly login?: string;
    readonly tls?: { readonly cert: string; readonly key: string };
  } = {},
): Promise<Proxy> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const refused = ({ headers }: IncomingMessage) =>
    login !== undefined &&
    headers["proxy-authorization"] !== `Basic ${Buffer.from(login).toString("base64")}`;
  const server = tls === undefined ? createHttpServer() : createHttpsServer(tls);
  server.on("request", (asked: IncomingMessage, response) => {
    if (refused(asked)) {
      seen.push("REFUSED");
      return void response.writeHead(407).end();
    }
    seen.push(`${asked.method} ${asked.url}`);
    const target = new URL(asked.url ?? "");
    const { "proxy-authorization": _login, ...headers } = asked.headers;
    const onward = request(
      {
        host: "127.0.0.1",
        port: target.port,
        path: target.pathname + target.search,
        method: asked.method,
        headers,
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    asked.pipe(onward);
  });
  server.on("connect", (asked: IncomingMessage, socket: Socket) => {
    if (refused(asked)) {
      seen.push("REFUSED");
      return void socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    }
    seen.push(`CONNECT ${asked.url}`);
    const target = connect(Number(/\d+$/.exec(asked.url ?? "")?.[0]), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      target.pipe(socket).pipe(target);
    });
    keep(sockets)(target);
    socket.on("close", () => target.destroy());
    target.on("close", () => socket.destroy());
  });
  server.on("connection", keep(sockets));
  server.on("tlsClientError", () => {});
  return started(server as Server, sockets, seen);
}

/** A proxy of SOCKS5 (RFC 1928; RFC 1929 for a login). */
export function startSocksProxy(login?: string): Promise<Proxy> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    keep(sockets)(socket);
    void (async () => {
      let held = Buffer.alloc(0);
      const read = async (length: number): Promise<Buffer> => {
        while (held.length < length) {
          const piece = socket.read() as Buffer | null;
          if (piece === null) await new Promise((resolve) => socket.once("readable", resolve));
          else held = Buffer.concat([held, piece]);
        }
        const taken = held.subarray(0, length);
        held = held.subarray(length);
        return taken;
      };
      const methods = await read((await read(2))[1]!);
      const wanted = login === undefined ? 0 : 2;
      if (!methods.includes(wanted)) {
        seen.push("REFUSED");
        return void socket.end(Buffer.from([5, 0xff]));
      }
      socket.write(Buffer.from([5, wanted]));
      if (login !== undefined) {
        const user = await read((await read(2))[1]!);
        const password = await read((await read(1))[0]!);
        const right = `${user}:${password}` === login;
        socket.write(Buffer.from([1, right ? 0 : 1]));
        if (!right) {
          seen.push("REFUSED");
          return void socket.end();
        }
      }
      const kind = (await read(4))[3]!;
      const host = kind === 3 ? String(await read((await read(1))[0]!)) : [...await read(4)].join(".");
      const port = (await read(2)).readUInt16BE();
      seen.push(`SOCKS ${host}:${port}`);
      const target = connect(port, "127.0.0.1", () => {
        socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
        target.pipe(socket).pipe(target);
      });
      keep(sockets)(target);
      socket.on("close", () => target.destroy());
      target.on("close", () => socket.destroy());
    })();
  });
  return started(server as unknown as Server, sockets, seen);
}
