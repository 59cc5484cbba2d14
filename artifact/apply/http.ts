/**
 * The HTTP client of this room: redirects under our rules, a time limit on every step, credentials that never follow a
 * redirect to another host, and errors that say which host, what happened, and what to do
 * (`spec/fetch-verify.md §2.4`).
 */
import { proxyFor } from "../render/proxy.ts";
import { namedAddress } from "../types/address.ts";
import { ArtifactError } from "../types/error.ts";
import type { Limits } from "../types/options.ts";
import type { Proxies } from "../types/sources.ts";
import { createTransport, type HttpMethod, type RawResponse, type TlsSettings } from "./http_transport.ts";
import { transportError } from "./transport_error.ts";

export type HttpRequest = {
  readonly method: HttpMethod;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The answer is a module or another large blob: `limits.transferMs` holds for it, not `limits.documentMs`. */
  readonly large?: boolean;
};

export type HttpResponse = {
  readonly status: number;
  /** Lower-case names. */
  readonly header: (name: string) => string | undefined;
  /** After redirects. */
  readonly url: string;
  /** The body in pieces; fails when a limit is passed or the connection breaks. Read it, or `discard` it. */
  readonly body: AsyncIterable<Uint8Array>;
  readonly discard: () => void;
};

export type HttpClient = {
  readonly send: (request: HttpRequest) => Promise<HttpResponse>;
  /** Ends what is left of the client's connections. */
  readonly close: () => Promise<void>;
};

export type HttpSettings = {
  /** Called once per request: a certificate that the runtime refuses must fail only its own host. */
  readonly tlsFor: (hostAndPort: string) => TlsSettings;
  /**
   * Whether a host may be spoken to without TLS. Asked for every `http:` URL, whoever named it: the user, a redirect, a token
   * realm, a layer's own addresses.
   */
  readonly plainAllowed: (hostAndPort: string) => boolean;
  readonly proxies: Proxies;
  readonly limits: Limits;
  readonly signal: AbortSignal | undefined;
};

export const USER_AGENT = "portreeve";
const MAX_REDIRECTS = 10;
const SMALL_BODY_BYTES = 16 * 1024;
const REDIRECTS = [301, 302, 303, 307, 308];

/** Ends an exchange that takes too long, or whose caller gave up; one per exchange. */
type Deadline = {
  readonly signal: AbortSignal;
  readonly reason: () => ArtifactError | undefined;
  /** From now on, `ms` until the exchange is stopped with this message. */
  readonly allow: (ms: number, message: string) => void;
  /** No limit until the next `allow`. */
  readonly rest: () => void;
  readonly stop: (reason: ArtifactError) => void;
  /** The exchange is over. */
  readonly end: () => void;
  /** The exchange is over, and what is left of its answer is not wanted. */
  readonly discard: () => void;
};

function createDeadline(ended: (deadline: Deadline) => void): Deadline {
  const controller = new AbortController();
  let reason: ArtifactError | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline: Deadline = {
    signal: controller.signal,
    reason: () => reason,
    allow: (ms, message) => {
      clearTimeout(timer);
      timer = setTimeout(() => deadline.stop(new ArtifactError("timeout", message)), ms);
    },
    rest: () => clearTimeout(timer),
    stop: (why) => {
      reason ??= why;
      clearTimeout(timer);
      controller.abort(reason);
    },
    end: () => {
      clearTimeout(timer);
      ended(deadline);
    },
    discard: () => {
      deadline.end();
      deadline.stop(new ArtifactError("aborted", "the answer was not read to its end"));
    },
  };
  return deadline;
}

function stoppedByCaller(): ArtifactError {
  return new ArtifactError("aborted", "stopped by the caller");
}

async function* readBody(
  raw: RawResponse,
  url: URL,
  deadline: Deadline,
  limits: Limits,
  wholeMs: number,
): AsyncIterable<Uint8Array> {
  const latest = performance.now() + wholeMs;
  let finished = false;
  const allow = () => {
    const left = latest - performance.now();
    if (left < limits.idleMs) {
      deadline.allow(
        Math.max(0, left),
        `${url.origin} needed more than ${wholeMs} ms to send ${url.pathname}`,
      );
    } else {deadline.allow(
        limits.idleMs,
        `${url.origin} sent nothing for ${limits.idleMs} ms while sending ${url.pathname}`,
      );}
  };
  try {
    allow();
    for await (const piece of raw.body) {
      // A reader that takes its time (a slow disk) is not the server's fault.
      deadline.rest();
      yield piece;
      allow();
    }
    finished = true;
  } catch (error) {
    throw deadline.reason() ?? transportError(url, error, undefined);
  } finally {
    if (finished) deadline.end();
    else deadline.discard();
  }
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const _piece of body);
  } catch {
    // Nobody wants this body, nor how it ended.
  }
}

