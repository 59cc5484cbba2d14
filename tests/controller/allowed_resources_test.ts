// The allow list of resources for namespaced policies: how it is read, what it keeps from being deployed, and that nothing remains
// in the cluster of a policy that it rejects.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type AllowedResources,
  disallowedTargets,
  readAllowedResources,
  rejection,
} from "../../controller/render/allowed_resources.ts";
import type { Controller } from "../../controller/serve/controller.ts";
import { CONFIG_MAPS, EVENTS, MUTATING, VALIDATING } from "../../controller/types/resources.ts";
import { isNamespaced, policyId } from "../../crd/types.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Harness, NAMESPACE, startHarness, startWithWebhooks, until } from "./harness.ts";
import { type Player, startPlayer } from "./player.ts";
import {
  active,
  ap,
  cap,
  condition,
  create,
  get,
  gone,
  isStatus,
  patch,
  remove,
  server,
  V1,
  when,
} from "./resources.ts";

type Context = { harness: Harness; player: Player; controller: Controller };
const test = suite<Context>("allowed resources", {} as Context);

const CONFIG_MAP = "kubewarden-controller-config";
const FINALIZER = "kubewarden.io/finalizer";
const rule = (apiGroups: string[], resources: string[], operations = ["CREATE"]) => ({
  apiGroups,
  apiVersions: ["v1"],
  resources,
  operations,
});
const list = (...entries: Any[]) => JSON.stringify({ namespacedPoliciesAllowedResources: entries });
const entry = (apiGroups: Any, resources: Any) => ({ apiGroups, resources });
const ENTRIES = [entry([""], ["pods", "configmaps"]), entry(["apps"], ["deployments", "statefulsets"])];
const LIST = list(...ENTRIES);

const HEAD = "The policy is not deployed. ";
const EMPTY =
  "The allow list of resources for namespaced policies is empty. The controller reads the allow " +
  "list from the key namespacedPoliciesAllowedResources of the file config.yaml in the ConfigMap " +
  "kubewarden-controller-config. ";
const WILDCARDS = "Namespaced policies cannot use wildcards in apiGroups or resources. " +
  "Replace each wildcard with a resource name. ";
const TAIL = "To deploy this policy, ask the cluster administrator to add the resources that the policy " +
  "targets to the Helm value namespacedPoliciesAllowedResources.";
const targets = (names: string) =>
  "The cluster administrator does not allow namespaced policies to target these resources " +
  `(resource.apiGroup): ${names}. `;

/** A list as pairs, for comparing. */
const pairs = (allowed: AllowedResources) =>
  [...allowed].flatMap(([group, sets]) =>
    sets.flatMap((resources) => [...resources].map((resource) => `${resource}.${group}`))
  );

/** Nine times nine aliases, nine levels deep. */
const bomb = () =>
  [..."bcdefghi"].reduce(
    (text, name) =>
      `${text}${name}: &${name} [${Array(9).fill(`*${String.fromCharCode(name.charCodeAt(0) - 1)}`)}]\n`,
    "a: &a [x]\n",
  );

