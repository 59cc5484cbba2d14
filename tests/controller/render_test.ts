// Rendering rules that the recorded resources do not show: telemetry variants, mutual TLS, what decides whether a policy is
// reachable, load errors, JSON that loses nothing.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { policyId } from "../../crd/types.ts";
import { readPolicies, renderConfiguration } from "../../controller/render/config_map.ts";
import { renderDeployment } from "../../controller/render/deployment.ts";
import { covers, needsApply, removeForeign } from "../../controller/render/differences.ts";
import { OTEL_VARIABLES } from "../../controller/render/environment.ts";
import { compareBytes, sortedJson } from "../../controller/render/json.ts";
import { parseExactly } from "../../kubernetes/render/exact_json.ts";
import { loadErrors } from "../../controller/render/load_errors.ts";
import { missingInputs, podProblems, problemText } from "../../controller/render/pod_problems.ts";
import { rollout } from "../../controller/render/reachability.ts";
import { renderService } from "../../controller/render/service.ts";
import { renderPolicyStatus, stampConditions } from "../../controller/render/status.ts";
import { renderWebhookConfiguration } from "../../controller/render/webhook_configuration.ts";
import { defaultSettings } from "../../controller/types/settings.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
const base = defaultSettings("kubewarden");
const server = (spec: Any = {}): Any => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind: "PolicyServer",
  metadata: { name: "s", uid: "U" },
  spec: { image: "i", replicas: 1, ...spec },
});
const deployment = (settings: Any = {}, spec: Any = {}, more: Any = {}): Any =>
  renderDeployment({ server: server(spec), settings: { ...base, ...settings }, configVersion: "7", ...more });
const pod = (rendered: Any) => rendered.spec.template.spec;
const environment = (rendered: Any): { [name: string]: string } =>
  Object.fromEntries(pod(rendered).containers[0].env.map(({ name, value }: Any) => [name, value]));
const names = (list: Any[]) => list.map(({ name }) => name);

test("telemetry to a sidecar: one endpoint, the annotation, no certificates", () => {
  const found = deployment({
    metrics: true,
    otelSidecar: true,
    otelCertificateSecret: "collector",
    otelEnvironment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: "https://elsewhere",
      OTEL_EXPORTER_OTLP_CERTIFICATE: "/c/ca.crt",
    },
  });
  assert.is(environment(found)["OTEL_EXPORTER_OTLP_ENDPOINT"], "http://localhost:4317");
  assert.is(environment(found)["KUBEWARDEN_ENABLE_METRICS"], "true");
  assert.is(environment(found)["OTEL_EXPORTER_OTLP_CERTIFICATE"], undefined);
  assert.is(found.spec.template.metadata.annotations["sidecar.opentelemetry.io/inject"], "true");
  assert.equal(names(pod(found).volumes), ["policy-store", "certs", "policies"]);
});

