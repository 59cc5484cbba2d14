// What an OpenTelemetry collector gets of a running server (spec/policy-server.md §12, §13, §17 row 12, §19 row 18), and that the
// server serves on without one.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LATENCY_BOUNDS_MS } from "../../policy_server/types/metrics.ts";
import { type Metric, type Span, startReceiver } from "../telemetry/receiver.ts";
import { identity } from "./certificates.ts";
import { ask, reviewOf } from "./requests.ts";
import { failing, freePort, moduleUrl, serving, until } from "./server_process.ts";

const POD_PRIVILEGED = moduleUrl("policies/pod-privileged/policy.wasm");
const POLICIES = {
  psp: { module: POD_PRIVILEGED },
  watched: { module: POD_PRIVILEGED, policyMode: "monitor" },
  raw: { module: moduleUrl("policies/raw-quota/policy.wasm"), settings: { quotas: { t: { r: 1 } } } },
  logger: { module: moduleUrl("tests/policies/logger/policy.wasm") },
  broken: { module: "file:///nowhere/policy.wasm" },
  pair: {
    expression: "member() && true",
    message: "the pair says no",
    policies: { member: { module: POD_PRIVILEGED } },
  },
};
const PRIVILEGED = reviewOf({}, {
  name: "demo",
  namespace: "shop",
  subResource: "status",
  requestKind: { group: "", version: "v1", kind: "Pod" },
  object: { spec: { containers: [{ name: "c", image: "i", securityContext: { privileged: true } }] } },
});
const FLAGS = ["--enable-metrics", "--log-fmt", "otlp", "--continue-on-errors"];
const FAST = { OTEL_METRIC_EXPORT_INTERVAL: "100", OTEL_BSP_SCHEDULE_DELAY: "50", HOSTNAME: "pod-7" };

test("metrics and spans arrive over mutual TLS, as they are specified", async () => {
  const ca = await identity("collector ca");
  const [server, client] = [await identity("collector", ca), await identity("policy server", ca)];
  const receiver = await startReceiver({ tls: { cert: server.cert, key: server.key, clientCa: ca.cert } });
  const files = (folder: string) => {
    mkdirSync(join(folder, "otel"));
    writeFileSync(join(folder, "otel/ca.crt"), ca.cert);
    writeFileSync(join(folder, "otel/tls.crt"), client.cert);
    writeFileSync(join(folder, "otel/tls.key"), client.key);
  };
  const env = {
    ...FAST,
    OTEL_EXPORTER_OTLP_ENDPOINT: `https://localhost:${receiver.port}`,
    OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=all,x-signal=any",
    OTEL_EXPORTER_OTLP_METRICS_HEADERS: "x-signal=metrics",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_EXPORTER_OTLP_CERTIFICATE: "otel/ca.crt",
    OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE: "otel/tls.crt",
    OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY: "otel/tls.key",
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE: "otel/tls.crt",
    OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: "otel/tls.key",
    OTEL_RESOURCE_ATTRIBUTES: "team=blue",
  };
  try {
    await serving({ policies: POLICIES, flags: FLAGS, env, prepare: files, tls: false }, async (running) => {
      const send = async (path: string, body: string) => {
        const { status } = await ask(running, { path, body });
        assert.is(status, 200);
      };
      await send("/validate/psp", PRIVILEGED);
      await send("/validate/watched", PRIVILEGED);
      await send("/audit/psp", reviewOf());
      await send("/validate/pair", PRIVILEGED);
      await send("/validate_raw/raw", JSON.stringify({ request: { uid: "r", tenant: "t" } }));
      await send("/validate/broken", PRIVILEGED);
      await send("/validate/logger", reviewOf());
      await ask(running, { path: "/validate/absent", body: reviewOf() });
      const counters = () => receiver.metrics.at(-1)?.find(({ kind }) => kind === "sum")?.points ?? [];
      await until(() => counters().length === 7, () => JSON.stringify(counters()));
      await until(
        () => receiver.spans.filter(({ name }) => name === "request").length === 8,
        () => receiver.spans.map(({ name }) => name).join(),
      );
      checkMetrics(receiver.metrics.at(-1)!);
      checkSpans(receiver.spans);
      assert.match(running.stdout(), /INFO tower_http::trace::on_response: finished processing request/);
      assert.is(running.lines("OpenTelemetry").length, 0);
      const before = receiver.spans.length;
      await send("/validate/psp", reviewOf());
      running.signal("SIGTERM");
      assert.equal(await running.exited, { code: 0, signal: null });
      assert.ok(receiver.spans.length > before);
      assert.is(counters().reduce((sum, { int }) => sum + int!, 0), 8, "the last push holds all");
    });
  } finally {
    receiver.stop();
  }
});

