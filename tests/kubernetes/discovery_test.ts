/**
 * What aggregated API servers write into discovery: null for an empty list, entries that are none. One takes no other with it, in the
 * scanner and in the policy server. Source: Kubernetes' `APIResourceList`, as Go's encoder writes it.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createDiscovery } from "../../audit/apply/discovery.ts";
import type { Policy } from "../../crd/types.ts";
import type { KubeClient } from "../../kubernetes/apply/kube_client.ts";
import type { ClusterApi } from "../../policy_server/apply/kubernetes/api.ts";
import { discoveryOf } from "../../policy_server/apply/kubernetes/discovery.ts";

const thing = { name: "things", singularName: "thing", kind: "Thing", namespaced: true, verbs: ["get"] };

/** [what, the answer to `/apis/e.org/v1`, whether `things` are found]. */
const ROWS: readonly (readonly [string, unknown, boolean])[] = [
  ["an entry", { resources: [thing] }, true],
  ["null instead of a list", { kind: "APIResourceList", resources: null }, false],
  ["no list", {}, false],
  ["entries that are none before and after", { resources: [null, 7, "x", [], {}, thing, null] }, true],
  ["a null name", { resources: [{ ...thing, name: null }] }, false],
  ["a name of another type before", { resources: [{ ...thing, name: 7 }, thing] }, true],
  ["a null kind before", { resources: [{ name: "others", kind: null }, thing] }, true],
  ["a null singular name", { resources: [{ ...thing, singularName: null }] }, true],
  ["a subresource before", { resources: [{ ...thing, name: "things/status" }, thing] }, true],
];

test("entries that are none take no other with them", async () => {
  const policy = {
    spec: {
      rules: [{ apiGroups: ["e.org"], apiVersions: ["v1"], resources: ["things"], operations: ["CREATE"] }],
    },
  } as unknown as Policy;
  for (const [what, answer, found] of ROWS) {
    const text = JSON.stringify(answer);
    const errors: unknown[] = [];
    const scanner = createDiscovery(
      { text: () => Promise.resolve(text) } as unknown as KubeClient,
      (_, error) => errors.push(error),
    );
    const lookup = await scanner.lookupFor([policy]);
    for (const resource of ["things", "thing"]) {
      assert.is(
        lookup({ group: "e.org", version: "v1", resource })?.plural,
        found ? "things" : undefined,
        what,
      );
    }
    assert.equal(errors, [], what);
    const server = discoveryOf(
      { get: () => Promise.resolve(new TextEncoder().encode(text)) } as unknown as ClusterApi,
    );
    const resource = await server("e.org/v1", "Thing").catch((error: Error) => error.message);
    assert.equal(
      resource,
      found
        ? { apiVersion: "e.org/v1", kind: "Thing", plural: "things", namespaced: true }
        : "Cannot find resource e.org/v1/Thing",
      what,
    );
  }
});

test.run();
