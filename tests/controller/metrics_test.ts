// What Prometheus and an OpenTelemetry collector get of a controller (spec/controller.md §1.5).
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMetrics } from "../../controller/render/metrics.ts";
import { policyAttributes } from "../../controller/render/policy_attributes.ts";
import { createQueue } from "../../controller/serve/queue.ts";
import { queueMetrics } from "../../controller/serve/queue_metrics.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { startReceiver } from "../telemetry/receiver.ts";
import { type Any, NAMESPACE, startHarness, until } from "./harness.ts";

const RULES = [{ apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] }];
const policy: Any = {
  apiVersion: "policies.kubewarden.io/v1",
  kind: "ClusterAdmissionPolicy",
  metadata: { name: "counted" },
  spec: {
    policyServer: "absent",
    module: "registry://r/p:v1",
    mutating: true,
    rules: RULES,
    failurePolicy: "Ignore",
  },
};
const group: Any = {
  apiVersion: "policies.kubewarden.io/v1",
  kind: "AdmissionPolicyGroup",
  metadata: { name: "counted", namespace: NAMESPACE },
  spec: {
    policyServer: "absent",
    rules: RULES,
    expression: "a()",
    message: "no",
    policies: { a: { module: "registry://r/p:v1" } },
  },
};

test("attributes of a policy and of a group", () => {
  assert.equal(policyAttributes({ ...policy, status: { policyStatus: "active" } }), {
    name: "kw.cap.counted",
    policy_server: "absent",
    module: "registry://r/p:v1",
    mutating: true,
    namespace: "",
    failure_policy: "Ignore",
    policy_status: "active",
  });
  assert.equal(policyAttributes(group), {
    name: `kw.apg.${NAMESPACE}.counted`,
    policy_server: "absent",
    module: "",
    mutating: false,
    namespace: NAMESPACE,
    failure_policy: "",
    policy_status: "",
  });
});

test("a queue's depth, adds, workers and retries are those of its keys", async () => {
  const metrics = createMetrics();
  const { hooks, refresh } = queueMetrics(metrics, ["one", "two"], 1, (key) => key.split("|")[0]!);
  const value = (line: string): number | undefined => {
    refresh();
    const found = metrics.text().split("\n").find((text) => text.startsWith(`${line} `));
    return found === undefined ? undefined : Number(found.slice(line.length + 1));
  };
  const gates = new Map<string, () => void>();
  let failures = 1;
  const queue = createQueue({
    workers: 1,
    ...hooks,
    async work(key) {
      await new Promise<void>((resolve) => gates.set(key, resolve));
      if (key === "one|a" && failures-- > 0) throw new Error("the first time");
      return undefined;
    },
  });
  assert.is(value('workqueue_depth{controller="two",name="two"}'), 0);
  for (const key of ["one|a", "one|b", "two|c"]) queue.add(key);
  assert.is(value('workqueue_depth{controller="one",name="one"}'), 1);
  assert.is(value('workqueue_depth{controller="two",name="two"}'), 1);
  assert.is(value('workqueue_adds_total{controller="one",name="one"}'), 2);
  assert.is(value('controller_runtime_active_workers{controller="one"}'), 1);
  assert.is(value('controller_runtime_max_concurrent_reconciles{controller="two"}'), 1);
  assert.ok(value('workqueue_longest_running_processor_seconds{controller="one",name="one"}')! > 0);
  const done = (key: string) =>
    until(`${key} is worked on`, () => gates.has(key)).then(() => {
      const open = gates.get(key)!;
      gates.delete(key);
      open();
    });
  for (const key of ["one|a", "one|b", "two|c", "one|a"]) await done(key);
  await queue.idle();
  assert.is(value('controller_runtime_active_workers{controller="one"}'), 0);
  assert.is(value('workqueue_depth{controller="one",name="one"}'), 0);
  assert.is(value('workqueue_adds_total{controller="one",name="one"}'), 3);
  assert.is(value('workqueue_retries_total{controller="one",name="one"}'), 1);
  assert.is(value('controller_runtime_reconcile_errors_total{controller="one"}'), 1);
  assert.is(value('controller_runtime_reconcile_total{controller="one",result="success"}'), 2);
  assert.is(value('controller_runtime_reconcile_total{controller="one",result="requeue"}'), 0);
  await queue.stop();
});

