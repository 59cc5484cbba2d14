// The scanner against a real API server and the project's own policy server: what is judged, reported, kept and removed.
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { reportResource } from "../../audit/render/report.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { moduleUrl, type ServerProcess, serving } from "../policy_server/server_process.ts";
import {
  type Any,
  type Cluster,
  install,
  policy,
  resourceFor,
  rule,
  served,
  startCluster,
} from "./cluster.ts";

const there = binariesFolder() !== undefined;
const live = there ? test : test.skip;
const note = there ? "" : ` (${HOW_TO_GET_BINARIES})`;

const LABELS = moduleUrl("policies/required-labels/policy.wasm");
const PRIVILEGED = moduleUrl("policies/pod-privileged/policy.wasm");
const SECCOMP = moduleUrl("policies/default-seccomp/policy.wasm");
const owner = { settings: { required: ["owner"] } };

const configMap = (namespace: string, name: string, labels: Any = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace, labels },
  data: { number: "1" },
});
const pod = (namespace: string, name: string, privileged: boolean, labels: Any = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace, labels },
  spec: { containers: [{ name: "c", image: "i", securityContext: { privileged } }] },
});
const namespace = (name: string, labels: Any = {}) => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});

/** Every policy kind, scope, mode and outcome; the modules are the sample policies. */
const POLICIES: readonly (readonly [policy: Any, module: string])[] = [
  [
    policy("ClusterAdmissionPolicy", "owner", {
      ...owner,
      annotations: { "io.kubewarden.policy.severity": "low", "io.kubewarden.policy.category": "Labels" },
    }),
    LABELS,
  ],
  [policy("ClusterAdmissionPolicy", "namespaces", { ...owner, rules: [rule("", "namespaces")] }), LABELS],
  [
    policy("ClusterAdmissionPolicy", "privileged", {
      rules: [rule("", "pods")],
      mode: "monitor",
      annotations: { "io.kubewarden.policy.severity": "critical" },
    }),
    PRIVILEGED,
  ],
  [policy("ClusterAdmissionPolicy", "seccomp", { rules: [rule("", "pods")], mutating: true }), SECCOMP],
  [
    policy("ClusterAdmissionPolicy", "urgent", {
      ...owner,
      annotations: { "io.kubewarden.policy.severity": "urgent" },
    }),
    LABELS,
  ],
  [
    policy("ClusterAdmissionPolicy", "only-shop", {
      ...owner,
      namespaceSelector: { matchLabels: { env: "shop" } },
    }),
    LABELS,
  ],
  [
    policy("ClusterAdmissionPolicy", "only-web", {
      ...owner,
      objectSelector: { matchExpressions: [{ key: "app", operator: "In", values: ["web"] }] },
    }),
    LABELS,
  ],
  [
    policy("ClusterAdmissionPolicy", "conditioned", {
      ...owner,
      matchConditions: [{ name: "web", expression: "object.metadata.name.startsWith('web')" }],
    }),
    LABELS,
  ],
  [
    policy("ClusterAdmissionPolicy", "unevaluable", {
      ...owner,
      matchConditions: [{
        name: "asks",
        expression: "authorizer.group('').resource('pods').check('get').allowed()",
      }],
      objectSelector: { matchLabels: { app: "web" } },
    }),
    LABELS,
  ],
  [
    policy("ClusterAdmissionPolicy", "partly-unknown", {
      ...owner,
      rules: [{
        apiGroups: ["", "apps"],
        apiVersions: ["v1"],
        operations: ["CREATE"],
        resources: ["configmaps", "Secret"],
      }],
    }),
    LABELS,
  ],
  [
    policy("ClusterAdmissionPolicyGroup", "group", {
      expression: "a()",
      policies: { a: { module: LABELS, ...owner } },
    }),
    LABELS,
  ],
  [policy("AdmissionPolicy", "own", { ...owner, namespace: "shop" }), LABELS],
  [
    policy("AdmissionPolicyGroup", "own-group", {
      namespace: "shop",
      expression: "!a()",
      policies: { a: { module: LABELS, ...owner } },
    }),
    LABELS,
  ],
];
/** Skipped or errored, in every namespace and cluster-wide alike. */
const UNJUDGED: readonly (readonly [policy: Any, status: string])[] = [
  [policy("ClusterAdmissionPolicy", "wildcard", { rules: [rule("", "*")] }), "active"],
  [
    policy("ClusterAdmissionPolicy", "update-only", { rules: [rule("", "configmaps", "v1", ["UPDATE"])] }),
    "active",
  ],
  [policy("ClusterAdmissionPolicy", "no-background", { backgroundAudit: false }), "active"],
  [policy("ClusterAdmissionPolicy", "pending", {}), "pending"],
  [policy("ClusterAdmissionPolicy", "unknown", { rules: [rule("apps", "foo")] }), "active"],
  [policy("ClusterAdmissionPolicy", "subresource", { rules: [rule("", "pods/exec")] }), "active"],
  [policy("ClusterAdmissionPolicy", "serverless", { policyServer: "nowhere" }), "active"],
];

