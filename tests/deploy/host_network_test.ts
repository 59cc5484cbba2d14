// Host network (spec/charts.md §10): what the charts render, and which conflicts of ports they refuse or warn of.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Any, CONTROLLER_CHARTS, helmTest, one, podOf, refusal, render, template } from "./_helm.ts";

helmTest(
  "off: nothing of it; on: the node's network, its DNS, the flag, no surge, no affinity of its own",
  () => {
    for (const { chart } of CONTROLLER_CHARTS) {
      const off = one(render(chart), "Deployment");
      assert.equal([podOf(off).spec.hostNetwork, podOf(off).spec.dnsPolicy], [undefined, undefined]);
      assert.not.ok(podOf(off).spec.containers[0].args.includes("--host-network"));

      const objects = render(chart, { set: ["hostNetwork=true"] });
      const on = one(objects, "Deployment");
      const { spec } = podOf(on);
      assert.equal([spec.hostNetwork, spec.dnsPolicy, spec.affinity], [
        true,
        "ClusterFirstWithHostNet",
        undefined,
      ]);
      assert.ok(spec.containers[0].args.includes("--host-network"));
      // On one node the new pod can't start before the old one is gone.
      assert.equal(on.spec.strategy, {
        type: "RollingUpdate",
        rollingUpdate: { maxSurge: 0, maxUnavailable: 1 },
      });
      assert.is(on.spec.minReadySeconds, 5);
      // The scheduler sees declared ports alone.
      assert.equal(spec.containers[0].ports.map(({ containerPort }: Any) => containerPort), [9443, 8081]);
      for (const job of objects.filter(({ kind }) => kind === "Job" || kind === "CronJob")) {
        assert.is(podOf(job).spec.hostNetwork, undefined, job.metadata.name);
      }
      const metered = render(chart, {
        values: {
          hostNetwork: true,
          telemetry: { mode: "custom", metrics: true, custom: { endpoint: "https://c:1" } },
        },
      });
      const ports = podOf(one(metered, "Deployment")).spec.containers[0].ports;
      assert.equal(ports.map(({ name }: Any) => name), ["webhook-server", "health-probe", "metrics"]);
    }
  },
);

helmTest("affinity of the controller wins over the global one, which it falls back to", () => {
  const own = { nodeAffinity: { own: 1 } };
  const global = { affinity: { nodeAffinity: { global: 1 } } };
  for (const { chart } of CONTROLLER_CHARTS) {
    const affinity = (values: Any) => podOf(one(render(chart, { values }), "Deployment")).spec.affinity;
    assert.equal(affinity({ affinity: own, global }), own);
    assert.equal(affinity({ global }), global.affinity);
  }
});

/** As in the guide to host network mode, word by word. */
const GUIDE = {
  podAntiAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: [{
      labelSelector: {
        matchExpressions: [{
          key: "app.kubernetes.io/component",
          operator: "In",
          values: ["policy-server", "kubewarden-controller"],
        }],
      },
      topologyKey: "kubernetes.io/hostname",
    }],
  },
};
const spread = (labelSelector: Any, topologyKey = "kubernetes.io/hostname") => ({
  podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ labelSelector, topologyKey }] },
});
const CONTROLLER = { matchLabels: { "app.kubernetes.io/component": "controller" } };
const SERVERS = { matchLabels: { "app.kubernetes.io/component": "policy-server" } };

/** Values with ports that somebody chose, on pods that may land on one node: refused, naming both. */
const REFUSED: readonly (readonly [Any, RegExp])[] = [
  [
    { policyServer: { webhookPort: 9443 } },
    /ports\.webhook and policyServer\.webhookPort of PolicyServer "default" are both 9443/,
  ],
  [{ policyServer: { readinessProbePort: 9443 } }, /ports\.webhook and policyServer\.readinessProbePort/],
  [
    { policyServer: { webhookPort: 8081, readinessProbePort: 1 } },
    /ports\.healthProbe and policyServer\.webhookPort/,
  ],
  [{ ports: { healthProbe: 8443 } }, /ports\.healthProbe and policyServer\.webhookPort .* are both 8443/],
  [{ ports: { webhook: 63003 }, policyServer: { readinessProbePort: 63003 } }, /are both 63003/],
  [
    {
      ports: { metrics: 8443 },
      telemetry: { mode: "custom", metrics: true, custom: { endpoint: "https://c:1" } },
    },
    /ports\.metrics and policyServer\.webhookPort/,
  ],
];

helmTest("ports that were chosen and collide on one node are refused, with what to do", () => {
  for (const [values, words] of REFUSED) {
    const said = refusal("portreeve", { values: { hostNetwork: true, ...values } });
    assert.match(said, words);
    assert.match(
      said,
      /Give them different ports, or set a required podAntiAffinity on kubernetes\.io\/hostname/,
    );
    // Without the node's network every pod has its own ports.
    assert.is(template("portreeve", { values: { ...values, hostNetwork: false } }).status, 0);
  }
});

const COLLIDING = { hostNetwork: true, policyServer: { webhookPort: 9443, readinessProbePort: 63003 } };
/** What keeps them apart, or says on which nodes they go: accepted. */
const ACCEPTED: readonly Any[] = [
  { affinity: GUIDE },
  { policyServer: { ...COLLIDING.policyServer, affinity: spread(CONTROLLER) } },
  {
    global: {
      affinity: spread({ matchExpressions: [{ key: "kubewarden/policy-server", operator: "Exists" }] }),
    },
  },
  { affinity: spread(SERVERS) },
  { nodeSelector: { "node-role": "control" } },
  { ports: { webhook: 63000 } },
  { policyServer: { enabled: false, webhookPort: 9443 } },
];

helmTest("pods that are kept apart may have the same ports", () => {
  assert.is(template("portreeve", { values: COLLIDING }).status, 1);
  for (const values of ACCEPTED) {
    const { status, stderr } = template("portreeve", { values: { ...COLLIDING, ...values } });
    assert.is(status, 0, `${JSON.stringify(values)}: ${stderr}`);
  }
});

helmTest("the ports of the end-to-end tests and of the guide are accepted", () => {
  const e2e = {
    hostNetwork: true,
    ports: { webhook: 63000, healthProbe: 63001, metrics: 63002 },
    policyServer: { webhookPort: 64005, readinessProbePort: 63003, replicaCount: 1 },
  };
  for (const { chart } of CONTROLLER_CHARTS) {
    const { spec } = podOf(one(render(chart, { values: e2e }), "Deployment"));
    const [{ args, ports, livenessProbe, readinessProbe }] = spec.containers;
    assert.ok(args.includes("--webhook-server-port=63000"));
    assert.ok(args.includes("--health-probe-bind-address=:63001"));
    assert.ok(args.includes("--metrics-bind-address=0"));
    assert.is(ports[0].containerPort, 63000);
    assert.equal([livenessProbe.httpGet.port, readinessProbe.httpGet.port], [63001, 63001]);
    assert.is(template(chart, { values: { hostNetwork: true, affinity: GUIDE } }).status, 0);
  }
  assert.is(template("portreeve-defaults", { values: { policyServer: { affinity: GUIDE } } }).status, 0);
});

test.run();