function checkMetrics(metrics: readonly Metric[]): void {
  assert.equal(metrics.map(({ name, kind }) => [name, kind]), [
    ["kubewarden_policy_evaluations_total", "sum"],
    ["kubewarden_policy_evaluation_latency_milliseconds", "histogram"],
  ]);
  for (const { scope, unit, temporality, resource } of metrics) {
    assert.equal([scope, unit, temporality], ["kubewarden", "", 2]);
    assert.equal(resource["service.name"], { string: "unknown_service:policy-server" });
    assert.equal(resource["team"], { string: "blue" });
  }
  const [counter, latency] = metrics as [Metric, Metric];
  assert.ok(counter.monotonic);
  const of = (metric: Metric, policy: string, origin?: string) =>
    metric.points.filter(({ attributes }) =>
      attributes["policy_name"]?.string === policy &&
      (origin === undefined || attributes["request_origin"]?.string === origin)
    );
  const denied = {
    policy_name: { string: "psp" },
    policy_mode: { string: "protect" },
    resource_kind: { string: "Pod" },
    resource_request_operation: { string: "CREATE" },
    request_origin: { string: "validate" },
    accepted: { bool: false },
    mutated: { bool: false },
    resource_namespace: { string: "shop" },
  };
  const [point, ...others] = of(counter, "psp", "validate");
  assert.is(others.length, 0);
  assert.is(point!.int, 1);
  assert.equal(point!.attributes, denied);
  assert.equal(of(counter, "watched")[0]!.attributes, {
    ...denied,
    policy_name: { string: "watched" },
    policy_mode: { string: "monitor" },
  });
  assert.equal(of(counter, "psp", "audit")[0]!.attributes["accepted"], { bool: true });
  assert.equal(Object.keys(of(counter, "raw")[0]!.attributes).slice(0, 4), [
    "policy_name",
    "policy_mode",
    "accepted",
    "mutated",
  ]);
  const [broken] = of(counter, "broken");
  assert.equal(Object.keys(broken!.attributes), ["policy_name", "initialization_error"]);
  assert.is(latency.points.length, 6, "not of policies that could not be made ready");
  const [timed] = of(latency, "psp", "validate");
  assert.equal(timed!.attributes, denied);
  assert.equal(timed!.bounds, LATENCY_BOUNDS_MS);
  assert.is(timed!.counts!.length, LATENCY_BOUNDS_MS.length + 1);
  assert.is(timed!.count, 1);
  assert.is(timed!.counts!.reduce((sum, count) => sum + count, 0), 1);
  assert.ok(timed!.start < timed!.time);
}

function checkSpans(spans: readonly Span[]): void {
  for (const { scope, resource } of spans) {
    assert.is(scope, "kubewarden-policy-server");
    assert.equal(resource["service.name"], { string: "kubewarden-policy-server" });
  }
  const one = (name: string, policy?: string) => {
    const found = spans.filter((span) =>
      span.name === name && (policy === undefined || span.attributes["policy_id"]?.string === policy)
    );
    assert.is(found.length, 1, `${name} ${policy}`);
    return found[0]!;
  };
  const parentOf = (span: Span) => spans.find(({ id }) => id === span.parent);
  const childrenOf = (span: Span) => spans.filter(({ parent }) => parent === span.id);
  const psp = one("validation", "psp");
  assert.equal(psp.attributes, {
    request_uid: { string: "a-uid" },
    host: { string: "pod-7" },
    policy_id: { string: "psp" },
    name: { string: "demo" },
    namespace: { string: "shop" },
    operation: { string: "CREATE" },
    subresource: { string: "status" },
    kind_group: { string: "" },
    kind_version: { string: "v1" },
    kind: { string: "Pod" },
    resource_group: { string: "" },
    resource_version: { string: "v1" },
    resource: { string: "pods" },
    allowed: { bool: false },
    mutated: { bool: false },
    response_message: { string: "Privileged container is not allowed" },
  });
  const request = parentOf(psp)!;
  assert.is(request.parent, "");
  assert.equal([request.name, request.attributes], ["request", {
    method: { string: "POST" },
    uri: { string: "/validate/psp" },
    version: { string: "HTTP/1.1" },
  }]);
  assert.equal(request.events.map(({ name }) => name), ["finished processing request"]);
  const [judged] = childrenOf(psp);
  assert.is(judged!.name, "validate");
  assert.match(judged!.attributes["self"]!.string!, /id: "psp", runtime: "wapc"/);
  assert.equal(judged!.attributes["settings"], { string: "{}" });
  // Monitor mode: the span shows the final answer, the event the policy's own.
  const watched = one("validation", "watched");
  assert.equal(watched.attributes["allowed"], { bool: true });
  assert.is(watched.events[0]!.name, "policy evaluation (monitor mode)");
  assert.match(watched.events[0]!.attributes["response"]!.string!, /allowed: false/);
  assert.equal(one("audit", "psp").attributes["name"], { string: "" });
  assert.equal(Object.keys(one("validation_raw", "raw").attributes).slice(0, 4), [
    "host",
    "policy_id",
    "allowed",
    "mutated",
  ]);
  const [group] = childrenOf(one("validation", "pair"));
  assert.match(group!.attributes["self"]!.string!, /message: "the pair says no", .*\["member"\]/);
  assert.equal(childrenOf(group!).map(({ name }) => name), ["validate"]);
  assert.equal(one("validation", "broken").attributes["response_code"], { int: 500 });
  assert.equal(childrenOf(one("validation", "broken")), []);
  const settings = spans.filter(({ name }) => name === "validate_settings");
  assert.is(settings.length, 5);
  assert.ok(settings.every(({ parent }) => parent === ""));
  const [log, ...more] = spans.filter(({ name }) => name === "policy_log");
  assert.ok(more.length > 0 && [log!, ...more].every((span) => parentOf(span)!.name === "validate"));
  assert.is(log!.events.length, 1);
  assert.equal(log!.events[0]!.attributes["target"], { string: "policy_log" });
}