let cluster: Cluster;
let server: ServerProcess;
let stopServer: () => void;
let stopped: Promise<void>;
const flags = (...more: string[]) => [
  "--report-kind",
  "openreports",
  "-u",
  `https://localhost:${server.port}`,
  "--extra-ca",
  join(server.folder, "tls.crt"),
  ...more,
];
const outcomes = (report: Any) =>
  Object.fromEntries((report.results ?? []).map(({ policy, result }: Any) => [policy, result]));

test.before(async () => {
  if (!there) return;
  cluster = await startCluster();
  await cluster.create(namespace("shop", { env: "shop", owner: "team" }));
  await cluster.create(namespace("bank"));
  await cluster.create(configMap("shop", "web", { owner: "team", app: "web" }));
  await cluster.create(configMap("shop", "plain"));
  await cluster.create(pod("shop", "root", true));
  await cluster.create(pod("shop", "user", false));
  await cluster.create(configMap("bank", "plain"));
  await cluster.create({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "web", namespace: "bank", labels: { owner: "x" } },
  });
  for (const [object] of POLICIES) await install(cluster, object);
  for (const [object, status] of UNJUDGED) await install(cluster, object, status);
  const entries = Object.assign({}, ...POLICIES.map(([object, module]) => served([object], module)));
  // Groups' members carry their own settings.
  for (const entry of Object.values<Any>(entries)) {
    for (const member of Object.values<Any>(entry.policies ?? {})) member.settings = owner.settings;
  }
  await new Promise<void>((ready, failed) => {
    stopped = serving({ policies: entries }, (running) => {
      server = running;
      ready();
      return new Promise<void>((stop) => stopServer = stop);
    });
    stopped.catch(failed);
  });
});

test.after(async () => {
  stopServer?.();
  await stopped;
  await cluster?.stop();
});

const SKIPPED = 4; // wildcard, update-only, no-background, pending
const ERRORED = 3; // unknown, subresource, serverless