/** What cannot be read allows nothing, and says why. */
const UNUSABLE: readonly (readonly [what: string, text: string | undefined, says?: RegExp])[] = [
  ["no file", undefined, /^config.yaml is missing$/],
  ["an empty file", ""],
  ["a comment", "# later\n"],
  ["null", "null"],
  ["an empty object", "{}"],
  ["an empty list", "namespacedPoliciesAllowedResources: []"],
  ["no value", "namespacedPoliciesAllowedResources:"],
  ["invalid YAML", "namespacedPoliciesAllowedResources: [not valid", /it is not valid YAML: /],
  ["the list at the top", `- apiGroups: [""]\n  resources: ["pods"]\n`, /it is no object$/],
  ["a word", "pods", /it is no object$/],
  ["several documents", `${LIST}\n---\n${LIST}`, /it holds several YAML documents$/],
  ["an object for the list", "namespacedPoliciesAllowedResources: {pods: true}", /Resources is no list$/],
  ["a word for the list", "namespacedPoliciesAllowedResources: pods", /Resources is no list$/],
  ["a word for an entry", list(ENTRIES[0], "pods"), /Resources\[1\] is no object$/],
  ["a list for an entry", list(ENTRIES[0], ["pods"]), /Resources\[1\] is no object$/],
  ["a word for apiGroups", list(ENTRIES[0], entry("", ["pods"])), /\[1\]\.apiGroups is no list$/],
  ["a word for resources", list(ENTRIES[0], entry([""], "pods")), /\[1\]\.resources is no list$/],
  ["a number among resources", list(ENTRIES[0], entry([""], [1])), /\[1\]\.resources\[0\] is no string$/],
  // In Go a null among strings would become the core group.
  ["null among apiGroups", list(ENTRIES[0], entry([null], ["pods"])), /\[1\]\.apiGroups\[0\] is no string$/],
  ["aliases that multiply", bomb(), /it cannot be read: /],
  ["a list nested deeply", "[".repeat(120_000), /it (cannot be read|is not valid YAML): /],
  ["a long file", LIST + " ".repeat(128 * 1024), /it is longer than 131072 characters$/],
  [
    "a field of the prototype",
    "__proto__: {namespacedPoliciesAllowedResources: [{apiGroups: [''], resources: [pods]}]}",
  ],
];

test("a configuration that can't be used allows nothing, and says why", () => {
  for (const [what, text, says] of UNUSABLE) {
    const { allowed, problems } = readAllowedResources(text);
    assert.is(allowed.size, 0, what);
    assert.is(problems.length, says === undefined ? 0 : 1, `${what}: ${problems.join()}`);
    if (says !== undefined) assert.match(problems[0]!, says, what);
    for (const problem of problems) assert.ok(problem.length < 500, what);
  }
});

test("of an entry, what has wildcards or subresources is left out and said; the rest counts", () => {
  const at = "namespacedPoliciesAllowedResources";
  const wildcard = "wildcards are not permitted";
  const subresource = "subresources are not permitted, list the parent resource instead";
  const table: readonly (readonly [text: string, allows: readonly string[], says: readonly string[]])[] = [
    [LIST, ["pods.", "configmaps.", "deployments.apps", "statefulsets.apps"], []],
    [`futureSetting: true\n${at}: [{apiGroups: [batch], resources: [jobs]}]`, ["jobs.batch"], []],
    [`${at}: [{apiGroups: [''], resources: [pods], apiVersions: [v1], scope: Namespaced}]`, ["pods."], []],
    [`${at}: [{apiGroups: [''], apiVersions: 7, scope: [x], resources: [pods]}]`, ["pods."], []],
    [
      list(entry(["*", "apps", "a*"], ["deployments"])),
      ["deployments.apps"],
      [`${at}[0].apiGroups[0]: "*": ${wildcard}`, `${at}[0].apiGroups[2]: "a*": ${wildcard}`],
    ],
    [
      list(entry([""], ["pods", "*", "*/*", "pods/*", "pods/exec", ""])),
      ["pods."],
      [
        `${at}[0].resources[1]: "*": ${wildcard}`,
        `${at}[0].resources[2]: "*/*": ${wildcard}`,
        `${at}[0].resources[3]: "pods/*": ${wildcard}`,
        `${at}[0].resources[4]: "pods/exec": ${subresource}`,
        `${at}[0].resources[5]: "": empty strings are not permitted`,
      ],
    ],
    [
      list(entry(["*"], ["pods"]), entry(["apps"], ["*"]), entry(["batch"], ["jobs"])),
      ["jobs.batch"],
      [
        `${at}[0].apiGroups[0]: "*": ${wildcard}`,
        `${at}[0] is left out: apiGroups has no valid item`,
        `${at}[1].resources[0]: "*": ${wildcard}`,
        `${at}[1] is left out: resources has no valid item`,
      ],
    ],
    [
      list(entry([], ["pods"]), { resources: ["pods"] }, entry(["apps"], []), { apiGroups: ["apps"] }),
      [],
      [
        `${at}[0] is left out: apiGroups has no valid item`,
        `${at}[1] is left out: apiGroups has no valid item`,
        `${at}[2] is left out: resources has no valid item`,
        `${at}[3] is left out: resources has no valid item`,
      ],
    ],
  ];
  for (const [text, allows, says] of table) {
    const { allowed, problems } = readAllowedResources(text);
    assert.equal(pairs(allowed), allows, text);
    assert.equal(problems, says, text);
  }
  const { problems: [long] } = readAllowedResources(list(entry(["*".repeat(10_000)], ["pods"])));
  assert.ok(long!.length < 400);
});

