/** A request and its answer, as far as the programs need them; every HTTP library's own are adapted to these. */

/** A request whose head has arrived. */
export interface HttpRequest {
  readonly method: string;
  /** Path and query, as the client sent them. */
  readonly target: string;
  /** Absolute, with any host: routers want a whole URL. */
  readonly url: string;
  readonly contentType: string | undefined;
  /** Reads the body. Rejects with {@link BodyError}. */
  body(): Promise<Uint8Array>;
  /** Aborted when the client goes away before it has the answer: what is done for it may end. */
  readonly signal: AbortSignal;
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
