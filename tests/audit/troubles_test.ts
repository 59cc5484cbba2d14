// Clusters and policy servers in trouble: what is affected says so, everything else is right, and the run ends.
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { writeFileSync } from "node:fs";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { until } from "../cluster/control_plane.ts";
import { type Any, type Cluster, install, policy, resourceFor, rule, startCluster } from "./cluster.ts";
import { type Reply, startStub, type Stub } from "./stub_server.ts";

const there = binariesFolder() !== undefined;
const live = there ? test : test.skip;
const note = there ? "" : ` (${HOW_TO_GET_BINARIES})`;

const allow: Reply = { response: { uid: "u", allowed: true } };
const configMap = (namespace: string, name: string) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace },
});
const namespace = (name: string) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
const OPENREPORTS = ["--report-kind", "openreports"];
const errors = (lines: readonly Any[]) => lines.filter(({ level }) => level === "error");
const warnings = (lines: readonly Any[]) => lines.filter(({ level }) => level === "warning");

let cluster: Cluster;
let stub: Stub;
const scan = (...flags: string[]) => cluster.scan([...stub.flags, ...OPENREPORTS, ...flags]);
const resultsOf = async (key: string): Promise<Any[]> =>
  (await cluster.reports("openreports")).get(key)?.results ?? [];

test.before(async () => {
  if (!there) return;
  cluster = await startCluster({ reports: ["openreports"] });
  stub = await startStub(cluster.plane);
  for (const name of ["a", "b"]) {
    await cluster.create(namespace(name));
    for (const object of ["one", "two"]) await cluster.create(configMap(name, object));
  }
  await install(cluster, policy("ClusterAdmissionPolicy", "first", {}));
  await install(cluster, policy("ClusterAdmissionPolicy", "second", {}));
});
test.before.each(() => stub?.answer(() => allow));
test.after(async () => {
  await stub?.stop();
  await cluster?.stop();
});

live(
  `a policy server that answers badly makes error results; other policies are not affected${note}`,
  async () => {
    const bad: readonly (readonly [reply: Reply, message: RegExp])[] = [
      [{ status: 500, body: "broken" }, /^unexpected status code: 500 body: broken$/],
      [{ status: 502, body: "<html>" }, /^unexpected status code: 502/],
      [{ status: 404, body: `{"message":"policy not found","status":404}` }, /^unexpected status code: 404/],
      [{ status: 200, body: "not JSON" }, /^cannot deserialize the audit review response: /],
      [{ status: 200, body: "{}" }, /^cannot deserialize the audit review response: it has no response/],
      [{ status: 200, body: `{"response":{"allowed":"yes"}}` }, /it has no response that allows or rejects$/],
      [{ response: { allowed: true, status: { code: 500, message: "it broke" } } }, /^it broke$/],
      ["hang up", /^POST https:\/\/localhost:\d+\/audit\/kw\.cap\.first: /],
      [
        { status: 307, body: "", headers: { location: "/audit/kw.cap.first" } },
        /^stopped after 10 redirects$/,
      ],
      [
        { status: 200, body: `{"response":{"allowed":true,"patch":"${"x".repeat(5_000_000)}"}}` },
        /more than 4194304 bytes/,
      ],
    ];
    for (const [reply, message] of bad) {
      stub.answer(({ policy }) => policy === "kw.cap.first" ? reply : allow);
      const { code, stderr, summary } = await scan("-n", "a");
      assert.equal([code, stderr], [0, ""]);
      const [first, second] = await resultsOf("ConfigMap a/one");
      assert.equal([first.policy, first.result, second.policy, second.result], [
        "kw.cap.first",
        "error",
        "kw.cap.second",
        "pass",
      ]);
      assert.match(first.message, message);
      assert.equal([summary.error, summary.pass], [2, 2]);
    }
    stub.answer(({ object }) =>
      object.metadata.name === "one"
        ? { response: { allowed: false, status: { code: 403, message: "no" } } }
        : allow
    );
    await scan("-n", "a");
    assert.equal((await resultsOf("ConfigMap a/one")).map(({ result, message }) => [result, message]), [[
      "fail",
      "no",
    ], ["fail", "no"]]);
  },
);

