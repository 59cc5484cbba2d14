// The unified chart's default resources, and what its hook does before an uninstallation: through the shipped controller, on a
// real API server.
import { customResource } from "../../crd/types.ts";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readDefaults } from "../../controller/render/read_defaults.ts";
import {
  BUDGETS,
  CONFIG_MAPS,
  DEPLOYMENTS,
  MUTATING,
  PODS,
  SECRETS,
  SERVICES,
  VALIDATING,
} from "../../controller/types/resources.ts";
import { KINDS } from "../../crd/mod.ts";
import { isNotFound } from "../../kubernetes/apply/kube_client.ts";
import { bundleFile } from "../programs.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Harness, NAMESPACE, startHarness, until } from "./harness.ts";
import { type Player, startPlayer } from "./player.ts";
import { cap, create, RULES, server, V1 } from "./resources.ts";

type Context = { harness: Harness; player: Player };
const test = suite<Context>("defaults", {} as Context);
const LABEL = "kubewarden.io/managed-by";
const NAME = "kubewarden-defaults";

const entry = (kind: string, name: string, spec: Any, more: Any = {}) =>
  JSON.stringify({ apiVersion: V1, kind, metadata: { name, ...more }, spec });
const policy = (name: string, spec: Any = {}, more: Any = {}) =>
  entry("ClusterAdmissionPolicy", name, {
    module: "ghcr.io/x:v1",
    mutating: false,
    rules: RULES,
    settings: {},
    ...spec,
  }, more);

/** Nine times nine aliases, nine levels deep. */
const bomb = () =>
  [..."bcdefghi"].reduce(
    (text, name) =>
      `${text}${name}: &${name} [${Array(9).fill(`*${String.fromCharCode(name.charCodeAt(0) - 1)}`)}]\n`,
    "a: &a [x]\n",
  );

test("entries that can't be used are left out, each with its key and reason; policy servers come first", () => {
  const table: readonly (readonly [key: string, text: string, says: RegExp])[] = [
    ["broken", "a: [", /^broken: it is not valid YAML/],
    ["several", "a: 1\n---\nb: 2\n", /^several: it does not hold exactly one YAML document/],
    ["empty", "", /^empty: it does not hold exactly one YAML document/],
    ["list", "[]", /^list: it is no object/],
    [
      "foreign",
      "apiVersion: v1\nkind: Secret\nmetadata: {name: a}",
      /^foreign: v1 Secret is none of the kinds/,
    ],
    [
      "group",
      "apiVersion: policies.kubewarden.io.evil/v1\nkind: PolicyServer",
      /^group: .* is none of the kinds/,
    ],
    [
      "kind",
      `apiVersion: ${V1}\nkind: constructor\nmetadata: {name: a}`,
      /^kind: .* constructor is none of the kinds/,
    ],
    ["nameless", `apiVersion: ${V1}\nkind: PolicyServer\nmetadata: {}`, /^nameless: it has no metadata.name/],
    ["placeless", entry("AdmissionPolicy", "a", {}), /^placeless: it has no metadata.namespace/],
    ["bomb", bomb(), /^bomb: it cannot be read/],
  ];
  const data = Object.fromEntries(table.map(([key, text]) => [key, text]));
  const { resources, problems } = readDefaults({
    ...data,
    p: policy("p"),
    s: entry("PolicyServer", "s", {}),
  });
  assert.equal(resources.map(({ kind }) => kind), ["PolicyServer", "ClusterAdmissionPolicy"]);
  assert.is(problems.length, table.length);
  table.forEach(([, , says], index) => assert.match(problems[index]!, says));
});

