// The reports that the original's scanner wrote, against ours for the same objects and policies (tests/vectors/audit).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ReportKind } from "../../audit/types/settings.ts";
import { legacyPolicyId, policyId } from "../../crd/mod.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { moduleUrl, serving } from "../policy_server/server_process.ts";
import { type Any, type Cluster, install, resourceFor, startCluster } from "./cluster.ts";
import { REPORT_DIFFERENCES } from "./deliberate_differences.ts";

const vectors = new URL("../vectors/audit/", import.meta.url);
const read = (name: string): Any => JSON.parse(readFileSync(new URL(name, vectors), "utf8"));
const recordedPolicies = read("policies.json");
const IGNORED = ["skipped", "kube-system", "kube-public", "kube-node-lease", "kubewarden"];

/** Reports on these were left out of the recordings, as those on the cluster's own ClusterRoles. */
const OWN_NAMESPACES = new Set(
  ["kube-system", "kube-public", "kube-node-lease"].map((name) => `Namespace /${name}`),
);

/** What is not the same in any two clusters is replaced as it was in the recordings. */
function normalised(report: Any): Any {
  const { metadata, scope, results = [], summary, ...top } = report;
  const uid = `UID(${scope.kind} ${scope.namespace ?? ""}/${scope.name})`;
  const { resourceVersion: _, ...place } = scope;
  return {
    ...top,
    metadata: {
      ...(metadata.annotations === undefined ? {} : { annotations: Object.keys(metadata.annotations) }),
      name: metadata.name === scope.uid ? uid : metadata.name,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      labels: { ...metadata.labels, "kubewarden.io/audit-scanner-run-uid": "RUN-UID" },
      ownerReferences: metadata.ownerReferences.map((owner: Any) => ({
        ...owner,
        uid: owner.uid === scope.uid ? uid : owner.uid,
      })),
    },
    scope: { ...place, uid },
    summary,
    results: results.map((result: Any) => ({
      ...result,
      timestamp: { ...result.timestamp, seconds: 0 },
      properties: { ...result.properties, "policy-resource-version": "RV", "policy-uid": "UID" },
    })).sort((a: Any, b: Any) => a.policy < b.policy ? -1 : 1),
  };
}

/** The recorded report as ours must be: with the deliberate differences, and nothing else, applied. */
function expected(recorded: Any, ids: ReadonlyMap<string, string>, applied: Set<string>): Any {
  // The recordings' uids are made up already.
  const { metadata, scope } = recorded;
  const changed = REPORT_DIFFERENCES.reduce((report, { name, differs, ours }) => {
    if (!differs(report)) return report;
    applied.add(name);
    return ours(report, ids);
  }, { ...recorded, scope: { ...scope, uid: metadata.name } });
  return normalised(changed);
}

async function prepare(cluster: Cluster, given: readonly Any[]): Promise<void> {
  for (const object of given) {
    if (object.apiVersion.startsWith("policies.")) {
      await install(cluster, object, object.metadata.name === "not-active" ? "pending" : "active");
    } else if (!(object.kind === "Namespace" && object.metadata.name === "default")) {
      await cluster.create(object);
    }
  }
  // What the cluster's own controllers put into every namespace.
  for (const namespace of ["default", "team-a", "team-b"]) {
    await cluster.create({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "kube-root-ca.crt", namespace },
    });
  }
}

const live = binariesFolder() === undefined ? test.skip : test;
const note = binariesFolder() === undefined ? ` (${HOW_TO_GET_BINARIES})` : "";

live(`reports equal the original's, but for the differences that are listed${note}`, async () => {
  const cluster = await startCluster();
  try {
    const { given } = read("openreport.json");
    await prepare(cluster, given);
    const policies = given.filter(({ apiVersion }: Any) => apiVersion.startsWith("policies."));
    const ids = new Map<string, string>(policies.map((one: Any) => [legacyPolicyId(one), policyId(one)]));
    const ours = Object.fromEntries(
      Object.entries(recordedPolicies).map(([id, entry]) => [ids.get(id)!, entry]),
    );
    const text = JSON.stringify(ours).replaceAll("@MODULE@", moduleUrl("tests/vectors/verdict-echo.wasm"));
    await serving({ policies: text, flags: ["--workers", "2"] }, async (server) => {
      for (
        const [kind, file] of [["openreports", "openreport.json"], [
          "policyreport",
          "policyreport.json",
        ]] as const
      ) {
        await compare(cluster, kind, read(file), ids, [
          "--report-kind",
          kind,
          "-i",
          IGNORED.join(","),
          "-u",
          `https://localhost:${server.port}`,
          "--extra-ca",
          join(server.folder, "tls.crt"),
        ]);
      }
    });
  } finally {
    await cluster.stop();
  }
});

async function compare(
  cluster: Cluster,
  kind: ReportKind,
  recorded: Any,
  ids: ReadonlyMap<string, string>,
  flags: readonly string[],
): Promise<void> {
  const result = await cluster.scan(flags);
  assert.is(result.code, 0, result.stdout + result.stderr);
  const ours = await cluster.reports(kind);
  const applied = new Set<string>();
  const keys = new Set<string>();
  for (const report of recorded.reports) {
    const { kind: about, namespace = "", name } = report.scope;
    const key = `${about} ${namespace}/${name}`;
    keys.add(key);
    assert.ok(ours.has(key), `a report on ${key}`);
    assert.equal(normalised(ours.get(key)), expected(report, ids, applied), key);
  }
  // Of the cluster's own ClusterRoles one report was kept in the recording.
  const roles = new Set(
    (await cluster.client.list<Any>(resourceFor("ClusterRole"), undefined, {})).items
      .filter(({ metadata }) => metadata.labels?.["kubernetes.io/bootstrapping"] !== undefined)
      .map(({ metadata }) => `ClusterRole /${metadata.name}`),
  );
  const more = [...ours.keys()].filter((key) =>
    !keys.has(key) && !roles.has(key) && !OWN_NAMESPACES.has(key)
  );
  assert.equal(more, [], "no reports besides");
  const listed = REPORT_DIFFERENCES.filter(({ only }) => only === undefined || only === kind);
  assert.equal([...applied].sort(), listed.map(({ name }) => name).sort(), "every listed difference is met");
}

test.run();