/** Every family of spec/controller.md §1.5, with the labels that dashboards ask for. */
const SERIES: readonly RegExp[] = [
  ...[
    "policyserver",
    "admissionpolicy",
    "clusteradmissionpolicy",
    "admissionpolicygroup",
    "clusteradmissionpolicygroup",
  ]
    .flatMap((name) => [
      new RegExp(`^controller_runtime_reconcile_total\\{controller="${name}",result="success"\\} \\d+$`, "m"),
      new RegExp(`^controller_runtime_reconcile_errors_total\\{controller="${name}"\\} \\d+$`, "m"),
      new RegExp(`^controller_runtime_active_workers\\{controller="${name}"\\} \\d+$`, "m"),
      new RegExp(`^controller_runtime_max_concurrent_reconciles\\{controller="${name}"\\} [1-9]`, "m"),
      new RegExp(`^workqueue_depth\\{controller="${name}",name="${name}"\\} \\d+$`, "m"),
    ]),
  /^controller_runtime_reconcile_time_seconds_count\{controller="clusteradmissionpolicy"\} [1-9]/m,
  /^workqueue_adds_total\{controller="clusteradmissionpolicy",name="clusteradmissionpolicy"\} [1-9]/m,
  /^workqueue_queue_duration_seconds_count\{controller="clusteradmissionpolicy",name="clusteradmissionpolicy"\} [1-9]/m,
  /^workqueue_work_duration_seconds_count\{/m,
  /^workqueue_unfinished_work_seconds\{/m,
  /^rest_client_requests_total\{code="200",host="[^"]+",method="GET"\} [1-9]/m,
  /^leader_election_master_status\{name="a4ddbf36\.kubewarden\.io"\} 1$/m,
  /^process_resident_memory_bytes [1-9]/m,
  /^process_start_time_seconds 1\d{9}$/m,
  /^kubewarden_policy_total\{.*mutating="true",name="kw\.cap\.counted",.*policy_status="scheduled"\} [1-9]/m,
];

if (binariesFolder() === undefined) {
  test.skip(`metrics of a controller (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test("a controller shows every family, and pushes how often its policies were reconciled", async () => {
    const receiver = await startReceiver();
    const harness = await startHarness();
    try {
      const controller = await harness.startController({
        metrics: true,
        otelEnvironment: {
          OTEL_EXPORTER_OTLP_ENDPOINT: `https://127.0.0.1:${receiver.port}`,
          // As the chart's sidecar mode has it.
          OTEL_EXPORTER_OTLP_INSECURE: "true",
        },
      }, { metricsAddress: "127.0.0.1:0" });
      await harness.create(policy);
      await harness.create(group);
      const points = () => receiver.metrics.at(-1)?.[0]?.points ?? [];
      const named = (name: string) => points().find(({ attributes }) => attributes["name"]?.string === name);
      await until(
        "both are pushed",
        () => named("kw.cap.counted") !== undefined && named(`kw.apg.${NAMESPACE}.counted`) !== undefined,
      );
      const [metric] = receiver.metrics.at(-1)!;
      assert.equal([metric!.scope, metric!.name, metric!.kind, metric!.monotonic, metric!.unit], [
        "kubewarden",
        "kubewarden_policy_total",
        "sum",
        true,
        "",
      ]);
      assert.ok(named("kw.cap.counted")!.int! >= 1);
      assert.equal(named("kw.cap.counted")!.attributes, {
        name: { string: "kw.cap.counted" },
        policy_server: { string: "absent" },
        module: { string: "registry://r/p:v1" },
        mutating: { bool: true },
        namespace: { string: "" },
        failure_policy: { string: "Ignore" },
        policy_status: { string: "scheduled" },
      });
      assert.equal(named(`kw.apg.${NAMESPACE}.counted`)!.attributes["namespace"], { string: NAMESPACE });
      const pushes = receiver.metrics.length;
      await until("it is pushed again", () => receiver.metrics.length > pushes);
      const text = await (await fetch(`http://127.0.0.1:${controller.ports.metrics}/metrics`)).text();
      for (const series of SERIES) assert.match(text, series);
      const last = receiver.metrics.length;
      assert.is(await controller.stop(), true);
      assert.ok(receiver.metrics.length > last, "a last push on the way out");
    } finally {
      await harness.stop();
      receiver.stop();
    }
  });
}

test.run();
