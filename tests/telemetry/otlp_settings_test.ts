// The standard variables of an OTLP exporter (spec/policy-server.md §12, §13, §19 row 18).
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  batchSettings,
  exportIntervalMs,
  otlpSettings,
  temporality,
} from "../../telemetry/render/otlp_settings.ts";

const P = "OTEL_EXPORTER_OTLP_";
const metrics = (env: Record<string, string>) => otlpSettings("METRICS", env);

test("nothing given: a collector beside the process, unencrypted", () => {
  assert.equal(metrics({}), {
    settings: {
      signal: "METRICS",
      target: "localhost:4317",
      tls: undefined,
      headers: {},
      timeoutMs: 10_000,
      compression: "none",
    },
    notices: [],
  });
});

const ENDPOINTS: readonly (readonly [endpoint: string, target: string, encrypted: boolean])[] = [
  ["http://collector:4317", "collector:4317", false],
  [" https://collector:4317/ ", "collector:4317", true],
  ["https://collector/v1/metrics", "collector:443", true],
  ["http://collector", "collector:80", false],
  ["collector:4317", "collector:4317", true],
  ["collector:443", "collector:443", true],
  ["collector", "collector:4317", true],
  ["http://[::1]:4317", "[::1]:4317", false],
  ["HTTP://collector:1", "collector:1", false],
  ["unix:///run/otel.sock", "unix:///run/otel.sock", false],
];

test("an endpoint's scheme decides on encryption", () => {
  for (const [endpoint, target, encrypted] of ENDPOINTS) {
    const { settings } = metrics({ [`${P}ENDPOINT`]: endpoint });
    assert.is(settings.target, target, endpoint);
    assert.is(settings.tls !== undefined, encrypted, endpoint);
  }
  assert.is(
    metrics({ [`${P}ENDPOINT`]: "https://localhost:4317", [`${P}INSECURE`]: "true" }).settings.tls,
    undefined,
  );
  assert.ok(metrics({ [`${P}ENDPOINT`]: "https://localhost:4317", [`${P}INSECURE`]: "false" }).settings.tls);
  assert.throws(
    () => metrics({ [`${P}METRICS_ENDPOINT`]: "ftp://x" }),
    /^OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "ftp:\/\/x" is no/,
  );
  assert.throws(() => metrics({ [`${P}ENDPOINT`]: "http://" }), /is no endpoint/);
});

test("a signal's own variable goes before the one for all, blank ones don't count", () => {
  const env: Record<string, string> = { [`${P}ENDPOINT`]: "https://all:1" };
  for (const name of ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"]) {
    env[P + name] = `all-${name}`;
    env[`${P}TRACES_${name}`] = `traces-${name}`;
    env[`${P}METRICS_${name}`] = " ";
  }
  Object.assign(env, {
    [`${P}TRACES_ENDPOINT`]: "https://traces:2",
    [`${P}TIMEOUT`]: "2000",
    [`${P}TRACES_TIMEOUT`]: "3000",
    [`${P}COMPRESSION`]: "gzip",
    [`${P}TRACES_COMPRESSION`]: "none",
    [`${P}HEADERS`]: "a=1, B=two%20words ,c=3",
    [`${P}TRACES_HEADERS`]: "c=4",
  });
  assert.equal(metrics(env).settings, {
    signal: "METRICS",
    target: "all:1",
    tls: { ca: "all-CERTIFICATE", client: { cert: "all-CLIENT_CERTIFICATE", key: "all-CLIENT_KEY" } },
    headers: { a: "1", b: "two words", c: "3" },
    timeoutMs: 2000,
    compression: "gzip",
  });
  assert.equal(otlpSettings("TRACES", env).settings, {
    signal: "TRACES",
    target: "traces:2",
    tls: {
      ca: "traces-CERTIFICATE",
      client: { cert: "traces-CLIENT_CERTIFICATE", key: "traces-CLIENT_KEY" },
    },
    headers: { a: "1", b: "two words", c: "4" },
    timeoutMs: 3000,
    compression: "none",
  });
});

test("what can't be used is said, without values of headers", () => {
  const { settings, notices } = metrics({
    [`${P}ENDPOINT`]: "https://c:1",
    [`${P}TIMEOUT`]: "soon",
    [`${P}COMPRESSION`]: "zstd",
    [`${P}PROTOCOL`]: "http/protobuf",
    [`${P}CLIENT_KEY`]: "k",
    [`${P}HEADERS`]: "good=1,no value,bad name=secret,x=sec\u00e9ret",
  });
  assert.equal(settings.headers, { good: "1" });
  assert.is(settings.timeoutMs, 10_000);
  assert.is(settings.tls?.client, undefined);
  assert.is(notices.length, 7, notices.join("\n"));
  assert.not.match(notices.join("\n"), /secret|sec\u00e9ret/);
});

test("intervals, temporality, batches", () => {
  const notices: string[] = [];
  assert.is(exportIntervalMs({}, notices), 60_000);
  assert.is(exportIntervalMs({ OTEL_METRIC_EXPORT_INTERVAL: "250" }, notices), 250);
  const preference = (value: string) =>
    temporality({ [`${P}METRICS_TEMPORALITY_PREFERENCE`]: value }, notices);
  assert.equal(["", "Cumulative", "delta", "LowMemory"].map(preference), [
    "cumulative",
    "cumulative",
    "delta",
    "delta",
  ]);
  assert.equal(batchSettings({}, notices), { queue: 2048, batch: 512, delayMs: 5000 });
  const env = {
    OTEL_BSP_MAX_QUEUE_SIZE: "10",
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "20",
    OTEL_BSP_SCHEDULE_DELAY: "30",
  };
  assert.equal(batchSettings(env, notices), { queue: 10, batch: 10, delayMs: 30 });
  assert.equal(notices, []);
  preference("sometimes");
  batchSettings({ OTEL_BSP_MAX_QUEUE_SIZE: "-1" }, notices);
  assert.is(notices.length, 2);
});

test.run();
