/** TLS on the sockets of a listener: a `node:tls` server that never listens itself, another one for each certificate. */
import type { Socket } from "node:net";
import { createServer, type Server } from "node:tls";
import type { TlsSettings } from "../types/listener.ts";
import type { Connection } from "./connections.ts";
import type { Protocol } from "./exchange.ts";

const clientOf = ({ remoteAddress, remotePort, localAddress }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress}`;

/** Shakes hands, and hands the connection on to the version of HTTP that the client has chosen. */
export class Tls implements Protocol {
  readonly #http1: Protocol;
  readonly #http2: Protocol | undefined;
  /** The connections whose handshake runs, by their client: the TLS server does not say whose socket it got. */
  readonly #shaking = new Map<string, Connection>();
  #server: Server;

  /** @param http2 undefined: it is not offered */
  constructor(settings: TlsSettings, http1: Protocol, http2: Protocol | undefined) {
    this.#http1 = http1;
    this.#http2 = http2;
    this.#server = this.#serverOf(settings);
  }

  /** New connections get these. Throws when they can't be used. */
  use(settings: TlsSettings): void {
    this.#server = this.#serverOf(settings);
  }

  speak(connection: Connection, raw: Socket): void {
    const client = clientOf(raw);
    this.#shaking.set(client, connection);
    raw.on("close", () => {
      if (this.#shaking.get(client) === connection) this.#shaking.delete(client);
    });
    this.#server.emit("connection", raw);
  }

  #serverOf({ cert, key, clientCas }: TlsSettings): Server {
    const server = createServer({
      cert,
      key,
      minVersion: "TLSv1.2",
      ...(clientCas && { ca: [...clientCas], requestCert: true, rejectUnauthorized: true }),
      ...(this.#http2 && { ALPNProtocols: ["h2", "http/1.1"] }),
    });
    server.on("secureConnection", (socket) => {
      const client = clientOf(socket);
      const connection = this.#shaking.get(client);
      if (connection === undefined) return void socket.destroy();
      this.#shaking.delete(client);
      const http = socket.alpnProtocol === "h2" ? this.#http2 : this.#http1;
      http?.speak(connection, socket);
    });
    // There is nobody to answer.
    server.on("tlsClientError", (_error, socket) => void socket.destroy());
    return server;
  }
}
