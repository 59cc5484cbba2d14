// `--incremental`: the same reports as a full scan, for less; and what a change of report kind leaves behind.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { INPUTS_ANNOTATION, reportResource } from "../../audit/render/report.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Cluster, install, policy, resourceFor, rule, startCluster } from "./cluster.ts";
import { startStub, type Stub } from "./stub_server.ts";

const there = binariesFolder() !== undefined;
const live = there ? test : test.skip;
const note = there ? "" : ` (${HOW_TO_GET_BINARIES})`;

let cluster: Cluster;
let stub: Stub;
/** What the cluster's own state is, as the context-aware policy sees it. */
let context = true;

const configMap = (name: string, data: Any = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "a", labels: { app: name } },
  data,
});
const scan = (...flags: string[]) =>
  cluster.scan([...stub.flags, "--report-kind", "openreports", "-i", "kube-system", ...flags]);
const incremental = async () => {
  stub.asked.length = 0;
  const result = await scan("--incremental");
  assert.equal([result.code, result.stderr], [0, ""]);
  return result;
};
/** Who was asked about what, but for the context-aware policy. */
const asked = () =>
  stub.asked.filter(({ policy }) => policy !== "kw.cap.context")
    .map(({ policy, object }) => `${policy} ${object.metadata.name}`).sort();

/** Reports without what differs between any two runs. */
async function comparable(): Promise<Any> {
  const reports = await cluster.reports("openreports");
  return Object.fromEntries(
    [...reports].map(([key, { metadata, ...report }]): [string, Any] => [key, {
      ...report,
      metadata: {
        name: metadata.name,
        namespace: metadata.namespace,
        labels: { ...metadata.labels, "kubewarden.io/audit-scanner-run-uid": "" },
        annotations: metadata.annotations,
        ownerReferences: metadata.ownerReferences,
      },
      results: report.results.map((result: Any) => ({ ...result, timestamp: 0 })),
    }]).sort(([a], [b]) => a < b ? -1 : 1),
  );
}

/** After whatever happened: an incremental scan must leave what a full one would. */
async function sameAsFull(what: string): Promise<void> {
  const quick = await comparable();
  const full = await scan();
  assert.is(full.code, 0);
  assert.equal(quick, await comparable(), what);
}

test.before(async () => {
  if (!there) return;
  cluster = await startCluster();
  stub = await startStub(cluster.plane);
  stub.answer(({ policy, object }) => {
    if (policy === "kw.cap.context") {
      return { response: { allowed: context, status: { message: `context ${context}` } } };
    }
    return {
      response: {
        allowed: object.data?.bad === undefined,
        status: { message: `${policy} on ${object.metadata.name}` },
      },
    };
  });
  await cluster.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "a" } });
  for (const name of ["one", "two", "three"]) await cluster.create(configMap(name));
  await cluster.create({ apiVersion: "v1", kind: "Secret", metadata: { name: "quiet", namespace: "a" } });
  await install(cluster, policy("ClusterAdmissionPolicy", "plain", {}));
  await install(
    cluster,
    policy("ClusterAdmissionPolicy", "picky", { objectSelector: { matchLabels: { app: "one" } } }),
  );
  await install(cluster, policy("ClusterAdmissionPolicy", "secrets", { rules: [rule("", "secrets")] }));
  await install(cluster, policy("ClusterAdmissionPolicy", "namespaces", { rules: [rule("", "namespaces")] }));
  await install(
    cluster,
    policy("ClusterAdmissionPolicy", "context", {
      contextAwareResources: [{ apiVersion: "v1", kind: "Pod" }],
    }),
  );
});
test.after(async () => {
  await stub?.stop();
  await cluster?.stop();
});

live(
  `from nothing it is a full scan; with nothing changed it asks context-aware policies only and writes nothing${note}`,
  async () => {
    const first = await incremental();
    assert.is(first.summary.kept, 0);
    assert.ok(first.summary.written > 5);
    await sameAsFull("from nothing");
    const stored = await comparable();
    const versions = async () =>
      [...(await cluster.reports("openreports")).values()].map(({ metadata }) => metadata.resourceVersion)
        .sort();
    const before = await versions();
    const again = await incremental();
    assert.equal(asked(), []);
    assert.equal(stub.asked.map(({ object }) => object.metadata.name).sort(), ["one", "three", "two"]);
    assert.equal([again.summary.written, again.summary.removed, again.summary.kept], [
      0,
      0,
      first.summary.written,
    ]);
    for (const name of ["pass", "fail", "error", "resources", "policies"]) {
      assert.equal(again.summary[name], first.summary[name], name);
    }
    assert.equal(await versions(), before);
    assert.equal(await comparable(), stored);
  },
);

