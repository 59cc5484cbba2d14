import { test } from "uvu";
import * as assert from "uvu/assert";
import { allCapabilities } from "../../../policy_server/apply/capabilities/all.ts";
import { closeCallers, failure, hostCaller, quietLog, RawPayload } from "./host_caller.ts";

/** The capabilities of a server without a cluster and without a trust root. */
function capabilities() {
  return allCapabilities({
    artifact: {},
    trustRoot: () => Promise.resolve(undefined),
    cluster: () => Promise.resolve(undefined),
    log: quietLog().log,
  });
}

test.after(closeCallers);

const NOT_GRANTED = (path: string) =>
  `Policy has not been granted access to the '${path}' host capability. The violation has been reported.`;

test("a capability that is not granted is refused before anything else is looked at", async () => {
  const caller = await hostCaller(capabilities(), { hostCapabilities: ["oci/*", "kubernetes/can_i"] });
  for (
    const path of ["net/v1/dns_lookup_host", "kubernetes/get_resource", "net/v1/typo", "nowhere/at_all"]
  ) {
    assert.is(failure(await caller.call(path, new RawPayload("not JSON"))), NOT_GRANTED(path));
  }
  assert.match(failure(await caller.call("oci/v1/manifest_digest", new RawPayload("no"))), /line 1 column/);
});

test("unknown names are told once the gate lets them through", async () => {
  const caller = await hostCaller(capabilities());
  assert.is(failure(await caller.call("net/v1/typo", "x")), "unknown operation: v1/typo");
  assert.is(failure(await caller.call("kubernetes/delete", {})), "unknown operation: delete");
  assert.is(failure(await caller.call("nowhere/at_all", "x")), "unknown namespace: nowhere");
});

test("kinds must be granted exactly; only can_i needs no kind", async () => {
  const caller = await hostCaller(capabilities(), {
    contextAwareResources: [{ apiVersion: "apps/v1", kind: "Deployment" }],
  });
  const noCluster = "Callback evaluation failure: kube::Client was not initialized properly";
  const list = (api_version: string, kind: string) =>
    caller.call("kubernetes/list_resources_all", { api_version, kind });
  assert.is(failure(await list("apps/v1", "Deployment")), noCluster);
  for (const [apiVersion, kind] of [["v1", "Secret"], ["apps/v1", "deployment"], ["v1", "Deployment"]]) {
    const refusal = `Policy has not been granted access to Kubernetes ${apiVersion}/${kind} resources. ` +
      "The violation has been reported.";
    assert.is(failure(await list(apiVersion!, kind!)), refusal);
    const named = { api_version: apiVersion, kind, namespace: "a", name: "b" };
    assert.is(failure(await caller.call("kubernetes/get_resource", named)), refusal);
    assert.is(failure(await caller.call("kubernetes/list_resources_by_namespace", named)), refusal);
  }
  const review = { user: "jane", resource_attributes: { resource: "pods", verb: "get" } };
  assert.is(failure(await caller.call("kubernetes/can_i", { subject_access_review: review })), noCluster);
});

test("errors quote what the guest chose, but not all of it", async () => {
  const caller = await hostCaller(capabilities(), {
    contextAwareResources: [{ apiVersion: "v1", kind: "Pod" }],
  });
  const long = "a".repeat(100_000);
  const calls: readonly (readonly [string, unknown])[] = [
    ["kubernetes/list_resources_all", { api_version: "v1", kind: long }],
    ["kubernetes/get_resource", { api_version: long, kind: "Pod", name: "p" }],
    ["oci/v1/verify", { [long]: {} }],
    ["oci/v2/verify", { type: long }],
    ["oci/v1/manifest_digest", `${long}:5000/[`],
    ["crypto/v1/is_certificate_trusted", { cert: { encoding: long, data: [] }, cert_chain: [] }],
  ];
  for (const [path, payload] of calls) {
    const error = failure(await caller.call(path, payload));
    assert.ok(error.length < 1_200, `${path}: ${error.length}`);
  }
});

test("what is missing in a payload is named, with its place", async () => {
  const caller = await hostCaller(capabilities());
  const told = async (path: string, text: string) => failure(await caller.call(path, new RawPayload(text)));
  assert.is(
    await told("kubernetes/list_resources_all", '{"api_version":"v1"}'),
    "missing field `kind` at line 1 column 20",
  );
  assert.is(
    await told("kubernetes/list_resources_by_namespace", '{"api_version":"v1","kind":"Pod"}'),
    "missing field `namespace` at line 1 column 33",
  );
  assert.is(
    await told("kubernetes/get_resource", '{"api_version":"v1","kind":"Pod","name":5}'),
    "invalid type: integer `5`, expected a string at line 1 column 41",
  );
  assert.is(
    await told("kubernetes/can_i", '{"subject_access_review":{"user":"jane"},"disable_cache":true}'),
    "missing field `resource_attributes` at line 1 column 40",
  );
  assert.is(
    await told("oci/v2/verify", '{"type":"SigstorePubKeyVerify","image":"a"}'),
    "missing field `pub_keys` at line 1 column 43",
  );
  assert.match(
    await told("oci/v2/verify", '{"type":"Other","image":"a"}'),
    /^unknown variant `Other`, expected one of `SigstorePubKeyVerify`, /,
  );
  assert.match(
    await told("kubernetes/list_resources_all", "{".repeat(200)),
    /line 1 column/,
  );
  // Larger than any honest question: not even parsed.
  assert.match(
    await told("net/v1/dns_lookup_host", `"${"x".repeat(1024 * 1024)}"`),
    /^the payload has 1048578 bytes, more than 1048576$/,
  );
});

test("refusals that are no fault of the form are failures of the call", async () => {
  const caller = await hostCaller(capabilities());
  const told = async (payload: unknown) => failure(await caller.call("oci/v2/verify", payload));
  const image = "localhost:1/a";
  assert.is(
    await told({ type: "SigstorePubKeyVerify", image, pub_keys: [] }),
    "Callback evaluation failure: Must provide at least one pub key",
  );
  assert.is(
    await told({ type: "SigstoreKeylessVerify", image, keyless: [] }),
    "Callback evaluation failure: Must provide keyless info",
  );
  assert.is(
    await told({ type: "SigstoreKeylessPrefixVerify", image, keyless_prefix: [] }),
    "Callback evaluation failure: Must provide keyless info",
  );
  assert.is(
    await told({ type: "SigstoreGithubActionsVerify", image, owner: "" }),
    "Callback evaluation failure: Must provide owner info",
  );
  assert.match(
    await told({
      type: "SigstoreKeylessPrefixVerify",
      image,
      keyless_prefix: [{ issuer: "i", url_prefix: "not a url" }],
    }),
    /not a url|URL|url/,
  );
});

test.run();
