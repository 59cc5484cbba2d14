/**
 * The standard variables of an OTLP/gRPC exporter (`OTEL_EXPORTER_OTLP_*`), read for one signal: a variable of the signal's own
 * (`…_METRICS_…`, `…_TRACES_…`) goes before the one for all (spec/policy-server.md §12, §19 row 18).
 */
import { own, setOwn } from "../../program/types/own.ts";
import type { Temporality } from "../types/metrics.ts";

export type Signal = "METRICS" | "TRACES";
export type Environment = Readonly<Record<string, string | undefined>>;

/** PEM files; without a CA the certificates that the runtime knows are trusted. */
export type TlsFiles = {
  readonly ca: string | undefined;
  readonly client: { readonly cert: string; readonly key: string } | undefined;
};

/** How to reach a collector. */
export type OtlpSettings = {
  readonly signal: Signal;
  /** Host and port, or `unix:PATH`. */
  readonly target: string;
  /** `undefined`: without encryption. */
  readonly tls: TlsFiles | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** How long one push may take. */
  readonly timeoutMs: number;
  readonly compression: "none" | "gzip";
};

/** Settings, and one line for each variable that is not used as it was given. */
export type OtlpReading = { readonly settings: OtlpSettings; readonly notices: readonly string[] };

const DEFAULT_ENDPOINT = "http://localhost:4317";
const DEFAULT_TIMEOUT_MS = 10_000;
const PREFIX = "OTEL_EXPORTER_OTLP_";
/** What gRPC lets a header's name be; `-bin` ones would hold bytes. */
const HEADER_NAME = /^[a-z0-9_.-]+$/;
const HEADER_VALUE = /^[\x20-\x7e]*$/;

type Found = { readonly name: string; readonly value: string } | undefined;

/** The first of the variables that is not blank. */
function first(env: Environment, ...names: readonly string[]): Found {
  for (const name of names) {
    const value = own(env, name)?.trim();
    if (value !== undefined && value !== "") return { name, value };
  }
  return undefined;
}

function endpoint(found: Found): { readonly target: string; readonly scheme: "http" | "https" | undefined } {
  const { name, value } = found ?? { name: "", value: DEFAULT_ENDPOINT };
  if (value.startsWith("unix:")) return { target: value, scheme: undefined };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value)?.[1]?.toLowerCase();
  const text = scheme === undefined ? `https://${value}` : value;
  if ((scheme !== undefined && scheme !== "http" && scheme !== "https") || !URL.canParse(text)) {
    throw new Error(`${name}: "${value}" is no endpoint, such as http://localhost:4317`);
  }
  const { hostname, port } = new URL(text);
  const standard = scheme === "http" ? "80" : scheme === "https" ? "443" : "4317";
  // The parser drops a port that is the scheme's own.
  const given = port === "" && scheme === undefined && /:443(?:\/|$)/.test(value) ? "443" : port;
  return { target: `${hostname}:${given || standard}`, scheme };
}

function headers(found: Found, notices: string[]): Readonly<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const pair of found?.value.split(",") ?? []) {
    if (pair.trim() === "") continue;
    const equals = pair.indexOf("=");
    const name = pair.slice(0, Math.max(equals, 0)).trim().toLowerCase();
    let value = pair.slice(equals + 1).trim();
    try {
      value = decodeURIComponent(value);
    } catch {
      // No escapes: taken as it is.
    }
    // Values may be secrets: only the name is said.
    if (!HEADER_NAME.test(name) || name.endsWith("-bin") || !HEADER_VALUE.test(value)) {
      notices.push(`${found!.name}: the header "${name}" is left out, it is not NAME=VALUE in plain ASCII`);
    } else setOwn(result, name, value);
  }
  return result;
}

/** Whole milliseconds above zero, or the default with a notice. */
function milliseconds(found: Found, fallback: number, notices: string[]): number {
  if (found === undefined) return fallback;
  const number = Number(found.value);
  if (Number.isFinite(number) && number >= 1) return Math.min(Math.floor(number), 2 ** 31 - 1);
  notices.push(`${found.name}: "${found.value}" is no number of milliseconds, ${fallback} is used`);
  return fallback;
}