test("telemetry to a remote collector: every variable in order, its certificates mounted where they are", () => {
  assert.is(OTEL_VARIABLES.length, 26);
  const otelEnvironment = Object.fromEntries(OTEL_VARIABLES.map((name) => [name, `/otel/${name}/file`]));
  const found = deployment({
    tracing: true,
    otelCertificateSecret: "collector",
    otelClientCertificateSecret: "client",
    otelEnvironment: { ...otelEnvironment, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
  }, { env: [{ name: "OTEL_EXPORTER_OTLP_ENDPOINT", value: "mine" }] });
  assert.equal(
    names(pod(found).containers[0].env).filter((name) => name.startsWith("OTEL_")),
    OTEL_VARIABLES,
  );
  assert.is(environment(found)["OTEL_EXPORTER_OTLP_ENDPOINT"], "/otel/OTEL_EXPORTER_OTLP_ENDPOINT/file");
  assert.is(environment(found)["KUBEWARDEN_LOG_FMT"], "otlp");
  assert.equal(
    pod(found).containers[0].volumeMounts.slice(-2).map(({ mountPath }: Any) => mountPath),
    ["/otel/OTEL_EXPORTER_OTLP_CERTIFICATE", "/otel/OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
  );
  assert.equal(pod(found).volumes.slice(-1), [{
    name: "otel-collector-client-certificate",
    secret: { secretName: "client", defaultMode: 420 },
  }]);
  assert.equal(
    names(pod(deployment({ otelCertificateSecret: "x" })).volumes).length,
    3,
    "off: nothing is mounted",
  );
});

test("spec.env cannot take the place of what the controller sets, and of two the last counts", () => {
  const env = [
    { name: "KUBEWARDEN_PORT", value: "1" },
    { name: "HTTPS_PROXY", value: "a" },
    { name: "HTTPS_PROXY", value: "b" },
  ];
  const found = deployment({}, { env });
  assert.is(environment(found)["KUBEWARDEN_PORT"], "8443");
  assert.is(environment(found)["HTTPS_PROXY"], "b");
  const all = names(pod(found).containers[0].env);
  assert.is(new Set(all).size, all.length, "server-side apply refuses a name twice");
});

test("mutual TLS, and the outgoing authority while it is still trusted", () => {
  const settings = { clientCaConfigMap: "client-ca" };
  assert.is(
    environment(deployment(settings))["KUBEWARDEN_CLIENT_CA_FILE"],
    "/ca/ca.crt,/client-ca/client-ca.crt",
  );
  const rotating = deployment(settings, {}, { hasOldCa: true });
  assert.is(
    environment(rotating)["KUBEWARDEN_CLIENT_CA_FILE"],
    "/ca/ca.crt,/ca/old-ca.crt,/client-ca/client-ca.crt",
  );
  assert.equal(pod(rotating).volumes.at(-2).secret.items.map(({ key }: Any) => key), [
    "ca.crt",
    "old-ca.crt",
  ]);
});

test("spec.metricsPort moves the Service's port and never the pod's", () => {
  const settings = { ...base, metrics: true, metricsPort: 9100 };
  const ports = (spec: Any) => (renderService(server(spec), settings).spec as Any).ports.slice(1);
  assert.equal(ports({ metricsPort: 9090 }), [{
    name: "metrics",
    port: 9090,
    targetPort: 9100,
    protocol: "TCP",
  }]);
  assert.equal(ports({}), [{ name: "metrics", port: 9100, targetPort: 9100, protocol: "TCP" }]);
  assert.equal((renderService(server({ metricsPort: 9090 }), base).spec as Any).ports.length, 1);
});

test("namespaced capabilities: absent grants all, an empty list none", () => {
  const policy: Any = {
    kind: "AdmissionPolicy",
    metadata: { name: "p", namespace: "n" },
    spec: { module: "m", mutating: false },
  };
  const granted = (spec: Any) =>
    JSON.parse(renderConfiguration(server(spec), [policy], base).configMap.data["policies.yml"]!)["kw.ap.n.p"]
      .hostCapabilities;
  assert.equal(granted({}), ["*"]);
  assert.equal(granted({ namespacedPoliciesCapabilities: [] }), []);
  assert.equal(granted({ namespacedPoliciesCapabilities: ["oci/*"] }), ["oci/*"]);
});

test("an old id stays with the policy whose webhook of before the upgrade asks for it", () => {
  const of = (kind: string, name: string, namespace?: string): Any => ({
    kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec: {
      mutating: false,
      module: `${kind}/${name}`,
      policies: { a: { module: `${kind}/${name}` } },
      expression: "a()",
      message: "m",
    },
  });
  // Pairs that share an old id: within a kind, and between kinds.
  const pairs = [
    ["namespaced-a-b-c", of("AdmissionPolicy", "c", "a-b"), of("AdmissionPolicy", "b-c", "a")],
    [
      "namespaced-group-a-b-c",
      of("AdmissionPolicyGroup", "c", "a-b"),
      of("AdmissionPolicyGroup", "b-c", "a"),
    ],
    ["namespaced-group-a-c", of("AdmissionPolicyGroup", "c", "a"), of("AdmissionPolicy", "a-c", "group")],
    ["namespaced-group-a-c", of("AdmissionPolicy", "a-c", "group"), of("AdmissionPolicyGroup", "c", "a")],
    ["clusterwide-group-c", of("ClusterAdmissionPolicy", "group-c"), of("ClusterAdmissionPolicyGroup", "c")],
    ["clusterwide-group-c", of("ClusterAdmissionPolicyGroup", "c"), of("ClusterAdmissionPolicy", "group-c")],
  ] as const;
  for (const [old, first, newcomer] of pairs) {
    const file = (policies: Any[], ...upgrading: Any[]) =>
      JSON.parse(
        renderConfiguration(server(), policies, base, new Set(upgrading.map(policyId))).configMap
          .data["policies.yml"]!,
      );
    for (const policies of [[first, newcomer], [newcomer, first]]) {
      const found = file(policies, first);
      assert.equal(Object.keys(found).sort(), [old, policyId(first), policyId(newcomer)].sort());
      assert.equal(found[old], found[policyId(first)], `${old} is ${policyId(first)}'s`);
      assert.equal(Object.keys(file(policies)).length, 2, "without a webhook of before: no old id");
      assert.is(
        file(policies, first, newcomer)[old],
        undefined,
        "two that may both ask: neither is answered",
      );
    }
    assert.equal(file([first], first)[old], file([first], first)[policyId(first)]);
  }
});

test("a policy of a namespace is not shown reports, whatever its stored rules say", () => {
  const conditionsOf = (
    kind: string,
    apiGroups: string[],
    resources: string[],
    matchConditions?: Any[],
  ): Any => {
    const policy: Any = {
      kind,
      metadata: { name: "p", namespace: "n" },
      spec: {
        rules: [{ apiGroups: [""], resources: ["pods"] }, null, { apiGroups, resources }],
        matchConditions,
      },
    };
    return renderWebhookConfiguration(policy, { namespace: "kubewarden", caBundle: "" }).webhooks![0]!
      .matchConditions;
  };
  const without = [{
    name: "kubewarden.io/no-reports",
    expression: "!(request.resource.group in ['wgpolicyk8s.io', 'openreports.io'])",
  }];
  for (const kind of ["AdmissionPolicy", "AdmissionPolicyGroup"]) {
    for (
      const [group, resource] of [
        ["openreports.io", "reports"],
        ["openreports.io", "reports/status"],
        ["openreports.io", "*"],
        ["wgpolicyk8s.io", "policyreports"],
        ["*", "reports"],
        ["*", "*"],
        ["*", "*/*"],
      ] as const
    ) {
      assert.equal(conditionsOf(kind, [group], [resource]), without, `${group}/${resource}`);
    }
    const own = { name: "own", expression: "true" };
    assert.equal(conditionsOf(kind, ["apps", "*"], ["*"], [own]), [own, ...without]);
    for (
      const [group, resource] of [["example.org", "reports"], ["openreports.io", "others"], ["apps", "*"]]
    ) {
      assert.is(conditionsOf(kind, [group!], [resource!]), undefined, `${group}/${resource}`);
    }
  }
  for (const kind of ["ClusterAdmissionPolicy", "ClusterAdmissionPolicyGroup"]) {
    assert.is(conditionsOf(kind, ["*"], ["*"]), undefined);
  }
});

test("one entry that cannot be read hides no other", () => {
  const file = {
    good: { namespacedName: { Namespace: "n", Name: "g" }, module: "m", policyMode: "protect" },
    bad: { policyMode: "x" },
    worse: 1,
  };
  const read = readPolicies({ metadata: { name: "c" }, data: { "policies.yml": JSON.stringify(file) } });
  assert.equal([...read!.keys()], ["good"]);
  for (const text of ["", "[", "[]", "null", "1"]) {
    assert.is(readPolicies({ metadata: { name: "c" }, data: { "policies.yml": text } }), undefined, text);
  }
  assert.is(readPolicies({ metadata: { name: "c" } }), undefined);
});

test("a policy is reachable only when every pod runs the current configuration and is ready", () => {
  const labels = { "kubewarden/policy-server": "s" };
  const member = (hash: string, ready: boolean, phase = "Running"): Any => ({
    metadata: { name: hash, labels: { ...labels, "pod-template-hash": hash } },
    status: { phase, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  });
  const set = (hash: string, revision: string, version: string): Any => ({
    metadata: {
      name: hash,
      labels: { ...labels, "pod-template-hash": hash },
      annotations: { "deployment.kubernetes.io/revision": revision, "kubewarden/config-version": version },
    },
  });
  const view = (pods: Any[], replicaSets = [set("old", "1", "6"), set("new", "2", "7")]): Any => ({
    configMap: { metadata: { name: "c", resourceVersion: "7" } },
    served: new Map(),
    deployment: {
      metadata: { name: "d", labels, annotations: { "deployment.kubernetes.io/revision": "2" } },
    },
    service: { metadata: { name: "s" } },
    replicaSets,
    pods,
  });
  const state = (...args: Parameters<typeof view>) => rollout(view(...args)).state;
  assert.is(state([member("new", true), member("new", true)]), "served");
  assert.is(state([]), "rolling");
  assert.is(state([member("new", true), member("new", false)]), "rolling");
  assert.is(
    state([member("new", true), member("old", true)]),
    "rolling",
    "an old pod would not know the policy",
  );
  assert.is(
    state([member("new", true), member("old", false, "Failed")]),
    "served",
    "an evicted pod serves nobody",
  );
  assert.is(
    state([member("new", true)], [set("new", "2", "6")]),
    "rolling",
    "the ReplicaSet has another configuration",
  );
  assert.is(
    state([member("new", true)], [set("new", "1", "7")]),
    "rolling",
    "the ReplicaSet is not the latest",
  );
  assert.equal(
    rollout({ ...view([member("new", true)]), service: undefined }),
    { state: "rolling", someReady: false },
    "no Service leads to the pods",
  );
});

test("self-protection: cluster-wide policies keep off our namespace unless they ask, and keep what users select", () => {
  const policy = (spec: Any): Any => ({
    kind: "ClusterAdmissionPolicy",
    metadata: { name: "p" },
    spec: { module: "m", mutating: false, policyServer: "s", rules: [], ...spec },
  });
  const selector = (spec: Any) =>
    renderWebhookConfiguration(policy(spec), { namespace: "kubewarden", caBundle: "" }).webhooks![0]!
      .namespaceSelector;
  const exclusion = { key: "kubernetes.io/metadata.name", operator: "NotIn", values: ["kubewarden"] };
  const env = { key: "env", operator: "Exists" };
  assert.equal(selector({}), { matchExpressions: [exclusion] });
  assert.equal(selector({ namespaceSelector: { matchLabels: { a: "b" }, matchExpressions: [env] } }), {
    matchLabels: { a: "b" },
    matchExpressions: [exclusion, env],
  });
  assert.equal(selector({ allowInsideAdmissionControllerNamespace: true }), {});
  assert.equal(
    selector({
      allowInsideAdmissionControllerNamespace: true,
      namespaceSelector: { matchLabels: { a: "b" } },
    }),
    {
      matchLabels: { a: "b" },
    },
  );
});

test("load errors: JSON lines among others, from pods that are not ready, the latest counting", () => {
  const end = (message: string, finishedAt: string) => ({ terminated: { message, finishedAt } });
  const failing = (lastState: Any, ready = "False"): Any => ({
    metadata: { name: "p" },
    status: { conditions: [{ type: "Ready", status: ready }], containerStatuses: [{ name: "c", lastState }] },
  });
  const line = (policy: string, reason: string) => JSON.stringify({ policy, reason });
  const found = loadErrors([
    failing(end(`panic\n${line("kw.cap.a", "new")}\n{"policy":1}\n[`, "2026-01-02T00:00:00Z")),
    failing(end(line("kw.cap.a", "old") + "\n" + line("kw.cap.b", "b"), "2026-01-01T00:00:00Z")),
    failing(end(line("kw.cap.c", "healed"), "2026-01-03T00:00:00Z"), "True"),
  ]);
  assert.equal([...found].sort(), [["kw.cap.a", "new"], ["kw.cap.b", "b"]]);
});

test("a condition's time moves only with its status; what no longer holds is not kept", () => {
  const finding = { type: "A", status: "True" as const, reason: "R", message: "m" };
  const before = [{ ...finding, lastTransitionTime: "t0" }];
  assert.is(stampConditions([{ ...finding, message: "other" }], before, "t1")[0]!.lastTransitionTime, "t0");
  assert.is(stampConditions([{ ...finding, status: "False" }], before, "t1")[0]!.lastTransitionTime, "t1");
  const active = renderPolicyStatus(
    {
      state: "active",
      webhook: true,
      server: { deployment: "d", reachable: true, configuration: "unknown", mode: "nonsense" },
    },
    undefined,
    "t",
  );
  assert.is(active.mode, "unknown");
  assert.is(
    active.conditions![2]!.message,
    "Configuration version annotation (kubewarden/config-version) in deployment d is missing",
  );
  const scheduled = renderPolicyStatus({ state: "scheduled" }, active, "t");
  assert.equal(scheduled.conditions!.map(({ type }) => type), ["PolicyActive"]);
  assert.is(scheduled.mode, undefined);
});

test("JSON keeps numbers' forms and orders keys by their bytes", () => {
  const text = '{"10":1,"9":2,"big":9007199254740993,"e":1e3,"f":1.0,"m":-0,"s":"<&>\u2028"}';
  assert.is(
    sortedJson(parseExactly(text)),
    '{"10":1,"9":2,"big":9007199254740993,"e":1e3,"f":1.0,"m":-0,"s":"\\u003c\\u0026\\u003e\\u2028"}',
  );
  assert.is(sortedJson(parseExactly("[9007199254740993]")), "[9007199254740993]");
  assert.is(sortedJson(parseExactly('{"a" : 123456789012345678}')), '{"a":123456789012345678}');
  assert.ok(compareBytes("\u{ffff}", "\u{10000}") < 0, "code points, not UTF-16 units");
  assert.is(compareBytes("a", "a"), 0);
  assert.ok(compareBytes("a", "ab") < 0);
});

test("what the API server stores in other words is no difference; what we no longer want is one", () => {
  assert.ok(covers({ limits: { cpu: "500m" } }, { limits: { cpu: "0.5" } }));
  assert.not(covers({ limits: { cpu: "500m" } }, { limits: { cpu: "1" } }));
  assert.ok(covers({}, { env: [], affinity: {}, name: "", add: null }));
  assert.not(covers({ args: ["a", "b"] }, { args: ["a"] }));
  const owned = { metadata: { "f:labels": { ".": {}, "f:a": {}, "f:b": {} } } };
  const live: Any = {
    metadata: {
      name: "x",
      labels: { a: "1", b: "2", foreign: "3" },
      managedFields: [{
        manager: "portreeve-controller",
        operation: "Apply",
        fieldsV1: { "f:metadata": owned.metadata },
      }],
    },
  };
  assert.not(needsApply(live, { metadata: { name: "x", labels: { a: "1", b: "2" } } }));
  assert.ok(
    needsApply(live, { metadata: { name: "x", labels: { a: "1" } } }),
    "b is ours and no longer wanted",
  );
  assert.equal(
    removeForeign(live, { metadata: { name: "x", labels: { a: "1", b: "2" } } }, [["metadata", "labels"]]),
    [
      { op: "test", path: "/metadata/resourceVersion", value: undefined },
      { op: "remove", path: "/metadata/labels/foreign" },
    ],
  );
});

test("on the host's network the new pod comes first only where it wants no port that the old one has", () => {
  const roll = (settings: Any, live: Any, spec: Any = {}) =>
    deployment(settings, spec, { live }).spec.strategy.rollingUpdate?.maxUnavailable;
  const done = { observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1 };
  const live = (settings: Any, spec: Any = {}, status: Any = done, strategy: Any = {}): Any => {
    const rendered = deployment(settings, spec);
    return {
      ...rendered,
      metadata: { ...rendered.metadata, generation: 1 },
      spec: { ...rendered.spec, strategy },
      status,
    };
  };
  const host = { hostNetwork: true };
  const rolling = { ...done, replicas: 2 };
  const newFirst = { rollingUpdate: { maxUnavailable: 0 } };
  const moved = { webhookPort: 1, readinessProbePort: 2 };
  const alone = {
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [{
          topologyKey: "kubernetes.io/hostname",
          labelSelector: { matchLabels: { "kubewarden/policy-server": "s" } },
        }],
      },
    },
  };
  for (
    const [what, found, wanted] of [
      ["each pod needs a node", roll(host, live({}), alone), 1],
      ["each old pod needs a node", roll(host, live({}, alone)), 1],
      ["nothing there", roll(host, undefined), 1],
      ["nothing changes", roll(host, live(host)), 1],
      ["the same ports", roll(host, live(host), { image: "j" }), 1],
      ["one port of two moves", roll(host, live(host), { webhookPort: 1 }), 1],
      ["both ports move", roll(host, live(host), moved), 0],
      ["the ports change places", roll(host, live(host), { webhookPort: 8081, readinessProbePort: 8443 }), 1],
      ["host network is turned on", roll(host, live({})), 0],
      ["while it is turned on", roll(host, live(host, {}, rolling, newFirst)), 0],
      ["when it has been turned on", roll(host, live(host, {}, done, newFirst)), 1],
      ["a change while it is turned on", roll(host, live(host, {}, rolling, newFirst), { image: "j" }), 1],
      ["turned on while another rollout goes on", roll(host, live({}, {}, rolling)), 1],
      ["host network is turned off", roll({}, live(host)), undefined],
    ] as const
  ) assert.is(found, wanted, what);
});

test("why pods don't run is told once, with what Kubernetes says, and policies' own errors are left to the policies", () => {
  const pod = (status: Any, metadata: Any = {}): Any => ({ metadata: { name: "p", ...metadata }, status });
  const container = (state: Any, lastState: Any = {}) =>
    pod({ containerStatuses: [{ name: "c", state, lastState }] });
  const pull = container({ waiting: { reason: "ImagePullBackOff", message: "not found" } });
  const crash = { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s" } };
  const ended = (message?: string) => ({ terminated: { exitCode: 1, message } });
  const refused = { status: { conditions: [{ type: "ReplicaFailure", status: "True", message: "quota" }] } };
  const pending = pod({ conditions: [{ type: "PodScheduled", status: "False", message: "0/1 nodes" }] });
  for (
    const [what, live, pods, wanted] of [
      ["nothing", undefined, [], []],
      ["ready", undefined, [container({ running: {} })], []],
      ["starting", undefined, [container({ waiting: { reason: "ContainerCreating" } })], []],
      ["restarted and well", undefined, [container({ running: {} }, ended("port in use"))], []],
      ["image, twice", undefined, [pull, pull], ["image i: ImagePullBackOff: not found"]],
      ["going", undefined, [{ ...pull, metadata: { deletionTimestamp: "now" } }], []],
      ["no node", undefined, [pending], ["no node takes the pod: 0/1 nodes"]],
      ["refused", refused, [], ["pods can't be created: quota"]],
      ["crash", undefined, [container(crash, ended("port in use"))], [
        "the container ended with code 1: port in use",
      ]],
      ["crash without a word", undefined, [container(crash, ended())], []],
      ["a policy's error", undefined, [container(crash, ended('{"policy":"a","reason":"b"}'))], []],
    ] as const
  ) assert.equal(podProblems(server(), live as Any, pods), wanted, what);
  const none = { configMap: () => false, secret: () => false };
  const spec = { verificationConfig: "v", sigstoreTrustConfig: "t", imagePullSecret: "s" };
  assert.equal(missingInputs(server(), none), []);
  assert.equal(
    missingInputs(server(spec), none).map((text) => text.split(",")[0]),
    [
      'spec.verificationConfig names ConfigMap "v"',
      'spec.sigstoreTrustConfig names ConfigMap "t"',
      'spec.imagePullSecret names Secret "s"',
    ],
  );
  assert.equal(missingInputs(server(spec), { configMap: () => true, secret: () => true }), []);
  assert.ok(problemText(["x".repeat(100_000)]).length < 3_000);
});

test.run();
