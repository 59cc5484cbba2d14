/**
 * A connection to a collector: OTLP's messages as unary gRPC calls. gRPC connects anew by itself; whether messages arrive is
 * reported when it changes, not each time.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Grpc, loadGrpc } from "../../deps.ts";
import type { OtlpSettings, TlsFiles } from "../render/otlp_settings.ts";
import type { Report } from "../types/report.ts";

const PATHS = {
  METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
  TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
} as const;
const WORDS = { METRICS: "metrics", TRACES: "traces" } as const;
/** gRPC's number for it. */
const GZIP = 2;
const MAX_ERROR_LENGTH = 300;

/** Codes after which the same message may be sent again, as OTLP's protocol says. */
const PASSING: ReadonlySet<string> = new Set([
  "CANCELLED",
  "DEADLINE_EXCEEDED",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNAVAILABLE",
  "DATA_LOSS",
]);

/** What became of a message: it arrived, it may be sent again, or the collector does not want it. */
export type Delivery = "arrived" | "again" | "refused";

/** A collector. */
export interface OtlpChannel {
  /** Sends one message. Never rejects. */
  send(message: Uint8Array): Promise<Delivery>;
  close(): void;
}

type TlsMaterial = { readonly ca: Buffer | null; readonly cert: Buffer | null; readonly key: Buffer | null };

function read(path: string, what: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`cannot read the ${what} for the OpenTelemetry collector: ${(error as Error).message}`);
  }
}

/** Files are read again later, when the working directory may be another. */
const absolute = ({ ca, client }: TlsFiles): TlsFiles => ({
  ca: ca === undefined ? undefined : resolve(ca),
  client: client && { cert: resolve(client.cert), key: resolve(client.key) },
});

function readMaterial({ ca, client }: TlsFiles): TlsMaterial {
  return {
    ca: ca === undefined ? null : read(ca, "CA certificate"),
    cert: client === undefined ? null : read(client.cert, "client certificate"),
    key: client === undefined ? null : read(client.key, "client key"),
  };
}

const same = (a: Buffer | null, b: Buffer | null) => a === b || (a !== null && b !== null && a.equals(b));
const identity = <T>(value: T): T => value;

/** Opens a channel; nothing is sent yet. Rejects when a file can't be read or is no certificate. */
export async function openOtlpChannel(settings: OtlpSettings, report: Report): Promise<OtlpChannel> {
  return new GrpcChannel(await loadGrpc(), settings, report);
}

class GrpcChannel implements OtlpChannel {
  readonly #grpc: typeof Grpc;
  readonly #settings: OtlpSettings;
  readonly #report: Report;
  readonly #metadata: Grpc.Metadata;
  readonly #files: TlsFiles | undefined;
  #material: TlsMaterial | undefined;
  #client: Grpc.Client;
  #closed = false;
  #arriving: boolean | undefined;

  constructor(grpc: typeof Grpc, settings: OtlpSettings, report: Report) {
    this.#grpc = grpc;
    this.#settings = settings;
    this.#report = report;
    this.#metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(settings.headers)) this.#metadata.set(name, value);
    this.#files = settings.tls && absolute(settings.tls);
    this.#material = this.#files && readMaterial(this.#files);
    this.#client = this.#connect();
  }

  #connect(): Grpc.Client {
    const { target, compression } = this.#settings;
    return new this.#grpc.Client(target, this.#credentials(), {
      "grpc.default_compression_algorithm": compression === "gzip" ? GZIP : 0,
      // Proxies of the environment are for the way to registries.
      "grpc.enable_http_proxy": 0,
      // A new client is a new connection, and not the old one under a new name.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_reconnect_backoff_ms": 30_000,
    });
  }

  #credentials(): Grpc.ChannelCredentials {
    const { createInsecure, createSsl } = this.#grpc.credentials;
    try {
      if (this.#material === undefined) return createInsecure();
      const { ca, key, cert } = this.#material;
      return createSsl(ca, key, cert);
    } catch (error) {
      const { ca, client } = this.#files ?? {};
      const names = [ca, client?.cert, client?.key].filter((name) => name !== undefined).join(", ");
      throw new Error(
        `the certificates for the OpenTelemetry collector can't be used (${names}): ${
          (error as Error).message
        }`,
      );
    }
  }

  send(message: Uint8Array): Promise<Delivery> {
    return new Promise((settle) => {
      if (this.#closed) return settle("again");
      this.#client.makeUnaryRequest(
        PATHS[this.#settings.signal],
        identity<Buffer>,
        identity<Buffer>,
        Buffer.from(message.buffer, message.byteOffset, message.byteLength),
        this.#metadata,
        { deadline: Date.now() + this.#settings.timeoutMs },
        (error) => settle(this.#delivery(error)),
      );
    });
  }

  /** What became of a message, after what there is to do about it. */
  #delivery(error: Grpc.ServiceError | null): Delivery {
    if (error === null) {
      this.#reportChange(undefined);
      return "arrived";
    }
    const code = this.#grpc.status[error.code];
    this.#reportChange(`${code}: ${error.details}`);
    if (!this.#closed && this.#isDead(code)) this.#reconnect();
    this.#renew();
    return PASSING.has(code) ? "again" : "refused";
  }

  /** Reports that messages arrive, or why they don't, where that has changed. */
  #reportChange(error: string | undefined): void {
    const now = error === undefined;
    const former = this.#arriving;
    if (this.#closed || former === now) return;
    this.#arriving = now;
    const fields = { endpoint: this.#settings.target };
    const what = WORDS[this.#settings.signal];
    if (error !== undefined) {
      this.#report("warn", `the OpenTelemetry collector does not take ${what}, they are tried again`, {
        ...fields,
        error: error.slice(0, MAX_ERROR_LENGTH),
      });
    } else if (former === false) {
      this.#report("info", `the OpenTelemetry collector takes ${what} again`, fields);
    }
  }

  /** A connection that seems to stand and does not answer: the other end may be gone without a word. */
  #isDead(code: string): boolean {
    return code === "DEADLINE_EXCEEDED" &&
      this.#client.getChannel().getConnectivityState(false) === this.#grpc.connectivityState.READY;
  }

  /** Certificates are exchanged while the process runs: after a failure the files are looked at. */
  #renew(): void {
    if (this.#files === undefined || this.#closed) return;
    try {
      const next = readMaterial(this.#files);
      const before = this.#material!;
      if (same(next.ca, before.ca) && same(next.cert, before.cert) && same(next.key, before.key)) return;
      this.#material = next;
      this.#reconnect();
    } catch {
      // Half written: the next failure looks again.
    }
  }

  #reconnect(): void {
    const old = this.#client;
    this.#client = this.#connect();
    old.close();
  }

  close(): void {
    this.#closed = true;
    this.#client.close();
  }
}
