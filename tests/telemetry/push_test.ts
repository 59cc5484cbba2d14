// Metrics and spans on their way to a collector that is slow, picky, or away (spec/policy-server.md §12, §13).
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { OtelReadableSpan } from "../../deps.ts";
import { startMetricsPush } from "../../telemetry/apply/metrics_push.ts";
import { MAX_WAITING_CHARACTERS, spanBatches } from "../../telemetry/apply/span_batches.ts";
import { startTraces } from "../../telemetry/apply/traces.ts";
import { messages, POINTS_PER_PUSH } from "../../telemetry/render/metric_data.ts";
import type { MetricFamily } from "../../telemetry/types/metrics.ts";
import { identity } from "../policy_server/certificates.ts";
import { freePort, until } from "../policy_server/server_process.ts";
import { type Point, startReceiver } from "./receiver.ts";

const PREFIX = "OTEL_EXPORTER_OTLP_";
const SCOPE = { scope: "s", serviceName: "svc", intervalMs: 3_600_000 };

function counting() {
  const attributes = { text: "t", whole: 7, flag: true };
  const state = { count: 0, buckets: [0, 0], sum: 0 };
  return {
    add(value: number) {
      state.count++;
      state.buckets[value > 5 ? 1 : 0]!++;
      state.sum += value;
    },
    collect: (): readonly MetricFamily[] => [
      { kind: "counter", name: "c", description: "", points: [{ attributes, value: state.count }] },
      {
        kind: "histogram",
        name: "h",
        description: "",
        bounds: [5],
        points: [{ attributes, counts: [...state.buckets], sum: state.sum, count: state.count }],
      },
    ],
  };
}

const lines = () => {
  const said: string[] = [];
  return { said, report: (level: string, message: string) => void said.push(`${level} ${message}`) };
};

test("cumulative values count from the beginning, delta from the last push that arrived", async () => {
  const receiver = await startReceiver();
  const endpoint = { [`${PREFIX}ENDPOINT`]: `http://127.0.0.1:${receiver.port}` };
  const { said, report } = lines();
  try {
    for (const preference of ["cumulative", "delta"]) {
      const delta = preference === "delta";
      const { add, collect } = counting();
      const environment = { ...endpoint, [`${PREFIX}METRICS_TEMPORALITY_PREFERENCE`]: preference };
      const push = await startMetricsPush({ ...SCOPE, environment, collect, report });
      const pushed = async () => {
        const before = receiver.metrics.length;
        await push.flush();
        return receiver.metrics.slice(before).flat().map(({ temporality, points }) => {
          assert.is(temporality, delta ? 1 : 2);
          return points[0]!;
        });
      };
      const numbers = (points: readonly Point[]) =>
        points.map(({ int, counts, sum }) => int ?? [counts, sum]);
      add(3);
      add(9);
      const first = await pushed();
      assert.equal(numbers(first), [2, [[1, 1], 12]]);
      assert.equal(first[0]!.attributes, { text: { string: "t" }, whole: { int: 7 }, flag: { bool: true } });
      receiver.refuse(14);
      add(4);
      assert.equal(await pushed(), []);
      receiver.refuse(undefined);
      add(4);
      const second = await pushed();
      assert.equal(numbers(second), delta ? [2, [[2, 0], 8]] : [4, [[3, 1], 20]]);
      assert.is(second[0]!.start, delta ? first[0]!.time : first[0]!.start);
      const quiet = await pushed();
      assert.is(quiet.length, delta ? 0 : 2, "nothing new is nothing to say");
      assert.is(await push.stop(5_000), true);
    }
    const collector = "the OpenTelemetry collector";
    const once = [
      `warn ${collector} does not take metrics, they are tried again`,
      `info ${collector} takes metrics again`,
    ];
    assert.equal(said, [...once, ...once]);
  } finally {
    receiver.stop();
  }
});

test("a connection that is dead without a word is given up", async () => {
  const receiver = await startReceiver();
  let dead = false;
  const open: Socket[] = [];
  // On the way to the collector: what was connected before falls silent, and stays open.
  const between = createServer((outer) => {
    const inner = connect(receiver.port, "127.0.0.1");
    const mine = open.length;
    open.push(outer, inner);
    for (const socket of [outer, inner]) socket.on("error", () => {});
    outer.on("data", (data) => !(dead && mine === 0) && inner.write(data));
    inner.on("data", (data) => !(dead && mine === 0) && outer.write(data));
  });
  await new Promise<void>((resolve) => between.listen(0, "127.0.0.1", resolve));
  const { port } = between.address() as { port: number };
  const environment = { [`${PREFIX}ENDPOINT`]: `http://127.0.0.1:${port}`, [`${PREFIX}TIMEOUT`]: "500" };
  const { said, report } = lines();
  const { add, collect } = counting();
  const push = await startMetricsPush({ ...SCOPE, environment, collect, report });
  try {
    add(1);
    await push.flush();
    assert.is(receiver.metrics.length, 1);
    dead = true;
    await push.flush();
    assert.is(receiver.metrics.length, 1);
    await until(async () => {
      await push.flush();
      return receiver.metrics.length > 1;
    }, () => said.join("\n"));
    assert.ok(open.length > 2, "over another connection");
  } finally {
    await push.stop(1_000);
    for (const socket of open) socket.destroy();
    between.close();
    receiver.stop();
  }
});

