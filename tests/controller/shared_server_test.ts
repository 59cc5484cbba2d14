// What a tenant defines must not keep a PolicyServer from serving others: all its policies are written into one ConfigMap.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CONFIG_MAPS } from "../../controller/types/resources.ts";
import { shareRoom } from "../../controller/render/share_room.ts";
import type { Policy } from "../../crd/mod.ts";
import { validatePolicy } from "../../crd/render/validate_policy.ts";
import { parsePolicies } from "../../policy_server/types/policies.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Harness, NAMESPACE, startHarness, until } from "./harness.ts";
import { ap, cap, condition, create, remove, server, when } from "./resources.ts";

const test = suite<{ harness: Harness }>("a server that is shared", {} as { harness: Harness });
const TENANT = "tenant";

function nested(depth: number, leaf: unknown = 1): Any {
  let value = leaf;
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? { a: value } : [value];
  return { a: value };
}
const group = (name: string, settings: Any) => ({
  ...ap(name),
  kind: "AdmissionPolicyGroup",
  spec: {
    rules: ap(name).spec.rules,
    expression: "m()",
    message: "no",
    policies: { m: { module: "registry://example.org/p:v1", settings } },
  },
});

for (
  const [what, make, path] of [
    ["a policy", (settings: Any) => ap("p", { settings }), "spec.settings"],
    ["a cluster-wide policy", (settings: Any) => cap("p", { settings }), "spec.settings"],
    ["a group", (settings: Any) => group("p", settings), "spec.policies[m].settings"],
  ] as const
) {
  test(`settings of ${what} are nested no deeper than a policy server reads them`, () => {
    const errors = (depth: number) => validatePolicy(make(nested(depth - 1)) as unknown as Policy);
    assert.equal(errors(100), []);
    for (const depth of [101, 129, 3_000, 9_000]) {
      assert.equal(errors(depth), [{
        reason: "FieldValueForbidden",
        field: path,
        message: "Forbidden: settings must not be nested more than 100 levels deep",
      }]);
    }
  });
}

test("who claims much is refused before who claims little", () => {
  const claim = (id: string, namespace: string | undefined, bytes: number, since = "") => ({
    id,
    namespace,
    bytes,
    since,
  });
  const refused = (room: number, ...claims: readonly ReturnType<typeof claim>[]) =>
    shareRoom(claims, room).map(({ id }) => id);
  const [big, small, wide] = [claim("big", "a", 90), claim("small", "b", 10), claim("wide", undefined, 50)];
  assert.equal(refused(150, big, small, wide), []);
  assert.equal(refused(149, big, small, wide), ["big"]);
  assert.equal(refused(59, big, small, wide), ["small", "big"]);
  assert.equal(refused(10, wide), []);
  // Many small ones of a namespace are no better than a big one.
  const many = Array.from({ length: 100 }, (_, at) => claim(`m${at}`, "a", 10, String(at).padStart(3, "0")));
  const others = Array.from({ length: 5 }, (_, at) => claim(`o${at}`, `n${at}`, 40));
  const left = refused(500, ...many, ...others);
  assert.equal(left, many.slice(30).map(({ id }) => id), "the oldest stay");
});

async function servedIds(harness: Harness): Promise<readonly string[]> {
  const { data } = await harness.client.get<Any>(CONFIG_MAPS, NAMESPACE, "policy-server-shared");
  // As the policy server reads it.
  return [...parsePolicies(data["policies.yml"], "policies.yml").keys()];
}

if (binariesFolder() === undefined) {
  test.skip(`a shared server in a cluster (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    // Without the webhooks: as if stored before they checked it, or while they were not asked.
    context.harness = await startHarness();
    const { admin } = context.harness.plane;
    for (const name of [TENANT, "default"]) {
      const body = JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
      const headers = { "content-type": "application/json" };
      await (await admin.request({ method: "POST", path: "/api/v1/namespaces", headers, body })).text();
    }
    await context.harness.startController();
    await create(context.harness, server("shared"));
  });
  test.after(async ({ harness }) => {
    await harness?.stop();
  });

  const tenants = (object: Any) => ({
    ...object,
    metadata: { ...object.metadata, namespace: TENANT },
    spec: { ...object.spec, policyServer: "shared" },
  });

  for (
    const [what, hostile, reason] of [
      ["are nested deeper than a policy server reads", ap("deep", { settings: nested(200) }), /nested/],
      ["are nested deeper than the stack is high", ap("deeper", { settings: nested(9_000) }), /nested/],
      ["of a group's member are nested too deeply", group("grouped", nested(125)), /nested/],
      ["fill the ConfigMap", ap("large", { settings: { a: "x".repeat(1_100_000) } }), /no room/],
    ] as const
  ) {
    test(`settings that ${what} keep no other policy from being served`, async ({ harness }) => {
      const { name } = hostile.metadata;
      const other = ap(`beside-${name}`, { policyServer: "shared" });
      await create(harness, tenants(hostile));
      await create(harness, other);
      await until(
        "the other policy is served",
        async () =>
          (await servedIds(harness).catch(() => [] as readonly string[])).includes(
            `kw.ap.default.${other.metadata.name}`,
          ),
      );
      assert.not.ok((await servedIds(harness)).some((id) => id.includes(TENANT)));
      const told = await when(
        harness,
        tenants(hostile),
        "says what is wrong",
        (found) => condition(found, "PolicyLoaded"),
      );
      assert.is(condition(told, "PolicyLoaded").status, "False");
      assert.match(condition(told, "PolicyLoaded").message, reason);
      const shared = await harness.read(server("shared"));
      assert.is(condition(shared, "ConfigMapReconciled").status, "True");
      await remove(harness, tenants(hostile));
    });
  }

  test("many policies of a tenant that fill the ConfigMap keep no other policy from being served", async ({ harness }) => {
    const many = Array.from(
      { length: 5 },
      (_, at) => tenants(ap(`many-${at}`, { settings: { a: "x".repeat(300_000) } })),
    );
    await create(harness, ...many);
    await create(harness, ap("late", { policyServer: "shared" }));
    await until(
      "the other policy is served",
      async () => (await servedIds(harness)).includes("kw.ap.default.late"),
    );
    await until(
      "as many of the tenant's as there is room for are served",
      async () => (await servedIds(harness)).filter((id) => id.includes(TENANT)).length === 3,
    );
    // Room that becomes free is used.
    await remove(harness, many[0]);
    await remove(harness, many[1]);
    await until("the others get their room", async () => {
      const served = await servedIds(harness);
      return [2, 3, 4].every((at) => served.includes(`kw.ap.${TENANT}.many-${at}`));
    });
  });
}

test.run();
