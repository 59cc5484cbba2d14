// A unit test of a policy with Node's own test runner: node --test policy.test.mjs
import assert from "node:assert/strict";
import process from "node:process";
import { after, before, test } from "node:test";
import { loadPolicy } from "portreeve";

const pod = (labels) => ({
  uid: "1",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  operation: "CREATE",
  userInfo: { username: "test" },
  object: { apiVersion: "v1", kind: "Pod", metadata: { name: "web", labels } },
});

let policy;
before(async () => {
  // In the calling thread: there is nothing to start, and a test has no other requests to serve meanwhile.
  policy = await loadPolicy(process.env.POLICY ?? "policy.wasm", { settings: { required: ["owner"] }, threads: 0 });
});
after(() => policy.close());

test("its settings are taken", async () => {
  assert.deepEqual(await policy.validateSettings(), { valid: true });
});

test("a pod without an owner is rejected, and told why", async () => {
  const { allowed, status } = await policy.validate(pod({}));
  assert.equal(allowed, false);
  assert.match(status.message, /owner/);
});

test("a pod with an owner passes", async () => {
  assert.equal((await policy.validate(pod({ owner: "me" }))).allowed, true);
});