live(
  `a redirect is followed, a policy server that comes back is right again within the run${note}`,
  async () => {
    let failures = 2;
    stub.answer(({ policy }) => {
      if (policy.startsWith("moved/")) return allow;
      if (failures-- > 0) return { status: 500, body: "for a while" };
      return { status: 308, body: "", headers: { location: `/audit/moved/${policy}` } };
    });
    const { code, summary } = await scan("-n", "a", "--parallel-resources", "1", "--parallel-policies", "1");
    assert.equal([code, summary.error, summary.pass], [0, 2, 2]);
  },
);

live(
  `a policy server that never answers, or is not there, ends as errors and not as a wait without end${note}`,
  async () => {
    stub.answer(({ policy, object }) =>
      policy === "kw.cap.first" && object.metadata.name === "one" ? "nothing" : allow
    );
    const slow = await scan("-n", "a");
    assert.equal([slow.code, slow.summary.error, slow.summary.pass], [0, 1, 3]);
    assert.match((await resultsOf("ConfigMap a/one"))[0].message, /no answer within 10 s$/);
    const gone = await cluster.scan([...OPENREPORTS, "-u", "https://localhost:1", "-n", "a"]);
    assert.equal([gone.code, gone.summary.error, gone.summary.pass], [0, 4, 0]);
    const said = errors(gone.lines).filter(({ message }) =>
      message === "error sending AdmissionReview to PolicyServer"
    );
    assert.is(said.length, 4);
    assert.match(said[0].error, /ECONNREFUSED|refused|Unable to connect/i);
    // Without --policy-server-url the Service's name is asked, which nobody here can resolve.
    const unresolved = await cluster.scan([...OPENREPORTS, "-n", "a"]);
    assert.equal([unresolved.code, unresolved.summary.error], [0, 4]);
    assert.match(
      (await resultsOf("ConfigMap a/one"))[0].message,
      /https:\/\/policy-server-default\.kubewarden\.svc:443\/audit\/kw\.cap\.first/,
    );
  },
);

live(
  `TLS: an unknown authority is an error, --insecure-ssl and client certificates work${note}`,
  async () => {
    const untrusted = await cluster.scan([...OPENREPORTS, "-u", stub.url, "-n", "a"]);
    assert.equal([untrusted.code, untrusted.summary.error, untrusted.summary.pass], [0, 4, 0]);
    const insecure = await cluster.scan([...OPENREPORTS, "-u", stub.url, "--insecure-ssl", "-n", "a"]);
    assert.equal([insecure.summary.error, insecure.summary.pass], [0, 4]);
    assert.equal(warnings(insecure.lines).map(({ message }) => message), [
      "connecting to PolicyServers endpoints without validating TLS connection",
    ]);

    const mutual = await startStub(cluster.plane, {
      requestCert: true,
      rejectUnauthorized: true,
      ca: cluster.plane.authority.cert,
    });
    try {
      const pair = await cluster.plane.authority.issue({ commonName: "audit-scanner-client" });
      const cert = join(cluster.plane.folder, "scanner.crt");
      const key = join(cluster.plane.folder, "scanner.key");
      writeFileSync(cert, pair.cert);
      writeFileSync(key, pair.key);
      const flags = [...mutual.flags, ...OPENREPORTS, "-n", "a"];
      const without = await cluster.scan(flags);
      assert.equal([without.code, without.summary.error, without.summary.pass], [0, 4, 0]);
      const with_ = await cluster.scan([...flags, "--client-cert", cert, "--client-key", key]);
      assert.equal([with_.code, with_.summary.error, with_.summary.pass], [0, 0, 4]);
    } finally {
      await mutual.stop();
    }
  },
);