/** Rules, and what of them LIST does not allow. */
const RULES: readonly (readonly [rules: Any[], disallowed: readonly string[], wildcard?: true])[] = [
  [[rule([""], ["pods", "configmaps"]), rule(["apps"], ["deployments"])], []],
  [[rule([""], ["pods/exec", "pods/ephemeralcontainers"])], []],
  [[rule([""], ["pods/*"])], []],
  [[rule([""], ["pods/"])], []],
  [[rule([""], ["pods"], ["*"])], []],
  [[rule([""], ["pods", "serviceaccounts"])], ["serviceaccounts"]],
  [[rule([""], ["serviceaccounts/token"])], ["serviceaccounts/token"]],
  [[rule(["networking.k8s.io"], ["networkpolicies"])], ["networkpolicies.networking.k8s.io"]],
  [[rule(["extensions"], ["deployments"])], ["deployments.extensions"]],
  // Each entry alone: the group of one does not lend its name to the resources of another.
  [[rule(["apps"], ["pods"])], ["pods.apps"]],
  [[rule(["", "apps"], ["pods", "daemonsets"])], ["daemonsets", "daemonsets.apps", "pods.apps"]],
  [[rule([""], ["pods"]), rule(["apps"], ["daemonsets"])], ["daemonsets.apps"]],
  [[rule(["a", "a"], ["x"]), rule(["a"], ["x", "x"])], ["x.a"]],
  [
    [rule(["*"], ["pods"]), rule(["apps"], ["*", "*/*", "*/scale"])],
    ["*.apps", "*/*.apps", "*/scale.apps", "pods.*"],
    true,
  ],
  [[rule(["ap*"], ["deployments"])], ["deployments.ap*"], true],
  [[rule([""], ["po*", "/exec", ""])], ["", "/exec", "po*"], true],
  [[rule([""], ["Pods", " pods"])], [" pods", "Pods"]],
  [[rule(["__proto__", "constructor"], ["pods"])], ["pods.__proto__", "pods.constructor"]],
  [[rule([""], ["toString"])], ["toString"]],
  // Objects that were stored before the schema asked for these.
  [[null, {}, { apiGroups: [""] }, { resources: ["secrets"] }], []],
];

test("a target is allowed when one entry lists both its apiGroup and its resource or that resource's parent", () => {
  const { allowed } = readAllowedResources(LIST);
  for (const [rules, disallowed, wildcard = false] of RULES) {
    const found = disallowedTargets(rules, allowed);
    assert.equal(found, { targets: disallowed, wildcard, complete: true }, JSON.stringify(rules));
  }
});

