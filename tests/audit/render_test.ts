// What is pure in the scanner: lists cut into items, selectors, classification, and what people see.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { classify, contextAware, planOf, severityOf } from "../../audit/render/classify.ts";
import { inputsText, parseInputs } from "../../audit/render/inputs.ts";
import { labelMatcher } from "../../audit/render/label_selector.ts";
import { auditedOf, itemsOf } from "../../audit/render/list_page.ts";
import { closingTable, progressLine, summaryFields } from "../../audit/render/progress.ts";
import { versionRank } from "../../audit/render/version_rank.ts";
import { openScreen } from "../../audit/serve/terminal.ts";
import type { Served } from "../../audit/types/policies.ts";
import type { Tally } from "../../audit/types/tally.ts";
import { type Any, policy, rule } from "./cluster.ts";

const kind = (group: string, version: string, kind: string, namespaced = true): Served => ({
  group,
  version,
  kind,
  plural: `${kind.toLowerCase()}s`,
  singular: kind.toLowerCase(),
  namespaced,
  rank: versionRank(version),
});
const POD = kind("", "v1", "Pod");
const DEPLOYMENT = kind("apps", "v1", "Deployment");
const NAMESPACE = kind("", "v1", "Namespace", false);
const SERVED = [POD, DEPLOYMENT, NAMESPACE];
const lookup = ({ group, version, resource }: Any) =>
  SERVED.find((one) => one.group === group && one.version === version && one.plural === resource);
const active = (object: Any) => ({ ...object, status: { policyStatus: "active" } });

test("a list is cut into its items, whatever is in them, and nothing of them changes", () => {
  const items = [
    `{"metadata":{"name":"a"},"data":{"x":"}]\\"{[\\\\"}}`,
    `{"metadata":{"name":"b","uid":"u"},"n":[1.0,9007199254740993,-0,1e400],"items":[{"items":[]}]}`,
    `{"metadata":{"name":"ü \\ud83d\\ude00","labels":null}}`,
  ];
  const text = (before: string, between: string) =>
    `{"kind":"PodList",${before}"metadata":{"continue":"tok\\"en","remainingItemCount":4},"items":[${
      items.join(between)
    }]}\n`;
  for (const page of [text("", ","), text(`"other":{"items":[1,{"a":"b"}]},`, " ,\n ")]) {
    assert.equal(itemsOf(page), { items, next: 'tok"en', remaining: 4 });
  }
  const after = `{"items" : [ ${items[0]} ],"metadata":{"resourceVersion":"1","continue":""}}`;
  assert.equal(itemsOf(after), { items: [items[0]], next: undefined, remaining: 0 });
  assert.equal(itemsOf(`{"items":[],"metadata":{}}`).items, []);
  assert.equal(itemsOf(`{"items":null,"metadata":{}}`).items, []);
});

test("what is no list is an error", () => {
  for (
    const text of [
      "",
      "[]",
      "{}",
      "nonsense",
      `{"items":[{"a":"b"`,
      `{"items":[{}`,
      `{"items":{}}`,
      `{"items":[1]}`,
      `{"a":"`,
    ]
  ) {
    assert.throws(() => itemsOf(text), undefined, text);
  }
});

test("items of built-in lists are told what they are; others say it themselves", () => {
  const bare = auditedOf(
    `{ "metadata":{"name":"a","uid":"u","resourceVersion":"7","labels":{"x":"y"}},"n":1.0}`,
    DEPLOYMENT,
  );
  assert.is(
    bare.text,
    `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","uid":"u","resourceVersion":"7","labels":{"x":"y"}},"n":1.0}`,
  );
  assert.equal([bare.name, bare.uid, bare.resourceVersion, bare.labels, bare.namespace], ["a", "u", "7", {
    x: "y",
  }, undefined]);
  const own = `{"kind":"Thing","apiVersion":"example.org/v2","metadata":{"name":"a","namespace":"n"}}`;
  const custom = auditedOf(own, POD);
  assert.equal([custom.text, custom.kind, custom.apiVersion, custom.namespace, custom.uid], [
    own,
    "Thing",
    "example.org/v2",
    "n",
    "",
  ]);
});