live(`every policy kind, mode, scope and outcome is in the reports as the chapter says${note}`, async () => {
  const result = await cluster.scan(flags());
  assert.is(result.code, 0, result.stderr);
  assert.is(result.stderr, "");
  const reports = await cluster.reports("openreports");

  const web = reports.get("ConfigMap shop/web");
  assert.equal(outcomes(web), {
    "kw.cap.conditioned": "pass",
    "kw.cap.only-shop": "pass",
    "kw.cap.only-web": "pass",
    "kw.cap.owner": "pass",
    "kw.cap.partly-unknown": "pass",
    "kw.cap.unevaluable": "error",
    "kw.cap.urgent": "pass",
    "kw.capg.group": "pass",
    "kw.ap.shop.own": "pass",
    "kw.apg.shop.own-group": "fail",
  });
  assert.equal(web.summary, { pass: 8, fail: 1, warn: 0, error: 1 + ERRORED, skip: SKIPPED });
  const resultOf = (report: Any, id: string) => report.results.find(({ policy }: Any) => policy === id);
  assert.match(
    resultOf(web, "kw.cap.unevaluable").message,
    /match condition "asks" cannot be evaluated: .*authorizer/,
  );
  assert.is(resultOf(web, "kw.apg.shop.own-group").message, "group refuses");

  const plain = reports.get("ConfigMap shop/plain");
  assert.equal(outcomes(plain), {
    "kw.cap.only-shop": "fail",
    "kw.cap.owner": "fail",
    "kw.cap.partly-unknown": "fail",
    "kw.cap.urgent": "fail",
    "kw.capg.group": "fail",
    "kw.ap.shop.own": "fail",
    "kw.apg.shop.own-group": "pass",
  });
  const first = resultOf(plain, "kw.cap.owner");
  assert.equal({
    ...first,
    timestamp: typeof first.timestamp.seconds,
    properties: Object.keys(first.properties),
  }, {
    source: "kubewarden",
    policy: "kw.cap.owner",
    category: "Labels",
    severity: "low",
    timestamp: "number",
    result: "fail",
    scored: true,
    message: 'label "owner" is required',
    resourceSelector: {},
    properties: ["policy-name", "policy-resource-version", "policy-uid", "validating"],
  });
  assert.is(
    resultOf(plain, "kw.cap.urgent").severity,
    undefined,
    "an unknown severity would lose the whole report",
  );
  assert.is(resultOf(plain, "kw.ap.shop.own").properties["policy-namespace"], "shop");

  const root = reports.get("Pod shop/root");
  assert.equal(outcomes(root), { "kw.cap.privileged": "fail", "kw.cap.seccomp": "pass" });
  assert.is(resultOf(root, "kw.cap.privileged").severity, "info", "monitor mode");
  assert.is(resultOf(root, "kw.cap.seccomp").properties.mutating, "true");
  assert.equal(outcomes(reports.get("Pod shop/user")), {
    "kw.cap.privileged": "pass",
    "kw.cap.seccomp": "pass",
  });

  assert.equal(outcomes(reports.get("ConfigMap bank/plain")), {
    "kw.cap.owner": "fail",
    "kw.cap.partly-unknown": "fail",
    "kw.cap.urgent": "fail",
    "kw.capg.group": "fail",
  });
  assert.equal(
    outcomes(reports.get("Secret bank/web")),
    { "kw.cap.partly-unknown": "pass" },
    "singular names resolve",
  );

  const shop = reports.get("Namespace /shop");
  assert.is(shop.kind, "ClusterReport");
  assert.is(shop.metadata.namespace, undefined);
  assert.equal(outcomes(shop), { "kw.cap.namespaces": "pass" });
  assert.equal(
    outcomes(reports.get("Namespace /kubewarden")),
    { "kw.cap.namespaces": "fail" },
    "skipped namespaces are objects too",
  );
  assert.not.ok([...reports.keys()].some((key) => key.includes(" kubewarden/")));

  const live = await cluster.client.get<Any>(resourceFor("ConfigMap"), "shop", "web");
  const { uid, resourceVersion } = live.metadata;
  assert.equal(web.scope, {
    apiVersion: "v1",
    kind: "ConfigMap",
    namespace: "shop",
    name: "web",
    uid,
    resourceVersion,
  });
  assert.is(web.metadata.name, uid);
  assert.equal(web.metadata.ownerReferences, [{ apiVersion: "v1", kind: "ConfigMap", name: "web", uid }]);
  assert.equal(Object.keys(web.metadata.labels).sort(), [
    "app.kubernetes.io/managed-by",
    "kubewarden.io/audit-scanner-run-uid",
    "kubewarden.io/policyreport-version",
  ]);
  assert.is(web.metadata.labels["kubewarden.io/audit-scanner-run-uid"], result.summary.RunUID);
});

live(`the run says what it does and what came of it${note}`, async () => {
  const { lines, summary } = await cluster.scan(flags("--loglevel", "debug", "-n", "shop"));
  const said = (message: string) => lines.filter((line) => line.message === message);
  assert.equal(
    said("policy count").map((
      line,
    ) => [line.namespace, line["policies-to-evaluate"], line["policies-skipped"], line["policies-errored"]]),
    [["shop", 12, SKIPPED, ERRORED]],
  );
  assert.is(said("audit resource").length, 4);
  assert.is(said("Namespaced resources scan finished").length, 1);
  assert.is(said("clusterwide resources scan started").length, 0);
  const errored = said(
    "failed to obtain unknown GroupVersion resources. The policy may be misconfigured, skipping as error...",
  );
  assert.equal(errored.map(({ policy }) => policy).sort(), ["kw.cap.subresource", "kw.cap.unknown"]);
  const serverless = said("failed to obtain matching policy-server URL, skipping as error...");
  assert.equal(serverless.map(({ policy }) => policy), ["kw.cap.serverless"]);
  assert.match(serverless[0].error, /failed to get PolicyServer "nowhere"/);
  assert.equal(said("the policy targets only wildcard resources, skipping...").map(({ policy }) => policy), [
    "kw.cap.wildcard",
  ]);
  assert.equal(
    said("the policy's severity is none of critical, high, medium, low, info, leaving it out").map((
      { severity },
    ) => severity),
    ["urgent"],
  );
  assert.is(said("the policy names resources that are not served, leaving them out").length, 1);
  for (const { time, level } of lines) {
    assert.ok(!Number.isNaN(Date.parse(time)) && ["debug", "info", "warning", "error"].includes(level));
  }
  assert.is(summary.resources, 4);
  assert.equal(summary.policies["kw.cap.privileged"], { pass: 1, fail: 1, error: 0 });
  assert.equal([summary.pass, summary.fail, summary.error, summary.written], [12, 8, 1, 4]);
  assert.is(lines.at(-1), summary, "the result closes the run");
  const quiet = await cluster.scan(flags("-l", "error", "-n", "shop"));
  assert.equal(
    [...new Set(quiet.lines.map(({ level, message }) => message === "scan summary" ? "summary" : level))]
      .sort(),
    ["error", "summary"],
  );
});

