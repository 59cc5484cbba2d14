/** Several PolicyServers, the default one, and one that isn't there: the states of policies, and webhooks that somebody spoils. */
import * as assert from "uvu/assert";
import { type Any, NAMESPACE, policy, policyServer, privilegedPods } from "../_objects.ts";
import { sourceAuthorities, type Stack, until } from "../_stack.ts";
import { denied, remove, type Subject } from "./_steps.ts";

const { module, rules } = privilegedPods().spec;
const members = { pod_privileged: { module }, again: { module } };
const group = { rules, policies: members, expression: "pod_privileged() && again()", message: "no" };
const noop = { matchConditions: [{ name: "noop", expression: "true" }] };

/** The four kinds as [short name, webhook configuration's name, object]. */
const kinds = (server: string): readonly (readonly [string, string, Any])[] => {
  const { mutating: _, ...plain } = policy("X", "x", {}).spec;
  const bound = { policyServer: server, ...noop };
  const single = { module, ...bound };
  return [
    ["cap", "kw.cap.states", policy("ClusterAdmissionPolicy", "states", single)],
    ["ap", "kw.ap.default.states", policy("AdmissionPolicy", "states", single, "default")],
    ["capg", "kw.capg.states", {
      ...policy("ClusterAdmissionPolicyGroup", "states", {}),
      spec: { ...plain, ...group, ...bound },
    }],
    ["apg", "kw.apg.default.states", {
      ...policy("AdmissionPolicyGroup", "states", {}, "default"),
      spec: { ...plain, ...group, ...bound },
    }],
  ];
};

export const servers: Subject = (test) => {
  const statuses = (stack: Stack, all: ReturnType<typeof kinds>): string[] =>
    all.map(([kind, , { metadata }]) =>
      String(stack.get(kind, metadata.name, metadata.namespace)?.status?.policyStatus)
    );

  test("G-7: policies of all kinds wait for their server, are pending while it comes, then active", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    const all = kinds("missing");
    stack.apply(...all.map(([, , object]) => object));
    const seen = new Set<string>();
    await until("all are scheduled", () => statuses(stack, all).every((status) => status === "scheduled"));
    assert.is(stack.get("validatingwebhookconfigurations", "kw.cap.states"), undefined);
    stack.apply(policyServer("missing", { sourceAuthorities: sourceAuthorities(stack.node) }));
    await until("all are active", () => {
      const now = statuses(stack, all);
      for (const status of now) seen.add(status);
      return now.every((status) => status === "active");
    });
    assert.ok(seen.has("pending"), [...seen].join());
  });

  test("G-3, G-4, G-5: webhooks are as the kinds want them, and are restored when somebody spoils them", async ({ stack }) => {
    const ca = stack.get("secret", "kubewarden-ca", NAMESPACE).data["ca.crt"];
    for (const [, name, { metadata }] of kinds("missing")) {
      const hook = stack.get("validatingwebhookconfigurations", name);
      assert.is(hook.metadata.labels["app.kubernetes.io/part-of"], "kubewarden", name);
      assert.is(hook.metadata.annotations.kubewardenPolicyName, "states", name);
      assert.is(hook.metadata.annotations.kubewardenPolicyNamespace ?? "", metadata.namespace ?? "", name);
      assert.is(hook.webhooks.length, 1, name);
      const [{ clientConfig, matchConditions, namespaceSelector }] = hook.webhooks;
      assert.equal(
        [clientConfig.service.name, clientConfig.service.port],
        ["policy-server-missing", 443],
        name,
      );
      assert.is(clientConfig.caBundle, ca, name);
      assert.equal(matchConditions, noop.matchConditions, name);
      const excluded = (namespaceSelector.matchExpressions ?? []).filter(({ key, operator }: Any) =>
        key === "kubernetes.io/metadata.name" && operator === "NotIn"
      );
      const wanted = metadata.namespace === undefined ? [[NAMESPACE]] : [];
      assert.equal(excluded.map(({ values }: Any) => values), wanted, name);
    }
    const spoil = [
      { op: "replace", path: "/metadata/labels", value: {} },
      { op: "replace", path: "/metadata/annotations", value: { kubewardenPolicyNamespace: "wrong" } },
      { op: "replace", path: "/webhooks/0/clientConfig/service/name", value: "other" },
      { op: "replace", path: "/webhooks/0/clientConfig/caBundle", value: "aW52YWxpZA==" },
    ];
    const restored = (name: string, before: Any) =>
      until(`${name} is restored`, () => {
        const { metadata: { labels, annotations }, webhooks: [{ clientConfig }] } = stack.get(
          "validatingwebhookconfigurations",
          name,
        );
        const is = JSON.stringify([labels, annotations, clientConfig]);
        return is === JSON.stringify([
          before.metadata.labels,
          before.metadata.annotations,
          before.webhooks[0].clientConfig,
        ]);
      });
    for (const name of ["kw.cap.states", "kw.apg.default.states"]) {
      const before = stack.get("validatingwebhookconfigurations", name);
      const patches = [spoil, [
        { op: "remove", path: "/metadata/labels" },
        { op: "remove", path: "/metadata/annotations" },
      ]];
      for (const patch of patches) {
        stack.kubectl(
          "patch",
          "validatingwebhookconfigurations",
          name,
          "--type=json",
          "-p",
          JSON.stringify(patch),
        );
        await restored(name, before);
      }
    }
  });

  test("G-6, G-8: webhooks go with their policies; time limits below two seconds are refused", ({ stack }) => {
    for (const [kind, name, { metadata }] of kinds("missing")) {
      const where = metadata.namespace === undefined ? [] : ["-n", metadata.namespace];
      remove(stack, kind, "states", ...where);
      assert.is(stack.get("validatingwebhookconfigurations", name), undefined, name);
    }
    for (const [kind, , object] of kinds("missing")) {
      if (!kind.startsWith("c")) continue;
      const short = { ...members, again: { module, timeoutEvalSeconds: 1 } };
      const specs = [{ timeoutSeconds: 1 }, kind === "cap" ? { timeoutEvalSeconds: 1 } : { policies: short }];
      for (const over of specs) {
        const said = stack.refused(() => stack.apply({ ...object, spec: { ...object.spec, ...over } }));
        assert.match(said, /greater than or equal to 2/, `${kind} ${JSON.stringify(over)}`);
      }
    }
  });

  test("one module on two servers; the default one takes who names none, and comes back when somebody deletes it", async ({ stack }) => {
    stack.apply(privilegedPods({ policyServer: "missing" }, "on-missing"), privilegedPods());
    stack.active("cap", "on-missing");
    stack.active("cap", "privileged-pods");
    assert.is(stack.get("cap", "privileged-pods").spec.policyServer, "default");
    const entries = (server: string) =>
      Object.keys(
        JSON.parse(stack.get("configmap", `policy-server-${server}`, NAMESPACE).data["policies.yml"]),
      );
    assert.equal(entries("default"), ["kw.cap.privileged-pods"]);
    assert.equal(entries("missing"), ["kw.cap.on-missing"]);
    const { uid } = stack.get("ps", "default").metadata;
    stack.kubectl("delete", "ps", "default", "--wait", "--timeout=120s");
    await until("it is back", () => {
      const again = stack.get("ps", "default")?.metadata;
      return again !== undefined && again.uid !== uid && again.deletionTimestamp === undefined;
    });
    // The other server's policy is untouched by it.
    await denied(stack);
    stack.active("cap", "privileged-pods");
    stack.clean();
  });
};