test("label selectors", () => {
  const labels = { app: "web", "example.org/tier": "", hasOwnProperty: "x" };
  const expression = (key: string, operator: string, ...values: string[]) => ({
    matchExpressions: [{ key, operator, values }],
  });
  const matches: readonly (readonly [selector: Any, expected: boolean])[] = [
    [undefined, true],
    [{}, true],
    [{ matchLabels: { app: "web" } }, true],
    [{ matchLabels: { app: "web", other: "x" } }, false],
    [{ matchLabels: { toString: "x" } }, false],
    [expression("app", "In", "api", "web"), true],
    [expression("app", "In", "api"), false],
    [expression("app", "NotIn", "api"), true],
    [expression("missing", "NotIn", "api"), true],
    [expression("app", "NotIn", "web"), false],
    [expression("example.org/tier", "Exists"), true],
    [expression("missing", "Exists"), false],
    [expression("missing", "DoesNotExist"), true],
    [expression("app", "DoesNotExist"), false],
    [{ matchLabels: { app: "web" }, ...expression("missing", "Exists") }, false],
  ];
  for (const [selector, expected] of matches) {
    assert.is(labelMatcher(selector)(labels), expected, JSON.stringify(selector));
  }
  assert.is(labelMatcher({ matchLabels: { a: "b" } })(undefined), false);
  for (
    const [selector, says] of [
      [expression("app", "Near"), /not a valid label selector operator/],
      [expression("app", "In"), /can't be empty/],
      [expression("app", "Exists", "x"), /must be empty/],
      [expression("a b", "Exists"), /invalid label key/],
      [{ matchLabels: { app: "a b" } }, /invalid label value/],
      [{ matchLabels: { "A_.org/x": "a" } }, /invalid label key/],
    ] as const
  ) assert.throws(() => labelMatcher(selector as Any), says);
});

test("classification: the first match of the chapter's table", () => {
  const of = (spec: Any, namespaced = true, status = "active") =>
    classify(
      { ...policy("ClusterAdmissionPolicy", "p", spec), status: { policyStatus: status } },
      namespaced,
      lookup,
    ).kind;
  const pods = rule("", "pods");
  assert.is(of({ rules: [pods] }), "candidate");
  for (const status of ["unscheduled", "scheduled", "pending", "rejected"]) {
    assert.is(of({ rules: [pods] }, true, status), "skipped", status);
  }
  assert.is(of({ rules: [] }), "skipped");
  assert.is(
    classify({ kind: "ClusterAdmissionPolicy", metadata: { name: "p" } } as Any, true, lookup).kind,
    "skipped",
    "no spec at all",
  );
  for (const field of ["apiGroups", "apiVersions", "resources"]) {
    assert.is(of({ rules: [{ ...pods, [field]: ["*"] }] }), "skipped", field);
    assert.is(
      of({ rules: [{ ...pods, [field]: ["*"] }, pods] }),
      "candidate",
      `${field} beside an explicit rule`,
    );
  }
  assert.is(of({ rules: [rule("", "pods", "v1", ["*"])] }), "skipped", "* is not CREATE");
  assert.is(of({ rules: [rule("", "pods", "v1", ["UPDATE"]), rule("apps", "deployments")] }), "candidate");
  assert.is(of({ rules: [null, pods] }), "candidate", "a stored list may hold null");
  assert.is(of({ rules: [rule("apps", "pods")] }), "errored");
  assert.is(of({ rules: [rule("", "pods/exec")] }), "errored");
  assert.is(
    of({ rules: [rule("apps", "pods")], backgroundAudit: false }),
    "errored",
    "before backgroundAudit",
  );
  assert.is(
    of({ rules: [rule("", "namespaces")], backgroundAudit: false }),
    "ignored",
    "of the other scope: counted nowhere",
  );
  assert.is(of({ rules: [rule("", "namespaces")] }, false), "candidate");
  assert.is(of({ rules: [pods], backgroundAudit: false }), "skipped");
  assert.is(of({ rules: [pods] }, true, "pending"), "skipped");
  // The cross product of one rule holds what is not served; each is dropped by itself, and none is taken twice.
  const cross = {
    apiGroups: ["", "apps"],
    apiVersions: ["v1", "v1"],
    resources: ["pods", "deployments", "namespaces"],
    operations: ["CREATE"],
  };
  const found = classify(
    active(policy("ClusterAdmissionPolicy", "p", { rules: [cross, cross] })),
    true,
    lookup,
  );
  assert.equal(found.kind === "candidate" ? [found.served, found.unknown.length] : [], [
    [POD, DEPLOYMENT],
    3,
  ]);
});

test("a policy of a namespace isn't asked about reports, those of other groups and cluster-wide policies are", () => {
  const reports = { ...POD, group: "openreports.io", version: "v1alpha1", kind: "Report", plural: "reports" };
  const looked = (target: Any) =>
    target.group === "openreports.io" && target.resource === "reports" ? reports : lookup(target);
  const of = (kind: Any, rules: Any[]) => classify(active(policy(kind, "p", { rules })), true, looked);
  const both = {
    ...rule("", "pods"),
    apiGroups: ["", "openreports.io"],
    apiVersions: ["v1", "v1alpha1"],
    resources: ["pods", "reports"],
  };
  for (const kind of ["AdmissionPolicy", "AdmissionPolicyGroup"]) {
    assert.is(of(kind, [rule("openreports.io", "reports", "v1alpha1")]).kind, "skipped", kind);
    const found = of(kind, [rule("openreports.io", "reports", "v1alpha1"), rule("", "pods")]);
    assert.equal(found.kind === "candidate" ? found.served : [], [POD]);
    assert.not.ok(((of(kind, [both]) as Any).served as Any[]).includes(reports));
  }
  const wide = of("ClusterAdmissionPolicy", [rule("openreports.io", "reports", "v1alpha1")]);
  assert.equal(wide.kind === "candidate" ? wide.served : [], [reports]);
});

test("severities, context-awareness, one subject for all versions of a kind", () => {
  const annotated = (severity: string, more: Any = {}) =>
    policy("ClusterAdmissionPolicy", "p", {
      annotations: { "io.kubewarden.policy.severity": severity },
      ...more,
    });
  assert.equal(severityOf(annotated("high")), { severity: "high" });
  assert.equal(severityOf(annotated("high", { mode: "monitor" })), { severity: "info" });
  assert.equal(severityOf(annotated("urgent")), { invalid: "urgent" });
  assert.equal(severityOf(annotated("")), {});
  const reads = { contextAwareResources: [{ apiVersion: "v1", kind: "Pod" }] };
  assert.ok(contextAware(policy("ClusterAdmissionPolicy", "p", reads)));
  assert.ok(
    contextAware(
      policy("ClusterAdmissionPolicyGroup", "p", {
        policies: { a: { module: "x" }, b: { module: "x", ...reads } },
      }),
    ),
  );
  assert.not.ok(contextAware(policy("ClusterAdmissionPolicy", "p", { contextAwareResources: [] })));
  assert.not.ok(contextAware(policy("AdmissionPolicy", "p", { namespace: "n", ...reads })));
  const [v1, v2, events, newEvents] = [
    kind("a", "v1", "Thing"),
    kind("a", "v2", "Thing"),
    kind("", "v1", "Event"),
    kind("events.k8s.io", "v1", "Event"),
  ];
  const auditable = { id: "p", order: 0 } as Any;
  const { subjects } = planOf([{ auditable, served: [v1!, events!, v2!, newEvents!] }], [], []);
  assert.equal(
    subjects.map(({ primary, others }) => [primary.served, ...others.map(({ served }) => served)]),
    [[v2, v1], [events, newEvents]],
  );
  const order = ["v2", "v1", "v10beta1", "v2beta2", "v2beta1", "v1beta1", "v2alpha1", "v1alpha1", "foo"];
  assert.equal([...order].reverse().sort((a, b) => versionRank(a) - versionRank(b)), order);
});

test("inputs are read as they were written, and nothing else is", () => {
  const text = inputsText("812", "digest", ["pass", undefined, "fail", "error"]);
  assert.equal(parseInputs(text), {
    resourceVersion: "812",
    basis: "digest",
    outcomes: ["pass", undefined, "fail", "error"],
  });
  for (const other of ["", "a", "a/b", "a/b/c", "a/b/p/p"]) assert.is(parseInputs(other), undefined, other);
});

const TALLY: Tally = {
  policies: new Map([["kw.cap.b", { pass: 10, fail: 0, error: 1 }], ["kw.cap.a", {
    pass: 1,
    fail: 200,
    error: 0,
  }]]),
  totals: {
    resources: 106,
    written: 100,
    kept: 6,
    removed: 2,
    unwritten: 0,
    unlisted: 1,
    namespaces: 3,
    failedNamespaces: 0,
  },
};

test("the closing table and the summary say the same", () => {
  assert.is(
    closingTable(TALLY, 1234),
    [
      "POLICY    PASS  FAIL  ERROR",
      "kw.cap.a     1   200      0",
      "kw.cap.b    10     0      1",
      "total       11   200      1",
      "",
      "106 resources in 3 namespaces in 1.2 s; reports: 100 written, 6 kept, 2 removed",
      "1 kinds could not be listed",
      "",
    ].join("\n"),
  );
  assert.equal(summaryFields(TALLY, "run", 1234), {
    component: "scanner",
    RunUID: "run",
    seconds: 1.234,
    ...TALLY.totals,
    pass: 11,
    fail: 200,
    error: 1,
    policies: { "kw.cap.a": { pass: 1, fail: 200, error: 0 }, "kw.cap.b": { pass: 10, fail: 0, error: 1 } },
  });
});

test("a bar per namespace, with log lines above it", () => {
  assert.is(
    progressLine({ namespace: "shop", done: 5, expected: 10, number: 2, of: 7 }, 80),
    `${"█".repeat(12)}${"░".repeat(12)} 5/10  [2/7] shop`,
  );
  assert.is(
    progressLine({ namespace: undefined, done: 0, expected: 0, number: 0, of: 0 }, 80),
    `${"░".repeat(24)} 0/0  cluster-wide`,
  );
  assert.is(progressLine({ namespace: "shop", done: 1, expected: 2, number: 1, of: 1 }, 10).length, 9);
  const shown: string[] = [];
  let time = 0;
  const screen = openScreen({ columns: 60, write: (text) => shown.push(text) }, () => time);
  const phase = screen.progress.begin("shop", 1);
  phase.expect(2);
  for (let tick = 0; tick < 2; tick++) {
    time += 100;
    phase.done();
  }
  screen.print(() => shown.push("a log line\n"));
  phase.end();
  screen.end();
  const clear = "\r\x1b[2K";
  assert.ok(
    shown.some((text) => text.includes("1/2  shop")) && shown.some((text) => text.includes("2/2  shop")),
  );
  assert.is(shown[shown.indexOf("a log line\n") - 1], clear);
  assert.is(shown.at(-1), clear, "nothing of the bar is left");
});

test.run();