/** The answer whose head has arrived. */
function responseTo(
  request: HttpRequest,
  raw: RawResponse,
  deadline: Deadline,
  limits: Limits,
): HttpResponse {
  const wholeMs = request.large && raw.status === 200
    ? limits.transferMs
    : Math.min(limits.documentMs, limits.transferMs);
  const body = readBody(raw, new URL(request.url), deadline, limits, wholeMs);
  const small = Number(raw.header("content-length") ?? "-1");
  const discard = () => {
    // A short body is read to its end, so that the connection can be used again.
    if (request.method === "HEAD" || (small >= 0 && small <= SMALL_BODY_BYTES)) void drain(body);
    else deadline.discard();
  };
  return { status: raw.status, header: raw.header, url: request.url, body, discard };
}

/** The next request of a redirect, `undefined` when the answer is to be taken as it is. */
function redirected(
  request: HttpRequest,
  response: HttpResponse,
  settings: HttpSettings,
): HttpRequest | undefined {
  const location = response.header("location");
  if (!REDIRECTS.includes(response.status) || location === undefined) return undefined;
  if (request.method !== "GET" && request.method !== "HEAD") return undefined;
  const from = new URL(request.url);
  const to = namedAddress(location, request.url, `${from.origin} redirects to`);
  if (from.protocol === "https:" && to.protocol === "http:" && !settings.plainAllowed(to.host)) {
    throw new ArtifactError(
      "protocol",
      `${from.origin} redirects to ${to.origin}, which gives TLS up: refused (list ${to.host} in insecure_sources to allow it)`,
    );
  }
  // What proves who we are is for the host that we meant to talk to.
  const { authorization: _authorization, ...rest } = request.headers;
  return { ...request, url: to.href, headers: to.origin === from.origin ? request.headers : rest };
}

/**
 * The one place that decides whether an address may be asked at all.
 *
 * @throws {ArtifactError} `connect` for plain HTTP to a host that is not listed, `protocol` for other schemes
 */
function requireAllowed(url: URL, settings: HttpSettings): void {
  if (url.protocol === "https:") return;
  if (url.protocol !== "http:") throw new ArtifactError("protocol", `unsupported address: ${url.protocol}`);
  if (settings.plainAllowed(url.host)) return;
  throw new ArtifactError(
    "connect",
    `${url.origin} is refused: without TLS only hosts in insecure_sources are spoken to (add "${url.host}" there)`,
  );
}

/** A client for one operation; close it when the operation is over. */
export function createHttpClient(settings: HttpSettings): HttpClient {
  const { limits } = settings;
  const transport = createTransport();
  const open = new Set<Deadline>();
  const onAbort = () => {
    for (const deadline of open) deadline.stop(stoppedByCaller());
  };
  settings.signal?.addEventListener("abort", onAbort);

  async function exchange(request: HttpRequest): Promise<HttpResponse> {
    const url = new URL(request.url);
    requireAllowed(url, settings);
    const proxy = proxyFor(url, settings.proxies);
    if (settings.signal?.aborted) throw stoppedByCaller();
    const deadline = createDeadline((ended) => open.delete(ended));
    open.add(deadline);
    deadline.allow(limits.responseMs, `${url.origin} did not answer within ${limits.responseMs} ms`);
    try {
      const raw = await transport.exchange(
        {
          method: request.method,
          url: request.url,
          headers: { "user-agent": USER_AGENT, "accept-encoding": "identity", ...request.headers },
          body: request.body,
          signal: deadline.signal,
        },
        { tls: settings.tlsFor(url.host), proxy, connectMs: limits.connectMs },
      );
      return responseTo(request, raw, deadline, limits);
    } catch (error) {
      deadline.end();
      throw deadline.reason() ?? transportError(url, error, proxy);
    }
  }

  return {
    send: async (request) => {
      let current = request;
      for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
        const response = await exchange(current);
        const next = redirected(current, response, settings);
        if (next === undefined) return response;
        response.discard();
        current = next;
      }
      throw new ArtifactError(
        "protocol",
        `${new URL(request.url).origin} redirects more than ${MAX_REDIRECTS} times`,
      );
    },
    close: async () => {
      // Answers that nobody read to their end, because an error came first.
      for (const deadline of open) deadline.discard();
      settings.signal?.removeEventListener("abort", onAbort);
      await transport.close();
    },
  };
}

/**
 * Reads a body into memory.
 *
 * @throws {ArtifactError} `limit` as soon as it is longer than `maxBytes`
 */
export async function readBytes(response: HttpResponse, maxBytes: number, what: string): Promise<Uint8Array> {
  const declared = Number(response.header("content-length") ?? "0");
  const tooLarge = () =>
    new ArtifactError(
      "limit",
      `${what} from ${new URL(response.url).origin} is larger than ${maxBytes} bytes`,
    );
  if (declared > maxBytes) {
    response.discard();
    throw tooLarge();
  }
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body) {
    length += piece.length;
    if (length > maxBytes) throw tooLarge();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