test("without a collector the server serves on and says so in one line", async () => {
  const port = await freePort();
  const env = {
    ...FAST,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_BSP_MAX_QUEUE_SIZE: "16",
  };
  await serving(
    { policies: { psp: { module: POD_PRIVILEGED } }, flags: FLAGS, env, tls: false },
    async (running) => {
      for (let round = 0; round < 20; round++) {
        assert.is((await ask(running, { path: "/validate/psp", body: reviewOf() })).status, 200);
      }
      await running.logged("spans are dropped");
      await running.logged("does not take metrics");
      await running.logged("does not take traces");
      const pushes = () => new Promise((resolve) => setTimeout(resolve, 400));
      await pushes();
      assert.is(running.lines("does not take").length, 2, running.stdout());
      assert.is(running.lines("spans are dropped").length, 1);
      // It comes up: what was counted meanwhile is there, and that too is said once.
      const receiver = await startReceiver({ port });
      try {
        await running.logged("takes metrics again");
        const points = () => receiver.metrics.at(-1)?.[0]?.points ?? [];
        await until(() => points()[0]?.int === 20, () => JSON.stringify(points()));
        await until(() => receiver.spans.length > 0, () => "no span");
      } finally {
        receiver.stop();
      }
    },
  );
});

test("the bundle holds what it takes, and loads none of it unless asked", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bundle-"));
  const receiver = await startReceiver();
  try {
    execFileSync(process.execPath, [fileURLToPath(new URL("../../build.ts", import.meta.url)), folder]);
    const program = join(folder, "policy_server.js");
    const policies = { psp: { module: POD_PRIVILEGED } };
    const env = { ...FAST, OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${receiver.port}` };
    const flags = ["--enable-metrics", "--log-fmt", "otlp", "--enable-pprof"];
    await serving({ program, policies, flags, env, tls: false }, async (running) => {
      assert.is((await ask(running, { path: "/validate/psp", body: reviewOf() })).status, 200);
      await until(() => receiver.metrics.at(-1)?.length === 2, () => "no metrics");
      await until(() => receiver.spans.some(({ name }) => name === "request"), () => "no span");
      const profile = await ask(running, { method: "GET", path: "/debug/pprof/cpu?interval=1" });
      assert.is(profile.status, 200);
    });
    // Chunks that are loaded at once are named in static imports.
    const atOnce = new Set<string>();
    const visit = (name: string) => {
      if (atOnce.has(name)) return;
      atOnce.add(name);
      const source = readFileSync(join(folder, name), "utf8");
      for (const [, next] of source.matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g)) visit(next!);
    };
    for (const name of ["policy_server.main.js", "controller.main.js"]) visit(name);
    const heavy = /opentelemetry\.proto|grpc-js|pprof-format/;
    const holders = readdirSync(folder).filter((name) =>
      name.endsWith(".js") && heavy.test(readFileSync(join(folder, name), "utf8"))
    );
    assert.ok(holders.length > 0);
    assert.equal(holders.filter((name) => atOnce.has(name)), []);
  } finally {
    receiver.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

test("files and endpoints that can't be used are errors at the start", async () => {
  const policies = { psp: { module: POD_PRIVILEGED } };
  const secure = { OTEL_EXPORTER_OTLP_ENDPOINT: "https://localhost:1" };
  const cases: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [
      { ...secure, OTEL_EXPORTER_OTLP_CERTIFICATE: "/nowhere/ca.crt" },
      /^Error: cannot read the CA certificate for the OpenTelemetry collector: .*nowhere\/ca\.crt/,
    ],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "ftp://x" },
      /^Error: OTEL_EXPORTER_OTLP_ENDPOINT: "ftp:\/\/x" is no endpoint/,
    ],
  ];
  await Promise.all(
    cases.map(([env, text]) =>
      failing({ policies, flags: ["--enable-metrics"], env, tls: false }, ({ code, stderr }) => {
        assert.is(code, 1);
        assert.match(stderr, text);
      })
    ),
  );
});

test.run();