/** Reads the variables. Throws an Error that names the variable when there is no way to go on. */
export function otlpSettings(signal: Signal, env: Environment): OtlpReading {
  const notices: string[] = [];
  const variable = (name: string) => first(env, `${PREFIX}${signal}_${name}`, PREFIX + name);
  const { target, scheme } = endpoint(variable("ENDPOINT"));
  const insecure = variable("INSECURE")?.value.toLowerCase() === "true";
  const compression = variable("COMPRESSION");
  if (compression !== undefined && compression.value !== "none" && compression.value !== "gzip") {
    notices.push(`${compression.name}: "${compression.value}" is neither none nor gzip, none is used`);
  }
  const protocol = variable("PROTOCOL");
  if (protocol !== undefined && protocol.value !== "grpc") {
    notices.push(`${protocol.name}: "${protocol.value}" is not supported, grpc is used`);
  }
  const cert = variable("CLIENT_CERTIFICATE"), key = variable("CLIENT_KEY");
  // INSECURE wins over https, as it does in the original controller: its chart gives both to a sidecar.
  const encrypted = scheme !== "http" && !insecure && !target.startsWith("unix:");
  if (encrypted && (cert === undefined) !== (key === undefined)) {
    notices.push(
      `${
        (cert ?? key)!.name
      }: no client certificate is shown, that needs both ${PREFIX}CLIENT_CERTIFICATE and ${PREFIX}CLIENT_KEY`,
    );
  }
  return {
    settings: {
      signal,
      target,
      tls: !encrypted ? undefined : {
        ca: variable("CERTIFICATE")?.value,
        client: cert && key ? { cert: cert.value, key: key.value } : undefined,
      },
      headers: {
        ...headers(first(env, `${PREFIX}HEADERS`), notices),
        ...headers(first(env, `${PREFIX}${signal}_HEADERS`), notices),
      },
      timeoutMs: milliseconds(variable("TIMEOUT"), DEFAULT_TIMEOUT_MS, notices),
      compression: compression?.value === "gzip" ? "gzip" : "none",
    },
    notices,
  };
}

/** `OTEL_METRIC_EXPORT_INTERVAL` in milliseconds, 60 s unless given. */
export function exportIntervalMs(env: Environment, notices: string[]): number {
  return milliseconds(first(env, "OTEL_METRIC_EXPORT_INTERVAL"), 60_000, notices);
}

/** `lowmemory` is delta for all instruments that there are here. */
export function temporality(env: Environment, notices: string[]): Temporality {
  const found = first(env, `${PREFIX}METRICS_TEMPORALITY_PREFERENCE`);
  const value = found?.value.toLowerCase() ?? "cumulative";
  if (value === "delta" || value === "lowmemory") return "delta";
  if (value !== "cumulative") {
    notices.push(`${found!.name}: "${found!.value}" is not known, cumulative is used`);
  }
  return "cumulative";
}

/** How spans are gathered before they are sent. */
export type BatchSettings = {
  /** Spans that wait; further ones are dropped. */
  readonly queue: number;
  /** Spans of one push. */
  readonly batch: number;
  /** How long a span waits for others. */
  readonly delayMs: number;
};

/** The variables `OTEL_BSP_*`. */
export function batchSettings(env: Environment, notices: string[]): BatchSettings {
  const count = (name: string, fallback: number, most: number) => {
    const found = first(env, name);
    if (found === undefined) return fallback;
    const number = Number(found.value);
    if (Number.isInteger(number) && number >= 1) return Math.min(number, most);
    notices.push(`${name}: "${found.value}" is no number of spans, ${fallback} is used`);
    return fallback;
  };
  const queue = count("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 65_536);
  return {
    queue,
    batch: Math.min(queue, count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 65_536)),
    delayMs: milliseconds(first(env, "OTEL_BSP_SCHEDULE_DELAY"), 5_000, notices),
  };
}