if (binariesFolder() === undefined) {
  test.skip(`default resources in a cluster (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    context.harness = await startHarness();
    context.player = await startPlayer(context.harness.plane.admin, NAMESPACE);
  });
  test.after(async ({ harness, player }) => {
    await player?.stop();
    await harness?.stop();
  });

  const find = async ({ client }: Harness, kind: Any, name: string): Promise<Any | undefined> => {
    try {
      return await client.get<Any>(customResource(kind), undefined, name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };
  const apply = ({ client }: Harness, data: Any) =>
    client.patch(CONFIG_MAPS, NAMESPACE, NAME, "apply", {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: NAME, namespace: NAMESPACE },
      data,
    });

  test("they are applied, changed, adopted from Helm, and deleted when no longer named; what others made stays", async ({ harness }) => {
    const { client } = harness;
    await create(harness, cap("by-hand"));
    await create(harness, {
      ...JSON.parse(policy("from-helm")),
      metadata: {
        name: "from-helm",
        labels: { "app.kubernetes.io/managed-by": "Helm" },
        annotations: {
          "helm.sh/resource-policy": "keep",
          "meta.helm.sh/release-name": "kubewarden-defaults",
          "meta.helm.sh/release-namespace": NAMESPACE,
          "team": "a",
        },
      },
    });
    const controller = await harness.startController();
    const managed = { labels: { "app.kubernetes.io/managed-by": "kubewarden-controller" } };
    await apply(harness, {
      "one.yaml": policy("one"),
      "two.yaml": policy("two"),
      "helm.yaml": policy("from-helm", {}, managed),
      "server.yaml": entry("PolicyServer", "default", { image: "x:v1", replicas: 1 }),
      "broken.yaml": "a: [",
    });
    await until("all are there", async () => await find(harness, "ClusterAdmissionPolicy", "two"));
    const one = await until("one", () => find(harness, "ClusterAdmissionPolicy", "one"));
    assert.is(one.metadata.labels[LABEL], "kubewarden-controller-defaults");
    assert.is(one.spec.backgroundAudit, true);
    assert.is((await find(harness, "PolicyServer", "default")).spec.image, "x:v1");
    const adopted = await until("adopted", async () => {
      const found = await find(harness, "ClusterAdmissionPolicy", "from-helm");
      return found.metadata.labels[LABEL] === undefined ? undefined : found;
    });
    assert.equal(Object.keys(adopted.metadata.annotations), ["team"]);

    await apply(harness, {
      "server.yaml": entry("PolicyServer", "default", { image: "x:v2", replicas: 1 }),
      "one.yaml": policy("one"),
    });
    await until(
      "the image changed",
      async () => (await find(harness, "PolicyServer", "default")).spec.image === "x:v2",
    );
    await until(
      "two is gone",
      async () => await find(harness, "ClusterAdmissionPolicy", "two") === undefined,
    );
    assert.ok(await find(harness, "ClusterAdmissionPolicy", "one"));
    assert.ok(
      await find(harness, "ClusterAdmissionPolicy", "by-hand"),
      "without the label nothing is deleted",
    );

    await client.remove(CONFIG_MAPS, NAMESPACE, NAME);
    await until(
      "one is gone",
      async () => await find(harness, "ClusterAdmissionPolicy", "one") === undefined,
    );
    assert.ok(await find(harness, "ClusterAdmissionPolicy", "by-hand"));
    await controller.stop();
  });

  test("they come back when somebody changes or deletes them; one that fails, or can't be read, takes no other one with it", async ({ harness }) => {
    const { client } = harness;
    const controller = await harness.startController();
    const kind = "ClusterAdmissionPolicy";
    const module = async () => (await find(harness, kind, "kept"))?.spec.module;
    await apply(harness, { "kept.yaml": policy("kept"), "other.yaml": policy("other") });
    const { uid } = (await until("it is there", () => find(harness, kind, "kept"))).metadata;
    await client.patch(customResource(kind), undefined, "kept", "merge", {
      spec: { module: "ghcr.io/y:v1" },
    });
    await until("the change is undone", async () => await module() === "ghcr.io/x:v1");
    await client.remove(customResource(kind), undefined, "kept");
    await until("it is back", async () => {
      const found = await find(harness, kind, "kept");
      return found !== undefined && found.metadata.uid !== uid;
    });
    // `a` comes before the others, and the API server refuses it.
    await apply(harness, {
      "a.yaml": policy("a", { timeoutSeconds: 1 }),
      "kept.yaml": "a: [",
      "next.yaml": policy("next"),
    });
    await until("what comes after it is applied", () => find(harness, kind, "next"));
    assert.ok(await find(harness, kind, "kept"), "an entry that can't be read deletes nothing");
    await apply(harness, { "a.yaml": policy("a", { timeoutSeconds: 1 }), "next.yaml": policy("next") });
    await until("what is no longer named is deleted all the same", async () => await module() === undefined);
    await controller.stop();
  });

  const hook = (harness: Harness, ...args: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, [
      bundleFile("controller"),
      `--kubeconfig=${harness.plane.kubeconfig}`,
      ...args,
    ], { encoding: "utf8", env: { PATH: process.env["PATH"], HOME: harness.plane.folder } });
    return { status, stderr };
  };

  test("cleanup says which flag is missing", ({ harness }) => {
    for (
      const [args, says] of [
        [["--cleanup"], /the deployments namespace must be provided/],
        [
          ["--cleanup", `--deployments-namespace=${NAMESPACE}`],
          /the controller deployment name must be provided/,
        ],
        [
          ["--restart", `--deployments-namespace=${NAMESPACE}`],
          /the controller deployment name must be provided/,
        ],
      ] as const
    ) {
      const { status, stderr } = hook(harness, ...args);
      assert.is(status, 1, stderr);
      assert.match(stderr, says);
    }
  });

  test("cleanup leaves what users made, without our finalizers, and nothing else; it may run twice, without a controller", async ({ harness, player }) => {
    const { client } = harness;
    const controller = await harness.startController();
    await create(harness, server("kept"), cap("kept", { policyServer: "kept" }));
    await until(
      "its webhook is there",
      async () =>
        (await client.list<Any>(VALIDATING, undefined, {})).items.some(({ metadata }) =>
          metadata.name.endsWith("kept")
        ),
    );
    await client.patch(customResource("ClusterAdmissionPolicy"), undefined, "kept", "merge", {
      metadata: { finalizers: ["kubewarden.io/finalizer", "kubewarden", "example.com/foreign"] },
    });
    await controller.stop();
    await player.stop();
    // As releases up to 1.36 made them; held by somebody else.
    await client.create(CONFIG_MAPS, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: "policy-server-old",
        namespace: NAMESPACE,
        labels: { "kubewarden/policy-server": "old" },
        finalizers: ["example.com/foreign"],
      },
    } as Any);
    const args = [
      "--cleanup",
      `--deployments-namespace=${NAMESPACE}`,
      "--controller-deployment-name=controller",
    ];
    for (const round of [1, 2]) {
      const { status, stderr } = hook(harness, ...args);
      assert.is(status, 0, `round ${round}: ${stderr}`);
    }
    for (const resource of [VALIDATING, MUTATING, DEPLOYMENTS, SERVICES, BUDGETS]) {
      const { items } = await client.list<Any>(resource, resource.namespaced ? NAMESPACE : undefined, {
        labelSelector: "app.kubernetes.io/part-of=kubewarden",
      });
      assert.equal(items.map(({ metadata }) => metadata.name), [], resource.plural);
    }
    const held = await client.get<Any>(CONFIG_MAPS, NAMESPACE, "policy-server-old");
    assert.ok(held.metadata.deletionTimestamp, "left to whoever holds it");
    const kept = await find(harness, "ClusterAdmissionPolicy", "kept");
    assert.equal(kept.metadata.finalizers, ["example.com/foreign"]);
    assert.ok(await find(harness, "PolicyServer", "kept"));
    assert.equal(
      (await client.list<Any>(PODS, NAMESPACE, {})).items.filter(({ metadata }) =>
        metadata.labels?.["app.kubernetes.io/component"] === "controller"
      ),
      [],
    );
    assert.ok(
      await client.get(SECRETS, NAMESPACE, "kubewarden-ca"),
      "the authority stays for the next installation",
    );

    // Where the CRDs go too, no policy server stays.
    const { status } = hook(harness, ...args, "--cleanup-policy-servers");
    assert.is(status, 0);
    const { items } = await client.list<Any>(customResource("PolicyServer"), undefined, {});
    assert.equal(items, []);
    assert.is(KINDS.length, 5);
  });
}

test.run();