test("many series travel in messages that a collector takes", () => {
  const points = Array.from({ length: POINTS_PER_PUSH + 500 }, (_, id) => ({ attributes: { id }, value: 1 }));
  const family = { kind: "counter", name: "c", description: "", points } as const;
  const cut = messages([family, { ...family, name: "d" }, { ...family, name: "empty", points: [] }]);
  assert.equal(cut.map((families) => families.map(({ name, points }) => [name, points.length])), [
    [["c", 2000]],
    [["c", 500], ["d", 1500]],
    [["d", 1000]],
  ]);
});

test("a certificate that was exchanged is used once the old one is refused", async () => {
  const folder = mkdtempSync(join(tmpdir(), "otel-"));
  const [oldCa, newCa] = [await identity("old"), await identity("new")];
  const oldServer = await identity("collector", oldCa), newServer = await identity("collector", newCa);
  const ca = join(folder, "ca.crt");
  writeFileSync(ca, oldCa.cert);
  const port = await freePort();
  const environment = { [`${PREFIX}ENDPOINT`]: `https://localhost:${port}`, [`${PREFIX}CERTIFICATE`]: ca };
  const { said, report } = lines();
  let receiver = await startReceiver({ port, tls: oldServer });
  const { add, collect } = counting();
  const push = await startMetricsPush({ ...SCOPE, environment, collect, report });
  try {
    add(1);
    await push.flush();
    assert.is(receiver.metrics.length, 1);
    receiver.stop();
    receiver = await startReceiver({ port, tls: newServer });
    await push.flush();
    assert.is(receiver.metrics.length, 0);
    writeFileSync(ca, newCa.cert);
    await until(async () => {
      await push.flush();
      return receiver.metrics.length > 0;
    }, () => said.join("\n"));
    assert.is(said.length, 2, said.join("\n"));
  } finally {
    await push.stop(1_000);
    receiver.stop();
    rmSync(folder, { recursive: true });
  }
});

const span = (name: string, text = "") =>
  ({ name, attributes: { text }, events: [] }) as unknown as OtelReadableSpan;

test("what waits is bounded in number and size, and what is dropped is said once", async () => {
  const { said, report } = lines();
  const sent: string[] = [];
  let delivery: "arrived" | "again" | "refused" = "again";
  const queue = spanBatches({ queue: 10, batch: 4, delayMs: 3_600_000 }, (spans) => {
    if (delivery === "arrived") sent.push(...spans.map(({ name }) => name));
    return Promise.resolve(delivery);
  }, report);
  for (let number = 0; number < 30; number++) queue.onEnd(span(`${number}`));
  await queue.forceFlush();
  assert.is(said.filter((line) => line.includes("dropped")).length, 1, said.join());
  assert.equal(sent, []);
  delivery = "arrived";
  await queue.forceFlush();
  assert.equal(sent, Array.from({ length: 10 }, (_, number) => `${number}`), "the oldest, in order");
  assert.is(said.at(-1), "info spans are sent again");

  sent.length = 0;
  for (let number = 0; number < 5; number++) {
    queue.onEnd(span(`${number}`, "x".repeat(MAX_WAITING_CHARACTERS / 4)));
  }
  await queue.forceFlush();
  assert.equal(sent, ["0", "1", "2"], "each is of a quarter of what may wait, and a little more");

  delivery = "refused";
  sent.length = 0;
  queue.onEnd(span("poison"));
  await queue.forceFlush();
  delivery = "arrived";
  queue.onEnd(span("next"));
  await queue.shutdown();
  assert.equal(sent, ["next"], "what the collector does not want is not sent for ever");
});

test("spans have parents, events and bounded fields; a collector that does not answer holds up nobody", async () => {
  const receiver = await startReceiver();
  const environment = {
    [`${PREFIX}TRACES_ENDPOINT`]: `http://127.0.0.1:${receiver.port}`,
    [`${PREFIX}TIMEOUT`]: "500",
  };
  const { report } = lines();
  const traces = await startTraces({ serviceName: "svc", environment, report });
  try {
    const root = traces.root("outer", { number: 1, absent: undefined, long: "x".repeat(100_000) });
    const child = root.child("inner", {});
    child.set({ flag: false });
    child.event("happened", { what: "it" });
    child.end();
    root.end();
    const other = traces.root("other", {});
    other.end();
    await traces.stop(5_000);
    const [inner, outer, last] = receiver.spans;
    assert.is(inner!.parent, outer!.id);
    assert.is(inner!.trace, outer!.trace);
    assert.is.not(last!.trace, outer!.trace);
    assert.equal(inner!.attributes, { flag: { bool: false } });
    assert.equal(inner!.events, [{ name: "happened", attributes: { what: { string: "it" } } }]);
    assert.is(outer!.attributes["long"]!.string!.length, 4096);
    assert.not("absent" in outer!.attributes);
  } finally {
    receiver.stop();
  }
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on("error", () => {})));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as { port: number };
  const { said, report: hear } = lines();
  const stuck = await startTraces({
    serviceName: "svc",
    environment: { ...environment, [`${PREFIX}TRACES_ENDPOINT`]: `http://127.0.0.1:${port}` },
    report: hear,
  });
  stuck.root("one", {}).end();
  await stuck.stop(5_000);
  assert.equal(said, ["warn the OpenTelemetry collector does not take traces, they are tried again"]);
  silent.close();
  for (const socket of sockets) socket.destroy();
});

test.run();