live(
  `a kind that may not be listed is a warning; the other kinds are reported, the run succeeds${note}`,
  async () => {
    const secrets = policy("ClusterAdmissionPolicy", "secrets", {
      rules: [rule("", "secrets"), rule("", "configmaps")],
    });
    await install(cluster, secrets);
    const read = (group: string, resources: readonly string[]) => ({
      apiGroups: [group],
      resources,
      verbs: ["get", "list"],
    });
    const kubeconfig = await cluster.userWith("restricted", [
      read("", ["namespaces", "services", "configmaps"]),
      read("policies.kubewarden.io", ["*"]),
      {
        apiGroups: ["openreports.io"],
        resources: ["*"],
        verbs: ["get", "list", "patch", "create", "delete"],
      },
    ]);
    const result = await cluster.scan([...stub.flags, ...OPENREPORTS, "-n", "a"], { KUBECONFIG: kubeconfig });
    assert.equal([result.code, result.stderr], [0, ""]);
    const said = warnings(result.lines).filter(({ message }) => message === "Failed to list resources");
    assert.is(said.length, 1);
    assert.match(said[0].error, /secrets is forbidden/);
    assert.equal([said[0]["resource-GVK"], said[0].ns], ["/v1, Resource=secrets", "a"]);
    assert.equal((await resultsOf("ConfigMap a/one")).map(({ policy }) => policy), [
      "kw.cap.first",
      "kw.cap.second",
      "kw.cap.secrets",
    ]);
    assert.is(result.summary.unlisted, 1);
    await cluster.remove("ClusterAdmissionPolicy", "secrets");

    const blind = await cluster.userWith("blind", [read("", ["namespaces"])]);
    const refused = await cluster.scan([...stub.flags, ...OPENREPORTS], { KUBECONFIG: blind });
    assert.is(refused.code, 1);
    assert.match(refused.stderr, /^Error on cmd\.Execute\(\): .*clusteradmissionpolic.* is forbidden/);
    assert.is(refused.stderr.trim().split("\n").length, 1);
  },
);

live(`policies that name what is not served, and selectors that are none${note}`, async () => {
  await install(
    cluster,
    policy("ClusterAdmissionPolicy", "unknown", { rules: [rule("nope.example.org", "things")] }),
  );
  await install(
    cluster,
    policy("ClusterAdmissionPolicy", "evil", {
      rules: [rule("../../api/v1/secrets?x=", "things", "v1/../..")],
    }),
  );
  await install(
    cluster,
    policy("ClusterAdmissionPolicy", "bad-object", {
      objectSelector: { matchExpressions: [{ key: "a", operator: "Near" }] },
    }),
  );
  const result = await scan("-n", "a");
  assert.is(result.code, 0);
  const unknown = errors(result.lines).filter(({ message }) =>
    message.startsWith("failed to obtain unknown GroupVersion")
  );
  assert.equal(unknown.map(({ policy }) => policy).sort(), ["kw.cap.evil", "kw.cap.unknown"]);
  assert.match(
    unknown.find(({ policy }) => policy === "kw.cap.unknown").error,
    /no matches for nope\.example\.org\/v1, Resource=things/,
  );
  assert.is((await cluster.reports("openreports")).get("ConfigMap a/one").summary.error, 2);
  assert.match(
    errors(result.lines).find(({ message }) => message === "error matching policy to resource").error,
    /"Near" is not a valid label selector operator/,
  );
  await install(
    cluster,
    policy("ClusterAdmissionPolicy", "bad-namespace", {
      namespaceSelector: { matchLabels: { "not a key": "x" } },
    }),
  );
  const failed = await scan("-n", "a");
  assert.is(failed.code, 1);
  assert.match(
    failed.stderr,
    /failed to convert label selector from policy "bad-namespace" namespace selector: invalid label key "not a key"/,
  );
  for (const name of ["unknown", "evil", "bad-object", "bad-namespace"]) {
    await cluster.remove("ClusterAdmissionPolicy", name);
  }
});

live(`objects without a uid get no report, and a line${note}`, async () => {
  // The API server makes up componentstatuses; nothing of them is stored.
  await install(
    cluster,
    policy("ClusterAdmissionPolicy", "components", {
      rules: [rule("", "componentstatuses"), rule("", "namespaces")],
    }),
  );
  const result = await scan("--cluster");
  assert.equal([result.code, errors(result.lines)], [0, []]);
  const said = warnings(result.lines).filter(({ message }) => message.startsWith("the object has no uid"));
  assert.ok(said.length > 0 && said.every(({ kind }) => kind === "ComponentStatus"));
  assert.ok((await cluster.reports("openreports")).has("Namespace /a"));
  await cluster.remove("ClusterAdmissionPolicy", "components");
});