live(
  `changed, new and deleted objects; changed, new and deleted policies; a context that changed${note}`,
  async () => {
    await cluster.client.patch(resourceFor("ConfigMap"), "a", "two", "merge", { data: { bad: "yes" } });
    await incremental();
    assert.equal(asked(), ["kw.cap.plain two"]);
    await sameAsFull("a changed object");

    await cluster.create(configMap("four"));
    await cluster.remove("ConfigMap", "three", "a");
    const moved = await incremental();
    assert.equal([asked(), moved.summary.removed], [["kw.cap.plain four"], 1]);
    await sameAsFull("new and deleted objects");

    await cluster.client.patch(resourceFor("ClusterAdmissionPolicy"), undefined, "picky", "merge", {
      spec: { settings: { now: "other" } },
    });
    await incremental();
    assert.equal(asked(), ["kw.cap.picky one"], "the other policies' results are kept");
    await sameAsFull("a changed policy");

    await install(cluster, policy("ClusterAdmissionPolicy", "late", { rules: [rule("", "secrets")] }));
    await cluster.remove("ClusterAdmissionPolicy", "picky");
    await incremental();
    assert.equal(asked(), ["kw.cap.late quiet"]);
    await sameAsFull("new and deleted policies");

    context = false;
    const changed = await incremental();
    assert.equal([asked(), changed.summary.written], [[], 3]);
    await sameAsFull("a changed context");

    // A policy that is counted but judges nothing changes every summary.
    await install(cluster, policy("ClusterAdmissionPolicy", "wild", { rules: [rule("", "*")] }));
    await incremental();
    assert.equal(asked(), []);
    await sameAsFull("a skipped policy");
  },
);

live(`errors are never kept, nor what somebody changed by hand${note}`, async () => {
  const answer = stub.asked.length;
  stub.answer(() => ({ status: 500, body: `broken ${answer}` }));
  await scan();
  stub.answer(({ policy, object }) => ({
    response: { allowed: true, status: { message: `${policy} on ${object.metadata.name}` } },
  }));
  const healed = await incremental();
  assert.equal([healed.summary.error, healed.summary.kept], [0, 0]);
  await sameAsFull("errors");

  const name = (await cluster.reports("openreports")).get("ConfigMap a/one").metadata.name;
  const resource = reportResource("openreports", true);
  await cluster.client.patch(resource, "a", name, "merge", { summary: { pass: 0, fail: 50 }, results: [] });
  await incremental();
  assert.equal(asked(), ["kw.cap.plain one"]);
  await sameAsFull("a change by hand");
  const made = (text: string) =>
    cluster.client.patch(resource, "a", name, "merge", {
      metadata: { annotations: { [INPUTS_ANNOTATION]: text } },
    });
  for (const text of ["", "nonsense", "1/2/ppp"]) {
    await made(text);
    await incremental();
    await sameAsFull(`inputs ${text}`);
  }
});

live(
  `with --output-scan the kept reports are printed too; with --disable-store nothing is read or kept${note}`,
  async () => {
    const printed = await scan("--incremental", "--output-scan");
    const names = printed.lines.filter(({ message }) => message === "PolicyReport summary").map((
      { report },
    ) => JSON.parse(report).scope.name);
    assert.equal(names.sort(), ["four", "one", "quiet", "two"]);
    const dry = await scan("--incremental", "--disable-store");
    assert.equal([dry.code, dry.summary.kept, dry.summary.written], [0, 0, 0]);
  },
);

live(
  `openreports take the place of policyreports: the old ones of the scanner go, others' stay${note}`,
  async () => {
    await cluster.scan([...stub.flags, "--report-kind", "policyreport", "-i", "kube-system"]);
    const others = reportResource("policyreport", true);
    await cluster.client.create(others, {
      apiVersion: others.apiVersion,
      kind: others.kind,
      metadata: { name: "foreign", namespace: "a" },
      scope: { kind: "Foreign", name: "f" },
    } as Any);
    assert.is((await cluster.reports("policyreport")).size, (await cluster.reports("openreports")).size + 1);
    // A run that stores nothing removes nothing.
    await scan("--disable-store");
    assert.ok((await cluster.reports("policyreport")).size > 1);
    const { lines } = await scan("-n", "a");
    assert.equal([...(await cluster.reports("policyreport")).keys()], ["Foreign /f"]);
    assert.ok(lines.some(({ message }) => message === "Deleting legacy wgpolicyk8s.io ClusterPolicyReports"));
    assert.ok(
      lines.some(({ message, namespace }) =>
        message === "Deleting legacy wgpolicyk8s.io PolicyReports" && namespace === "a"
      ),
    );
  },
);

test.run();