test("what a rejected policy is told; cluster-wide policies never are", () => {
  const { allowed } = readAllowedResources(LIST);
  const none = new Map();
  const of = (kind: string, rules: Any, list: AllowedResources = allowed) =>
    rejection({ kind, metadata: { name: "p", namespace: "n" }, spec: { rules } } as Any, list, CONFIG_MAP);
  for (const [rules, disallowed, wildcard] of RULES) {
    const wanted = disallowed.length === 0
      ? undefined
      : `${HEAD}${targets(disallowed.join(", "))}${wildcard === true ? WILDCARDS : ""}${TAIL}`;
    for (const kind of ["AdmissionPolicy", "AdmissionPolicyGroup"]) {
      assert.is(of(kind, rules), wanted);
      const starred = JSON.stringify(rules.map((rule) => [rule?.apiGroups, rule?.resources])).includes("*");
      assert.is(of(kind, rules, none), `${HEAD}${EMPTY}${starred ? WILDCARDS : ""}${TAIL}`);
    }
    for (const kind of ["ClusterAdmissionPolicy", "ClusterAdmissionPolicyGroup"]) {
      assert.is(of(kind, rules), undefined);
      assert.is(of(kind, rules, none), undefined);
    }
  }
  assert.is(of("AdmissionPolicy", undefined), undefined, "old objects may lack rules");
  assert.is(of("AdmissionPolicy", undefined, none), `${HEAD}${EMPTY}${TAIL}`);
  const rules = [rule([""], ["serviceaccounts"])];
  const mutating = { kind: "AdmissionPolicy", metadata: {}, spec: { mutating: true, rules } };
  assert.is(
    rejection(mutating as Any, allowed, CONFIG_MAP),
    `${HEAD}${targets("serviceaccounts")}${TAIL}`,
  );
});

test("rules without bounds are rejected with a message that a condition can hold", () => {
  const { allowed } = readAllowedResources(LIST);
  const names = (count: number, name: (index: number) => string) =>
    Array.from({ length: count }, (_, n) => name(n));
  const message = (rules: Any) =>
    rejection({ kind: "AdmissionPolicy", metadata: {}, spec: { rules } } as Any, allowed, CONFIG_MAP)!;
  const many = message([rule([""], names(2_000, (index) => `resource${index}`))]);
  assert.match(many, /: resource0, resource1, resource10, .*, and \d+ more\. To deploy/);
  const product = message([rule(names(100_000, (n) => `g${n}`), names(100_000, (n) => `r${n}`))]);
  assert.match(
    product,
    /, and others: the policy has more than 10000 combinations of apiGroup and resource\. To deploy/,
  );
  const long = message([rule(["g".repeat(700_000)], names(10_000, (n) => `${n}${"r".repeat(1_000)}`))]);
  const repeated = message(Array(20_000).fill(rule([""], ["pods"])));
  assert.match(repeated, /\(resource\.apiGroup\): and others: the policy has more than 10000/);
  for (const text of [many, product, long, repeated]) assert.ok(text.length < 32_768, String(text.length));
});

/** Writes the list's ConfigMap whole. */
const write = async ({ client }: Harness, data: { readonly [key: string]: string }) => {
  await client.patch<Any>(CONFIG_MAPS, NAMESPACE, CONFIG_MAP, "apply", {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: CONFIG_MAP, namespace: NAMESPACE },
    data,
  });
};
const bound = { policyServer: "listed" };
const group = (name: string, rules: Any, namespace?: string) => ({
  apiVersion: V1,
  kind: namespace === undefined ? "ClusterAdmissionPolicyGroup" : "AdmissionPolicyGroup",
  metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  spec: {
    ...bound,
    rules,
    expression: "a()",
    message: "no",
    policies: { a: { module: "registry://example.org/p:v1" } },
  },
});
const served = async (harness: Harness, policy: Any) => {
  const configMap = await get(harness, CONFIG_MAPS, "policy-server-listed");
  return Object.hasOwn(JSON.parse(configMap?.data["policies.yml"] ?? "{}"), policyId(policy));
};
const webhook = async (harness: Harness, policy: Any) =>
  await get(harness, VALIDATING, policyId(policy)) ?? await get(harness, MUTATING, policyId(policy));

