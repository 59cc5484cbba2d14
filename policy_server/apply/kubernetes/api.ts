/** Questions to the Kubernetes API, answered in bytes: bounded in size and time, with errors that say what was asked. */
import { joined } from "../../../program/types/bytes.ts";
import type { ApiResponse, ApiTransport } from "../../../kubernetes/apply/api_transport.ts";
import { sleep } from "../../../program/apply/sleep.ts";

/** The API server's answer when it is no success. */
export class ApiFailure extends Error {
  override readonly name = "ApiFailure";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }

  /** Whether the same question would be refused again: no such resource, or no right to read it. */
  get refused(): boolean {
    return this.status === 401 || this.status === 403 || this.status === 404;
  }
}

/** An answer had more bytes than were allowed. */
export class TooLargeError extends Error {
  override readonly name = "TooLargeError";
}

/** How one question is asked. */
export interface AskOptions {
  /** The answer may have this many bytes. */
  readonly maxBytes: number;
  /** It must be there whole after this many milliseconds. */
  readonly limitMs: number;
  readonly signal?: AbortSignal;
}

/** What is asked of a cluster. All methods throw {@link ApiFailure} for an answer that is no success. */
export interface ClusterApi {
  get(path: string, options: AskOptions): Promise<Uint8Array>;
  post(path: string, body: string, options: AskOptions): Promise<Uint8Array>;
  /** The lines of an answer that does not end; `signal` ends it. */
  lines(path: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** A throttled question is asked again this often, after what the server asks for but at most so many milliseconds. */
const THROTTLE_RETRIES = 2;
const THROTTLE_WAIT_MS = 2_000;
/** An event holds one object; etcd takes up to 1.5 MiB, and a little more with all its options. */
const LINE_BYTES = 16 * 1024 * 1024;
const ERROR_BYTES = 64 * 1024;

async function readAll(response: ApiResponse, maxBytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.chunks()) {
    size += piece.length;
    if (size > maxBytes) throw new TooLargeError(`the answer has more than ${maxBytes} bytes`);
    pieces.push(piece);
  }
  return pieces.length === 1 ? pieces[0]! : joined(pieces, size);
}

async function failureOf(response: ApiResponse): Promise<ApiFailure> {
  const text = new TextDecoder().decode(await readAll(response, ERROR_BYTES).catch(() => new Uint8Array()));
  let message = text.trim().slice(0, 300);
  try {
    message = (JSON.parse(text) as { readonly message?: string }).message || message;
  } catch {
    // Not every error comes from the API server itself; a proxy's is shown as it is.
  }
  return new ApiFailure(response.status, message || `HTTP status ${response.status}`);
}

/** The bytes between line feeds. Throws {@link TooLargeError} for a line without end. */
async function* splitLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let begun: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const last = chunk.subarray(start, end);
      start = end + 1;
      const line = begun.length === 0 ? last : joined([...begun, last], size + last.length);
      begun = [];
      size = 0;
      if (line.length > 0) yield line;
    }
    if (start === chunk.length) continue;
    begun.push(chunk.slice(start));
    size += chunk.length - start;
    if (size > LINE_BYTES) {
      throw new TooLargeError(`the watch sent an event of more than ${LINE_BYTES} bytes`);
    }
  }
}

/** The questions, asked over a transport. */
export function clusterApi(transport: ApiTransport): ClusterApi {
  async function ask(method: string, path: string, body: string | undefined, options: AskOptions) {
    const limit = new AbortController();
    const timer = setTimeout(
      () => limit.abort(new Error(`the API server did not answer within ${options.limitMs / 1000} s`)),
      options.limitMs,
    );
    const signal = options.signal ? AbortSignal.any([options.signal, limit.signal]) : limit.signal;
    try {
      for (let attempt = 0;; attempt++) {
        const response = await transport.request({
          method,
          path,
          body,
          signal,
          headers: {
            accept: "application/json",
            ...(body === undefined ? {} : { "content-type": "application/json" }),
          },
        });
        if (response.status >= 200 && response.status < 300) return await readAll(response, options.maxBytes);
        const failure = await failureOf(response);
        const retryAfter = Number(response.headers["retry-after"] ?? NaN);
        const throttled = response.status === 429 || (response.status === 503 && !Number.isNaN(retryAfter));
        if (!throttled || attempt >= THROTTLE_RETRIES) throw failure;
        await sleep(Math.min((retryAfter || 1) * 1000, THROTTLE_WAIT_MS), signal);
      }
    } catch (error) {
      // What the runtimes throw for an aborted request differs and says nothing.
      if (limit.signal.aborted) throw limit.signal.reason;
      if (error instanceof ApiFailure || error instanceof TooLargeError || options.signal?.aborted) {
        throw error;
      }
      throw new Error(`cannot reach the Kubernetes API at ${transport.server}: ${connectionError(error)}`, {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
  }
  return {
    get: (path, options) => ask("GET", path, undefined, options),
    post: (path, body, options) => ask("POST", path, body, options),
    async *lines(path, signal) {
      const response = await transport.request({
        method: "GET",
        path,
        signal,
        headers: { accept: "application/json" },
      });
      if (response.status !== 200) throw await failureOf(response);
      yield* splitLines(response.chunks());
    },
  };
}

/** The message of a failed connection; Node's is empty when several addresses were tried. */
function connectionError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || String((error as { code?: unknown }).code ?? error.name);
}