live(
  `both versions of a kind make one report, with each policy's answer about the version that it asked for${note}`,
  async () => {
    await cluster.create({
      apiVersion: "autoscaling/v2",
      kind: "HorizontalPodAutoscaler",
      metadata: { name: "h", namespace: "b" },
      spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "d" }, maxReplicas: 2 },
    });
    const autoscalers = (name: string, ...versions: string[]) =>
      policy("ClusterAdmissionPolicy", name, {
        rules: [{ ...rule("autoscaling", "horizontalpodautoscalers"), apiVersions: versions }],
      });
    await install(cluster, autoscalers("old", "v1"));
    await install(cluster, autoscalers("new", "v2"));
    await install(cluster, autoscalers("old-and-new", "v1", "v2"));
    stub.asked.length = 0;
    const { summary } = await scan("-n", "b");
    const asked = stub.asked.filter(({ object }) => object.kind === "HorizontalPodAutoscaler");
    const version = (name: string) =>
      asked.filter(({ policy }) => policy === `kw.cap.${name}`).map(({ object }) => object.apiVersion);
    assert.equal([version("old"), version("new"), version("old-and-new")], [["autoscaling/v1"], [
      "autoscaling/v2",
    ], ["autoscaling/v2"]]);
    const [{ review }] = asked.filter(({ policy }) => policy === "kw.cap.old") as [Any];
    assert.equal(review.request.requestKind, {
      group: "autoscaling",
      version: "v1",
      kind: "HorizontalPodAutoscaler",
    });
    assert.is((await resultsOf("HorizontalPodAutoscaler b/h")).length, 3);
    assert.is(summary.written, 3);
    for (const name of ["old", "new", "old-and-new"]) await cluster.remove("ClusterAdmissionPolicy", name);
  },
);

live(`the review is what the chapter says, with the object as it is stored${note}`, async () => {
  stub.asked.length = 0;
  await scan("-n", "a");
  const { review } = stub.asked.find(({ object }) => object.metadata.name === "one")!;
  const live = await cluster.client.get<Any>(resourceFor("ConfigMap"), "a", "one");
  assert.equal(review, {
    request: {
      uid: live.metadata.uid,
      kind: { group: "", version: "v1", kind: "ConfigMap" },
      resource: { group: "", version: "v1", resource: "configmaps" },
      requestKind: { group: "", version: "v1", kind: "ConfigMap" },
      requestResource: { group: "", version: "v1", resource: "configmaps" },
      name: "one",
      namespace: "a",
      operation: "CREATE",
      userInfo: {},
      object: live,
      oldObject: null,
      options: null,
    },
  });
});

live(`pages: every object once, whatever their size${note}`, async () => {
  await cluster.create(namespace("paged"));
  for (let number = 0; number < 25; number++) await cluster.create(configMap("paged", `n${number}`));
  for (const size of ["1", "7", "25", "0"]) {
    stub.asked.length = 0;
    const { summary } = await scan("-n", "paged", "--page-size", size, "--parallel-resources", "3");
    assert.equal([summary.resources, summary.pass, stub.asked.length], [25, 50, 50], size);
  }
  await cluster.remove("Namespace", "paged");
});

live(`killed in the middle and run again: no report lost, none stale, none twice${note}`, async () => {
  await cluster.create(namespace("killed"));
  for (let number = 0; number < 40; number++) await cluster.create(configMap("killed", `n${number}`));
  const reports = async () =>
    [...(await cluster.reports("openreports")).values()].filter(({ scope }) => scope.namespace === "killed");
  await scan("-n", "killed");
  await cluster.remove("ConfigMap", "n0", "killed");
  for (const after of [5, 20]) {
    const before = new Set((await reports()).map(({ metadata }) => metadata.resourceVersion));
    // Two policies judge each object. Some more than are waited for are judged; the others have to wait until it is dead.
    let asked = 0;
    let release = () => {};
    const dead = new Promise<void>((resolve) => release = resolve);
    stub.answer(async () => {
      if (++asked > 2 * (after + 4)) await dead;
      return allow;
    });
    const running = cluster.start([
      ...stub.flags,
      ...OPENREPORTS,
      "-n",
      "killed",
      "--parallel-resources",
      "2",
    ]);
    await until(
      "some reports are written",
      async () =>
        (await reports()).filter(({ metadata }) => !before.has(metadata.resourceVersion)).length >= after,
      { pauseMs: 5 },
    );
    running.kill();
    const { code, summary } = await running.ended;
    release();
    assert.equal([code, summary], [null, undefined], "it was killed before its end");
    assert.is((await reports()).length, after === 5 ? 40 : 39, "nothing is lost meanwhile");
    const { summary: again } = await scan("-n", "killed");
    const now = await reports();
    assert.equal(
      now.map(({ scope }) => scope.name).sort(),
      Array.from({ length: 39 }, (_, index) => `n${index + 1}`).sort(),
    );
    assert.ok(
      now.every(({ metadata, results }) =>
        metadata.labels["kubewarden.io/audit-scanner-run-uid"] === again.RunUID && results.length === 2
      ),
    );
  }
  await cluster.remove("Namespace", "killed");
});