/** Waits until the policy is rejected with a message and nothing of it remains. */
async function rejected(harness: Harness, policy: Any, message: string): Promise<Any> {
  const found = await when(
    harness,
    policy,
    "is rejected",
    (found) =>
      isStatus("rejected")(found) && condition(found, "PolicyActive")?.message === message &&
      found.metadata.finalizers === undefined,
  );
  assert.equal(
    found.status.conditions.map(({ type, status, reason }: Any) => [type, status, reason]),
    [["PolicyActive", "False", "ResourcesNotAllowed"]],
  );
  assert.is(found.status.mode, undefined);
  assert.is(await webhook(harness, policy), undefined, "nobody asks");
  await until("its server has forgotten it", async () => !await served(harness, policy));
  return found;
}
async function deployed(harness: Harness, policy: Any): Promise<Any> {
  const found = await active(harness, policy);
  assert.is(condition(found, "PolicyActive").status, "True");
  assert.equal(found.metadata.finalizers, [FINALIZER]);
  assert.ok(await webhook(harness, policy), "asked");
  assert.ok(await served(harness, policy), "served");
  return found;
}

if (binariesFolder() === undefined) {
  test.skip(`the allow list in a cluster (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    context.harness = await startHarness();
    context.player = await startPlayer(context.harness.plane.admin, NAMESPACE);
    await write(context.harness, { "config.yaml": LIST });
    context.controller = await startWithWebhooks(context.harness, { controllerConfigMap: CONFIG_MAP });
    await create(context.harness, server("listed"));
  });
  test.after(async ({ harness, player }) => {
    await player?.stop();
    await harness?.stop();
  });

  test("each rule of the list holds for policies of a namespace and their groups, and for no others", async ({ harness }) => {
    const cases = RULES.map(([rules, disallowed, wildcard], index) => ({
      rules,
      disallowed,
      wildcard,
      index,
    }))
      // What admission, or the API server in a webhook configuration, refuses never gets as far.
      .filter(({ rules }) =>
        rules.every((rule) => rule?.apiGroups && rule.resources?.every((name: string) => /[^/]$/.test(name)))
      );
    assert.ok(cases.length >= 14, "most of the rules");
    const expected = cases.flatMap(({ rules, disallowed, wildcard, index }) =>
      [
        ap(`rules-${index}`, { ...bound, rules }),
        ap(`mutating-${index}`, { ...bound, rules, mutating: true }),
        group(`rules-${index}`, rules, "default"),
      ].map((policy) => ({ policy, disallowed, wildcard }))
    );
    const clusterWide = [
      cap("anything", { ...bound, rules: [rule(["*"], ["networkpolicies"])] }),
      group("anything", [rule(["networking.k8s.io"], ["networkpolicies"])]),
    ];
    await create(harness, ...expected.map(({ policy }) => policy), ...clusterWide);
    for (const policy of clusterWide) await deployed(harness, policy);
    for (const { policy, disallowed, wildcard } of expected) {
      if (disallowed.length === 0) await deployed(harness, policy);
      else {
        const message = `${HEAD}${targets(disallowed.join(", "))}${
          wildcard === true ? WILDCARDS : ""
        }${TAIL}`;
        await rejected(harness, policy, message);
      }
    }
    for (const policy of [...expected.map(({ policy }) => policy), ...clusterWide]) {
      await remove(harness, policy);
      await gone(harness, policy);
    }
  });

  test("a list that changes takes active policies out and lets them in again, of every kind of a namespace", async ({ harness }) => {
    const policies = [
      ap("moving", { ...bound, rules: [rule([""], ["pods"])] }),
      ap("moving-mutating", { ...bound, rules: [rule([""], ["pods"])], mutating: true }),
      group("moving", [rule([""], ["pods"])], "default"),
    ];
    const clusterWide = cap("staying", { ...bound, rules: [rule([""], ["pods"])] });
    await create(harness, ...policies, clusterWide);
    for (const policy of [...policies, clusterWide]) await deployed(harness, policy);
    // Nothing but the list itself makes the controller look at policies whose server does not exist.
    const serverless = [
      ap("moving-serverless", { policyServer: "nowhere", rules: [rule([""], ["pods"])] }),
      {
        ...group("moving-serverless", [rule([""], ["pods"])], "default"),
        spec: { ...group("", [rule([""], ["pods"])]).spec, policyServer: "nowhere" },
      },
    ];
    await create(harness, ...serverless);
    for (const policy of serverless) await when(harness, policy, "is scheduled", isStatus("scheduled"));
    const before = await webhook(harness, clusterWide);
    const message = `${HEAD}${targets("pods")}${TAIL}`;

    for (let round = 0; round < 2; round++) {
      await write(harness, { "config.yaml": list(ENTRIES[1]) });
      for (const policy of [...policies, ...serverless]) await rejected(harness, policy, message);
      const { items } = await harness.client.list<Any>(EVENTS, "default", {});
      assert.ok(
        items.some((event) =>
          event.reason === "ResourcesNotAllowed" && event.type === "Warning" && event.message === message &&
          event.involvedObject.name === "moving"
        ),
        "an Event says so",
      );
      await write(harness, { "config.yaml": LIST });
      for (const policy of policies) await deployed(harness, policy);
      for (const policy of serverless) await when(harness, policy, "is scheduled", isStatus("scheduled"));
    }
    assert.is(
      (await webhook(harness, clusterWide)).metadata.resourceVersion,
      before.metadata.resourceVersion,
      "cluster-wide policies are not touched",
    );
    for (const policy of [...policies, ...serverless, clusterWide]) await remove(harness, policy);
  });

  test("without a list that can be used every policy of a namespace is rejected, and no other", async ({ harness }) => {
    const policies = [
      ap("empty", { ...bound, rules: [rule([""], ["pods"])] }),
      group("empty", [rule(["apps"], ["deployments"])], "default"),
    ];
    const wildcards = ap("empty-wildcards", { ...bound, rules: [rule(["apps"], ["*"])] });
    const clusterWide = cap("empty", { ...bound, rules: [rule([""], ["pods"])] });
    await create(harness, ...policies, wildcards, clusterWide);
    const all = async () => {
      for (const policy of policies) await rejected(harness, policy, `${HEAD}${EMPTY}${TAIL}`);
      await rejected(harness, wildcards, `${HEAD}${EMPTY}${WILDCARDS}${TAIL}`);
      await deployed(harness, clusterWide);
    };
    const usual = async () => {
      await write(harness, { "config.yaml": LIST });
      for (const policy of policies) await deployed(harness, policy);
    };
    await usual();
    const some = ["an empty list", "invalid YAML"];
    const texts = UNUSABLE.filter(([what]) => some.includes(what));
    assert.is(texts.length, some.length);
    for (const [, text] of texts) {
      await write(harness, { "config.yaml": text! });
      await all();
      await usual();
    }
    await write(harness, { "other.yaml": LIST });
    await all();
    await usual();
    await harness.client.remove(CONFIG_MAPS, NAMESPACE, CONFIG_MAP);
    await all();
    await usual();
    for (const policy of [...policies, wildcards, clusterWide]) await remove(harness, policy);
  });

  test("changing its own rules rejects a policy and lets it in again; it can be changed and deleted meanwhile", async ({ harness }) => {
    const policy = ap("edited", { ...bound, rules: [rule([""], ["pods"])] });
    await create(harness, policy);
    await deployed(harness, policy);
    const message = `${HEAD}${targets("roles.rbac.authorization.k8s.io")}${TAIL}`;
    const rbac = rule(["rbac.authorization.k8s.io"], ["roles"]);
    await patch(harness, policy, { spec: { rules: [rule([""], ["pods"]), rbac] } });
    await rejected(harness, policy, message);
    await patch(harness, policy, { spec: { rules: [rule([""], ["pods"])] } });
    await deployed(harness, policy);
    await patch(harness, policy, { spec: { rules: [rbac] } });
    await rejected(harness, policy, message);
    // The defaulting webhook sees this change too, and must not put back what would hold the policy.
    const labelled = await patch(harness, policy, { metadata: { labels: { team: "a" } } });
    assert.is(labelled.metadata.finalizers, undefined);
    await rejected(harness, policy, message);
    await remove(harness, policy);
    await gone(harness, policy);
  });

  test("finalizers: both of ours go from a rejected policy, those of others stay", async ({ harness }) => {
    const policy = {
      ...ap("held", { ...bound, rules: [rule([""], ["secrets"])] }),
      metadata: {
        name: "held",
        namespace: "default",
        finalizers: [FINALIZER, "example.com/foreign", "kubewarden"],
      },
    };
    await create(harness, policy);
    await when(
      harness,
      policy,
      "keeps the foreign finalizer alone",
      (found) => isStatus("rejected")(found) && found.metadata.finalizers?.join() === "example.com/foreign",
    );
    await patch(harness, policy, { metadata: { finalizers: null } });
    await remove(harness, policy);
    await gone(harness, policy);
  });

  test("a rejected policy is served until the API server can't ask it any more", async ({ harness }) => {
    const policy = ap("asked", { ...bound, rules: [rule([""], ["configmaps"])] });
    const other = cap("asked-beside", bound);
    await create(harness, policy);
    await deployed(harness, policy);
    await harness.client.patch(VALIDATING, undefined, policyId(policy as Any), "merge", {
      metadata: { finalizers: ["example.com/foreign"] },
    });
    await write(harness, { "config.yaml": list(ENTRIES[1]) });
    await when(harness, policy, "is rejected", isStatus("rejected"));
    // The server's next configuration is written while somebody else's finalizer still keeps the webhook.
    await create(harness, other);
    await deployed(harness, other);
    assert.ok(await served(harness, policy), "without an answer the namespace's requests would be refused");
    await harness.client.patch(VALIDATING, undefined, policyId(policy as Any), "merge", {
      metadata: { finalizers: null },
    });
    await rejected(harness, policy, `${HEAD}${targets("configmaps")}${TAIL}`);
    await write(harness, { "config.yaml": LIST });
    await deployed(harness, policy);
    await remove(harness, policy);
    await remove(harness, other);
  });

  test("without a PolicyServer a policy that is not allowed is rejected all the same", async ({ harness }) => {
    const policy = ap("serverless", { policyServer: "nowhere", rules: [rule([""], ["secrets"])] });
    await create(harness, policy);
    await when(harness, policy, "is rejected", isStatus("rejected"));
    await patch(harness, policy, { spec: { rules: [rule([""], ["pods"])] } });
    await when(harness, policy, "is scheduled", isStatus("scheduled"));
    await remove(harness, policy);
    await gone(harness, policy);
  });

  test("a controller without a list deploys everything, also what was rejected; one with a list rejects it again", async (context) => {
    const { harness, controller } = context;
    const policy = ap("switching", { ...bound, rules: [rule([""], ["secrets"])] });
    const message = `${HEAD}${targets("secrets")}${TAIL}`;
    assert.ok(isNamespaced(policy as Any));
    await create(harness, policy);
    await rejected(harness, policy, message);
    // Its webhooks go with it: these policies are changed by nobody but the next controller.
    await controller.stop();
    for (const resource of [MUTATING, VALIDATING]) {
      const kind = resource === MUTATING ? "mutating" : "validating";
      await harness.client.remove(resource, undefined, `kubewarden-controller-${kind}-webhook-configuration`);
    }
    const without = await harness.startController();
    await deployed(harness, policy);
    await without.stop();
    const again = await harness.startController({ controllerConfigMap: CONFIG_MAP });
    await rejected(harness, policy, message);
    await again.stop();
  });
}

test.run();