live(`--output-scan prints the reports, --disable-store leaves the stored ones alone${note}`, async () => {
  const before = await cluster.reports("openreports");
  await cluster.create(configMap("shop", "later", { owner: "x" }));
  const result = await cluster.scan(flags("--output-scan", "--disable-store"));
  await cluster.remove("ConfigMap", "later", "shop");
  assert.is(result.code, 0, result.stderr);
  assert.equal(await cluster.reports("openreports"), before);
  const printed = result.lines.filter(({ message }) => message === "PolicyReport summary").map(({ report }) =>
    JSON.parse(report)
  );
  const later = printed.find(({ scope }) => scope.name === "later");
  assert.is(later.kind, "Report");
  assert.is(outcomes(later)["kw.cap.owner"], "pass");
  const clusterWide = result.lines.filter(({ message }) => message === "ClusterPolicyReport summary");
  assert.ok(clusterWide.some(({ report }) => JSON.parse(report).scope.name === "shop"));
});

live(
  `reports of what is gone are removed, those of others stay; a hand-made change does not outlive a scan${note}`,
  async () => {
    const resource = reportResource("openreports", true);
    const write = (name: string, labels: Any) =>
      cluster.client.create<Any>(
        resource,
        {
          apiVersion: resource.apiVersion,
          kind: resource.kind,
          metadata: { name, namespace: "shop", labels },
        } as Any,
      );
    const web = (await cluster.reports("openreports")).get("ConfigMap shop/web");
    await write("stale", {
      "app.kubernetes.io/managed-by": "kubewarden",
      "kubewarden.io/audit-scanner-run-uid": "old",
    });
    await write("foreign", { "app.kubernetes.io/managed-by": "somebody" });
    const edit = {
      metadata: {
        labels: { extra: "label", "kubewarden.io/policyreport-version": "v9" },
        annotations: { note: "kept" },
        ownerReferences: [],
      },
      summary: { pass: 99, fail: 0 },
      scope: { name: "other" },
      source: "somebody",
      results: [{ policy: "made-up", result: "pass" }],
    };
    await cluster.client.patch(resource, "shop", web.metadata.name, "merge", edit);
    const result = await cluster.scan(flags("-n", "shop"));
    assert.is(result.code, 0, result.stderr);
    const names = (await cluster.client.list<Any>(resource, "shop", {})).items.map(({ metadata }) =>
      metadata.name
    );
    assert.not.ok(names.includes("stale"));
    assert.ok(names.includes("foreign"));
    await cluster.client.remove(resource, "shop", "foreign");
    const repaired = (await cluster.reports("openreports")).get("ConfigMap shop/web");
    assert.equal(Object.keys(repaired.metadata.labels).sort(), Object.keys(web.metadata.labels).sort());
    assert.is(repaired.metadata.labels["kubewarden.io/policyreport-version"], "v2");
    assert.is(repaired.metadata.annotations.note, "kept");
    assert.equal(repaired.metadata.ownerReferences, web.metadata.ownerReferences);
    assert.equal([repaired.scope, repaired.summary, outcomes(repaired)], [
      web.scope,
      web.summary,
      outcomes(web),
    ]);
    assert.is(result.summary.removed, 1);
  },
);

live(`policies that go take their results along, and the last one all reports${note}`, async () => {
  const { metadata: { name } } = POLICIES.find(([{ metadata }]) => metadata.name === "owner")![0];
  await cluster.remove("ClusterAdmissionPolicy", name);
  await cluster.scan(flags("-n", "shop"));
  const after = (await cluster.reports("openreports")).get("ConfigMap shop/plain");
  assert.is(outcomes(after)["kw.cap.owner"], undefined);
  assert.is(after.results.length, 6);
  for (const [{ kind, metadata }] of [...POLICIES, ...UNJUDGED]) {
    await cluster.remove(kind, metadata.name, metadata.namespace);
  }
  const result = await cluster.scan(flags());
  assert.is(result.code, 0, result.stderr);
  assert.is((await cluster.reports("openreports")).size, 0);
});

test.run();