live(`a namespace that is deleted during the scan; one that is not there${note}`, async () => {
  const end = async (name: string) => {
    await cluster.client.remove(resourceFor("Namespace"), undefined, name);
    // The namespace controller's part, which this control plane lacks.
    const { metadata } = await cluster.client.get<Any>(resourceFor("Namespace"), undefined, name);
    await (await cluster.plane.admin.request({
      method: "PUT",
      path: `/api/v1/namespaces/${name}/finalize`,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...namespace(name), metadata, spec: { finalizers: [] } }),
    })).text();
  };
  for (const name of ["c", "z"]) {
    await cluster.create(namespace(name));
    await cluster.create(configMap(name, "one"));
  }
  let once: Promise<unknown> | undefined;
  // Terminating while it is judged, and gone before its turn.
  stub.answer(async ({ object }) => {
    if (object.metadata.namespace === "c") {
      await (once ??= Promise.all([
        cluster.client.remove(resourceFor("Namespace"), undefined, "c"),
        end("z"),
      ]));
    }
    return allow;
  });
  const result = await scan();
  assert.is(result.code, 1);
  assert.match(
    result.stderr,
    /^Error on cmd\.Execute\(\): error scanning all namespaces: failed to get namespace z: can't get namespace z: .*not found/,
  );
  const said = (message: string) => errors(result.lines).filter((line) => line.message === message);
  assert.equal(said("error scanning namespace").map(({ ns }) => ns), ["z"]);
  assert.is(said("error adding PolicyReport to store.").length, 1);
  assert.match(said("error adding PolicyReport to store.")[0].error, /is being terminated/);
  assert.ok((await cluster.reports("openreports")).has("ConfigMap b/two"), "other namespaces are reported");
  assert.is(result.summary.failedNamespaces, 1);
  await end("c");
  const missing = await scan("-n", "nowhere");
  assert.equal([missing.code, missing.stderr.includes(`failed to get namespace nowhere`)], [1, true]);
  const both = await scan("--cluster", "-n", "a");
  assert.equal([both.code, both.stderr], [
    0,
    "Cannot scan cluster wide and only a namespace at the same time\n",
  ]);
});

live(
  `without the report CRDs everything is judged, one line says what is missing, and the run succeeds${note}`,
  async () => {
    const result = await cluster.scan([...stub.flags, "--report-kind", "policyreport", "-n", "a"]);
    assert.equal([result.code, result.stderr], [0, ""]);
    assert.equal(errors(result.lines).map(({ message }) => message), [
      'no matches for kind "PolicyReport" in version "wgpolicyk8s.io/v1alpha2": install its CRD',
    ]);
    assert.equal([result.summary.pass, result.summary.unwritten], [4, 2]);
  },
);

live(`without the CRD of a policy kind the run fails and says which${note}`, async () => {
  await cluster.remove("CustomResourceDefinition", "admissionpolicygroups.policies.kubewarden.io");
  await until(
    "the kind is gone",
    () =>
      cluster.client.list(resourceFor("AdmissionPolicyGroup"), undefined, {}).then(() => false, () => true),
  );
  const result = await scan("-n", "a");
  assert.is(result.code, 1);
  assert.match(
    result.stderr,
    /^Error on cmd\.Execute\(\): failed to obtain auditable policies for namespace a: the custom resource definition admissionpolicygroups\.policies\.kubewarden\.io is not installed on .*: install the portreeve-crds chart/,
  );
  assert.is(result.stderr.trim().split("\n").length, 1);
});

test.run();
