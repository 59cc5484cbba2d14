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
  const grpc = await loadGrpc();
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(settings.headers)) metadata.set(name, value);
  const files = settings.tls && absolute(settings.tls);
  let material = files && readMaterial(files);

  const connect = (): Grpc.Client => {
    let credentials: Grpc.ChannelCredentials;
    try {
      credentials = material === undefined
        ? grpc.credentials.createInsecure()
        : grpc.credentials.createSsl(material.ca, material.key, material.cert);
    } catch (error) {
      const names = [files?.ca, files?.client?.cert, files?.client?.key];
      throw new Error(
        `the certificates for the OpenTelemetry collector can't be used (${
          names.filter((name) => name !== undefined).join(", ")
        }): ${(error as Error).message}`,
      );
    }
    return new grpc.Client(settings.target, credentials, {
      "grpc.default_compression_algorithm": settings.compression === "gzip" ? GZIP : 0,
      // Proxies of the environment are for the way to registries.
      "grpc.enable_http_proxy": 0,
      // A new client is a new connection, and not the old one under a new name.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_reconnect_backoff_ms": 30_000,
    });
  };
  let client = connect();
  let closed = false;
  let arriving: boolean | undefined;

  const tell = (error: string | undefined): void => {
    const now = error === undefined;
    const former = arriving;
    if (closed || former === now) return;
    arriving = now;
    const fields = { endpoint: settings.target };
    const what = WORDS[settings.signal];
    if (error !== undefined) {
      report("warn", `the OpenTelemetry collector does not take ${what}, they are tried again`, {
        ...fields,
        error: error.slice(0, MAX_ERROR_LENGTH),
      });
    } else if (former === false) report("info", `the OpenTelemetry collector takes ${what} again`, fields);
  };
  const reconnect = (): void => {
    const old = client;
    client = connect();
    old.close();
  };
  /** A connection that seems to stand and does not answer: the other end may be gone without a word. */
  const isDead = (code: string): boolean =>
    code === "DEADLINE_EXCEEDED" &&
    client.getChannel().getConnectivityState(false) === grpc.connectivityState.READY;
  /** Certificates are exchanged while the process runs: after a failure the files are looked at. */
  const renew = (): void => {
    if (files === undefined || closed) return;
    try {
      const next = readMaterial(files);
      const before = material!;
      if (same(next.ca, before.ca) && same(next.cert, before.cert) && same(next.key, before.key)) return;
      material = next;
      reconnect();
    } catch {
      // Half written: the next failure looks again.
    }
  };

  return {
    send: (message) =>
      new Promise((settle) => {
        if (closed) return settle("again");
        client.makeUnaryRequest(
          PATHS[settings.signal],
          identity<Buffer>,
          identity<Buffer>,
          Buffer.from(message.buffer, message.byteOffset, message.byteLength),
          metadata,
          { deadline: Date.now() + settings.timeoutMs },
          (error) => {
            if (error === null) {
              tell(undefined);
              return settle("arrived");
            }
            const code = grpc.status[error.code];
            tell(`${code}: ${error.details}`);
            if (!closed && isDead(code)) reconnect();
            renew();
            settle(PASSING.has(code) ? "again" : "refused");
          },
        );
      }),
    close() {
      closed = true;
      client.close();
    },
  };
}
