/** A request and its answer, as far as the server needs them; every HTTP library's own are adapted to these. */

/** A request whose head has arrived. */
export interface HttpRequest {
  readonly method: string;
  /** Absolute, with any host: routers want a whole URL. */
  readonly url: string;
  readonly contentType: string | undefined;
  /** Reads the body. Rejects with {@link BodyError}. */
  body(): Promise<Uint8Array>;
  /** Calls `listener` when the connection ends, answered or not. */
  readonly whenGone?: (listener: () => void) => void;
}

/** An answer. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Pieces are sent as they come; they never reject. */
  readonly body: string | Uint8Array | AsyncIterable<string>;
}

/** Whether a body comes in pieces. */
export function inPieces(body: HttpResponse["body"]): body is AsyncIterable<string> {
  return typeof body === "object" && Symbol.asyncIterator in body;
}

/** Answers requests; never rejects. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;

/** Raised when a body can't be read. */
export class BodyError extends Error {
  override readonly name = "BodyError";
  readonly reason: "too_large" | "failed" | "timeout" | "overloaded";

  constructor(reason: BodyError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** What a listener serves with. */
export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  /** PEM texts; undefined for plain HTTP. */
  readonly tls: TlsSettings | undefined;
  readonly handler: HttpHandler;
  readonly maxBodyBytes: number;
  /** A request must have arrived whole within this time, in milliseconds. */
  readonly requestTimeoutMs: number;
}

/** Certificate and key of a listener, and whom it asks for theirs. */
export interface TlsSettings {
  readonly cert: string;
  readonly key: string;
  /** Clients must show a certificate issued by (or equal to) one of these. */
  readonly clientCas: readonly string[] | undefined;
}

/** A listener that serves. */
export interface HttpListener {
  /** The port it is bound to. */
  readonly port: number;
  /** New connections get these; established ones keep theirs. */
  setTls(tls: TlsSettings): Promise<void>;
  /** Stops accepting, lets requests that have begun end, and closes connections as they fall idle. Resolves when all are closed. */
  drain(graceMs: number): Promise<void>;
}

/** Binds a listener. Rejects when the address can't be bound. */
export type Listen = (options: ListenOptions) => Promise<HttpListener>;
