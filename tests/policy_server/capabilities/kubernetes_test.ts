/** What policies see of a real Kubernetes API server (`spec/evaluator.md §5.8`). */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type ApiTransport, openTransport } from "../../../kubernetes/apply/api_transport.ts";
import { regoInventory } from "../../../policy_server/apply/capabilities/rego_inventory.ts";
import { kubernetesCapabilities } from "../../../policy_server/apply/capabilities/kubernetes.ts";
import { inventories } from "../../../policy_server/apply/kubernetes/inventory.ts";
import { type Cluster, openCluster } from "../../../policy_server/apply/kubernetes/cluster.ts";
import {
  DEFAULT_LIST_LIMITS,
  type ListLimits,
} from "../../../policy_server/apply/kubernetes/followed_lists.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../../cluster/binaries/locate.ts";
import { type ControlPlane, startControlPlane, until } from "../../cluster/control_plane.ts";
import {
  type Answer,
  closeCallers,
  failure,
  type HostCaller,
  hostCaller,
  regoVerdict,
  success,
} from "./host_caller.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
const there = binariesFolder() !== undefined;
const real: typeof test = (there ? test : test.skip) as typeof test;
if (!there) test.skip(`the cluster: ${HOW_TO_GET_BINARIES}`, () => {});

const GRANTED = [
  { apiVersion: "v1", kind: "ConfigMap" },
  { apiVersion: "v1", kind: "Namespace" },
  { apiVersion: "v1", kind: "Secret" },
  { apiVersion: "v1", kind: "Nothing" },
  { apiVersion: "v2", kind: "ConfigMap" },
  { apiVersion: "absent.test/v1", kind: "Thing" },
  { apiVersion: "apps/v1", kind: "Deployment" },
];
const LIST = "kubernetes/list_resources_all";
const LIST_IN = "kubernetes/list_resources_by_namespace";
const GET = "kubernetes/get_resource";
const CAN_I = "kubernetes/can_i";
const CALLBACK = "Callback evaluation failure: ";

let plane: ControlPlane;
const clusters: Cluster[] = [];

/** What a policy server as one user sees, and the requests that it sent. */
type Server = {
  readonly caller: HostCaller;
  readonly cluster: Cluster;
  readonly requests: string[];
  readonly troubles: string[];
};

/** The transport of a user of the cluster. */
async function transportOf(user: string): Promise<ApiTransport> {
  const { cert, key } = await plane.authority.issue({ commonName: user });
  const tls = { ca: plane.authority.cert, cert, key, rejectUnauthorized: true };
  return openTransport(plane.url, () => Promise.resolve({ headers: {}, tls }));
}

async function serverOf(transport: ApiTransport, limits: Partial<ListLimits> = {}): Promise<Server> {
  const requests: string[] = [];
  const troubles: string[] = [];
  const observed: ApiTransport = {
    ...transport,
    request: (request) => {
      requests.push(`${request.method} ${request.path}`);
      return transport.request(request);
    },
    close: () => {},
  };
  const cluster = openCluster(observed, (message, error) => troubles.push(`${message}: ${error.message}`), {
    ...DEFAULT_LIST_LIMITS,
    ...limits,
  });
  clusters.push(cluster);
  const caller = await hostCaller(kubernetesCapabilities(() => Promise.resolve(cluster)), {
    contextAwareResources: GRANTED,
  });
  return { caller, cluster, requests, troubles };
}

async function api(method: string, path: string, body?: unknown): Promise<Any> {
  const merge = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  const answer = await plane.admin.request({
    method,
    path,
    headers: { "content-type": merge },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${text}`);
  return JSON.parse(text);
}

const configMaps = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps`;
const configMap = (name: string, data: Any, metadata: Any = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...metadata },
  data,
});
const namesOf = (answer: Answer): string[] =>
  success(answer).items.map(({ metadata }: Any) => metadata.name).sort();
const kind = { api_version: "v1", kind: "ConfigMap" };

let server: Server;

if (there) {
  test.before(async () => {
    plane = await startControlPlane();
    for (const namespace of ["one", "two"]) {
      await api("POST", "/api/v1/namespaces", {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: namespace },
      });
    }
    const annotations = {
      "kubectl.kubernetes.io/last-applied-configuration": "{}",
      note: "kept",
    };
    await api(
      "POST",
      configMaps("one"),
      configMap("a", { k: "1", l: "2" }, { labels: { app: "x" }, annotations }),
    );
    await api("POST", configMaps("one"), configMap("b", { k: "3" }));
    await api("POST", configMaps("two"), configMap("c", { k: "4" }, { labels: { app: "x" } }));
    server = await serverOf(plane.admin);
  });
}
test.after(async () => {
  for (const cluster of clusters) cluster.close();
  await closeCallers();
  if (there) await plane.stop();
});

real("lists of all namespaces and of one, by label and by field", async () => {
  const { caller } = server;
  const all = success(await caller.call(LIST, { ...kind, label_selector: "app=x" }));
  assert.is(all.apiVersion, "v1");
  assert.is(all.kind, "ConfigMapList");
  assert.equal(all.metadata, {});
  assert.equal(all.items.map(({ metadata }: Any) => metadata.name).sort(), ["a", "c"]);
  assert.ok(namesOf(await caller.call(LIST, kind)).includes("b"));
  assert.equal(namesOf(await caller.call(LIST_IN, { ...kind, namespace: "one" })), ["a", "b"]);
  assert.equal(
    namesOf(await caller.call(LIST_IN, { ...kind, namespace: "one", field_selector: "metadata.name=b" })),
    ["b"],
  );
  // All that is optional may be null.
  const nulls = { label_selector: null, field_selector: null, field_masks: null };
  assert.equal(namesOf(await caller.call(LIST_IN, { ...kind, namespace: "two", ...nulls })), ["c"]);
  assert.equal(namesOf(await caller.call(LIST_IN, { ...kind, namespace: "absent" })), []);
});

real("items are trimmed, and know what they are", async () => {
  const { items } = success(await server.caller.call(LIST_IN, { ...kind, namespace: "one" }));
  const [a] = items.filter(({ metadata }: Any) => metadata.name === "a");
  assert.is(a.apiVersion, "v1");
  assert.is(a.kind, "ConfigMap");
  assert.equal(a.metadata.managedFields, []);
  assert.equal(a.metadata.annotations, { note: "kept" });
  assert.equal(a.data, { k: "1", l: "2" });
  const [b] = items.filter(({ metadata }: Any) => metadata.name === "b");
  assert.equal(b.metadata.annotations, {});
});

real("field masks keep what they name, and the metadata", async () => {
  const ask = async (...field_masks: string[]) => {
    const answer = await server.caller.call(LIST_IN, {
      ...kind,
      namespace: "one",
      field_selector: "metadata.name=a",
      field_masks,
    });
    const { metadata, ...rest } = success(answer).items[0];
    assert.is(metadata.name, "a");
    return rest;
  };
  const type = { apiVersion: "v1", kind: "ConfigMap" };
  assert.equal(await ask("data.k"), { ...type, data: { k: "1" } });
  assert.equal(await ask("data"), { ...type, data: { k: "1", l: "2" } });
  assert.equal(await ask("metadata.name"), type);
  assert.equal(await ask(), { ...type, data: { k: "1", l: "2" } });
});

real("what changes in the cluster changes in the list", async () => {
  const { caller } = server;
  const list = () => caller.call(LIST_IN, { ...kind, namespace: "two" });
  assert.equal(namesOf(await list()), ["c"]);
  await api("POST", configMaps("two"), configMap("d", { k: "new" }));
  await until("the new object is listed", async () => namesOf(await list()).includes("d"));
  await api("PATCH", `${configMaps("two")}/d`, { data: { k: "changed" } });
  await until("the change is listed", async () => {
    const [d] = success(await list()).items.filter(({ metadata }: Any) => metadata.name === "d");
    assert.equal(d.metadata.managedFields, []);
    assert.is(d.kind, "ConfigMap");
    return d.data.k === "changed";
  });
  await api("DELETE", `${configMaps("two")}/d`);
  await until("the object is gone", async () => !namesOf(await list()).includes("d"));
});

real("all policies share one list and one watch for each identity", async () => {
  const { caller, cluster, requests } = await serverOf(plane.admin);
  const masks = [["data.k", "data.l"], ["data.l", "data.k", "data.l"]];
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, index) => caller.call(LIST, { ...kind, field_masks: masks[index % 2] })),
  );
  for (const answer of answers) assert.ok(namesOf(answer).includes("a"));
  assert.is(cluster.lists.count, 1);
  await until("the watch is open", () => requests.some((request) => request.includes("watch=true")));
  const lists = requests.filter((request) => request.includes("limit=500"));
  const watches = requests.filter((request) => request.includes("watch=true"));
  assert.is(lists.length, 1);
  assert.is(watches.length, 1);
  assert.match(watches[0]!, /allowWatchBookmarks=true/);
  assert.match(watches[0]!, /timeoutSeconds=290/);
  await caller.call(LIST_IN, { ...kind, namespace: "one", label_selector: "app=x" });
  assert.is(cluster.lists.count, 2);
  assert.ok(
    requests.some((request) =>
      request.includes("/namespaces/one/configmaps?labelSelector=app%3Dx&limit=500")
    ),
  );
});

real("a list that is not to be cached comes from the API server, with its own metadata", async () => {
  const { caller, cluster } = await serverOf(plane.admin);
  const answer = success(await caller.call(LIST_IN, { ...kind, namespace: "one", disable_cache: true }));
  assert.match(answer.metadata.resourceVersion, /^\d+$/);
  assert.equal(answer.items[0].metadata.managedFields, []);
  assert.is(cluster.lists.count, 0);
});

real("kinds that are not there, and scopes that don't fit", async () => {
  const told = async (path: string, payload: unknown) => failure(await server.caller.call(path, payload));
  assert.is(
    await told(LIST, { api_version: "v1", kind: "Nothing" }),
    `${CALLBACK}Cannot find resource v1/Nothing`,
  );
  assert.is(
    await told(LIST, { api_version: "v2", kind: "ConfigMap" }),
    `${CALLBACK}cannot determine group and version for v2`,
  );
  assert.match(
    await told(LIST, { api_version: "absent.test/v1", kind: "Thing" }),
    /^Callback evaluation failure: error finding resource absent.test\/v1 \/ Thing: /,
  );
  assert.is(
    await told(LIST_IN, { api_version: "v1", kind: "Namespace", namespace: "one" }),
    `${CALLBACK}resource v1/Namespace is cluster wide. Cannot search for it inside of a namespace`,
  );
  assert.match(
    await told(LIST, { ...kind, label_selector: "a in (" }),
    /^Callback evaluation failure: .*parse/,
  );
});

real("one object, whole or masked", async () => {
  const { caller } = server;
  const get = async (rest: object) =>
    success(await caller.call(GET, { ...kind, name: "a", namespace: "one", ...rest }));
  const whole = await get({ disable_cache: false });
  assert.is(whole.kind, "ConfigMap");
  assert.is(whole.metadata.managedFields.length, 1);
  assert.is(whole.metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"], "{}");
  const { metadata, ...masked } = await get({ disable_cache: false, field_masks: ["data.l"] });
  assert.equal(masked, { apiVersion: "v1", kind: "ConfigMap", data: { l: "2" } });
  assert.equal(metadata, whole.metadata);
  // The namespace of a kind that has none is ignored.
  const namespace = await caller.call(GET, {
    api_version: "v1",
    kind: "Namespace",
    name: "one",
    namespace: "two",
  });
  assert.is(success(namespace).metadata.name, "one");
});

real("an object is kept for a while unless that is not wanted", async () => {
  await api("POST", configMaps("one"), configMap("kept", { k: "old" }));
  const { caller, requests } = await serverOf(plane.admin);
  const get = async (disable_cache: boolean) =>
    success(await caller.call(GET, { ...kind, name: "kept", namespace: "one", disable_cache })).data.k;
  assert.is(await get(false), "old");
  await api("PATCH", `${configMaps("one")}/kept`, { data: { k: "new" } });
  assert.is(await get(true), "new");
  const before = requests.length;
  await get(false);
  assert.is(requests.length, before);
  await api("DELETE", `${configMaps("one")}/kept`);
});

real("objects that are not there, and names that are none", async () => {
  const told = async (payload: object) => failure(await server.caller.call(GET, payload));
  assert.is(
    await told({ ...kind, name: "absent", namespace: "one" }),
    `${CALLBACK}Cannot find v1/ConfigMap named 'absent' inside of namespace 'Some("one")'`,
  );
  assert.is(
    await told({ api_version: "v1", kind: "Namespace", name: "absent" }),
    `${CALLBACK}Cannot find v1/Namespace named 'absent' inside of namespace 'None'`,
  );
  assert.is(
    await told({ ...kind, name: "a" }),
    `${CALLBACK}Resource v1/ConfigMap is namespaced, but no namespace was provided`,
  );
  // None of these may lead to what was not granted.
  for (const name of ["", ".", "..", "../secrets/s", "a?x=y", "a/b"]) {
    assert.match(
      await told({ ...kind, name, namespace: "one" }),
      /invalid name|Cannot find|may not|Invalid/i,
      name,
    );
  }
  for (const namespace of ["", "..", "one/secrets/x/.."]) {
    assert.match(await told({ ...kind, name: "a", namespace }), /invalid namespace|Cannot find/, namespace);
  }
});

real("who may do what", async () => {
  const ask = (review: object, rest: object = { disable_cache: true }) =>
    server.caller.call(CAN_I, { subject_access_review: review, ...rest });
  const attributes = { resource: "pods", verb: "create", namespace: "one" };
  const denied = success(await ask({ user: "jane", groups: [], resource_attributes: attributes }));
  assert.is(denied.allowed, false);
  const allowed = success(
    await ask({ user: "root", groups: ["system:masters"], resource_attributes: attributes }),
  );
  assert.is(allowed.allowed, true);
  // As the Go SDK spells it, and without the key that it may leave out.
  assert.is(success(await ask({ user: "jane", resourceAttributes: attributes }, {})).allowed, false);
});

async function role(name: string, user: string, rules: Any[]) {
  const path = "/apis/rbac.authorization.k8s.io/v1";
  const group = "rbac.authorization.k8s.io";
  await api("POST", `${path}/clusterroles`, {
    apiVersion: `${group}/v1`,
    kind: "ClusterRole",
    metadata: { name },
    rules,
  });
  await api("POST", `${path}/clusterrolebindings`, {
    apiVersion: `${group}/v1`,
    kind: "ClusterRoleBinding",
    metadata: { name },
    roleRef: { apiGroup: group, kind: "ClusterRole", name },
    subjects: [{ apiGroup: group, kind: "User", name: user }],
  });
}

real("what the server may not read is an error at once, and is served when it may", async () => {
  const { caller, cluster } = await serverOf(await transportOf("reader"));
  const list = () => caller.call(LIST, { api_version: "v1", kind: "Secret" });
  assert.match(
    failure(await list()),
    /^Callback evaluation failure: secrets is forbidden: User "reader" cannot list/,
  );
  assert.match(failure(await list()), /forbidden/);
  assert.is(cluster.lists.count, 0);
  assert.match(
    failure(await caller.call(GET, { api_version: "v1", kind: "Secret", name: "a", namespace: "one" })),
    /forbidden/,
  );
  await role("reader", "reader", [{ apiGroups: [""], resources: ["secrets"], verbs: ["list", "watch"] }]);
  await until("the right is known", async () => (await list()).ok);
  assert.is(cluster.lists.count, 1);
});

real("who may list but not watch gets lists that are a few seconds old at most", async () => {
  await role("lister", "lister", [{ apiGroups: [""], resources: ["configmaps"], verbs: ["list"] }]);
  const { caller, cluster, troubles } = await serverOf(await transportOf("lister"));
  const list = () => caller.call(LIST_IN, { ...kind, namespace: "one" });
  await until("the right is known", async () => (await list()).ok);
  await until("the refusal was heard", () => troubles.length > 0);
  assert.match(troubles[0]!, /cannot follow v1\/ConfigMap of namespace one: .*cannot watch/);
  assert.ok(namesOf(await list()).includes("a"));
  await until("the list that nothing keeps up to date is dropped", () => cluster.lists.count === 0);
  assert.ok(namesOf(await list()).includes("a"));
});

real("lists that nobody asks for are dropped, and there are never more than allowed", async () => {
  const idle = await serverOf(plane.admin, { idleMs: 50 });
  await idle.caller.call(LIST, kind);
  await until("it is dropped", () => idle.cluster.lists.count === 0);
  assert.is(idle.cluster.lists.bytes, 0);
  assert.ok(namesOf(await idle.caller.call(LIST, kind)).includes("a"));
  const few = await serverOf(plane.admin, { maxLists: 2 });
  for (const label of ["a", "b", "c"]) {
    await few.caller.call(LIST, { ...kind, label_selector: `app=${label}` });
  }
  assert.is(few.cluster.lists.count, 2);
});

real("lists that would take too much memory are refused, with what to do", async () => {
  const { caller, cluster } = await serverOf(plane.admin, { maxBytes: 1_500 });
  assert.match(
    failure(await caller.call(LIST, kind)),
    /the objects of v1\/ConfigMap do not fit in: .*field masks or selectors/,
  );
  assert.is(cluster.lists.count, 0);
  assert.is(cluster.lists.bytes, 0);
  assert.equal(namesOf(await caller.call(LIST_IN, { ...kind, namespace: "two", field_masks: ["x"] })), ["c"]);
});

real("an inventory has all objects of its kinds, and is built again when one of them changes", async () => {
  const { cluster } = await serverOf(plane.admin);
  let built = 0;
  const inventory = inventories(() => Promise.resolve(cluster), (form: "names", kinds) => {
    built++;
    const names = kinds.map(({ resource, plural, objects }) => [
      resource.kind,
      plural,
      objects.filter(({ namespace = "two" }) => namespace === "two").map(({ name }) => name).sort(),
    ]);
    return new TextEncoder().encode(JSON.stringify({ form, names }));
  });
  const kinds = [{ apiVersion: "v1", kind: "Namespace" }, { apiVersion: "v1", kind: "ConfigMap" }];
  const ask = async () => JSON.parse(new TextDecoder().decode((await inventory("names", kinds)).payload));
  const { names } = await ask();
  assert.equal(names[0], ["ConfigMap", "configmaps", ["c"]]);
  assert.is(names[1][1], "namespaces");
  assert.ok(names[1][2].includes("one"));
  await ask();
  assert.is(built, 1);
  const version = async (of = kinds) => (await inventory("names", of)).version;
  const first = await version();
  assert.is(await version([...kinds].reverse()), first, "the same kinds");
  assert.not.equal(await version([kinds[0]!]), first, "what another policy may see");
  assert.is(await version(), first);
  assert.is(built, 2);
  await api("POST", configMaps("two"), configMap("seen", {}));
  await until("the change is seen", async () => (await ask()).names[0][2].includes("seen"));
  assert.is(built, 3);
  assert.not.equal(await version(), first);
  await api("DELETE", `${configMaps("two")}/seen`);
  const unreachable = inventories(() => Promise.resolve(undefined), () => new Uint8Array());
  const error = await unreachable("names", kinds).catch((error: Error) => error);
  assert.is((error as Error).message, "kube::Client was not initialized properly");
});

real("Rego policies of both dialects see what the cluster holds", async () => {
  const { cluster } = await serverOf(plane.admin);
  const inventory = regoInventory(() => Promise.resolve(cluster));
  const kinds = [{ apiVersion: "v1", kind: "Service" }, { apiVersion: "v1", kind: "Namespace" }];
  const services = "/api/v1/namespaces/one/services";
  await api("POST", services, { metadata: { name: "taken" }, spec: { ports: [{ port: 80 }] } });
  const namespaces = (await api("GET", "/api/v1/namespaces")).items.length;
  const judge = (policy: string, name: string, handler = inventory, hostCapabilities?: readonly string[]) => {
    const request = {
      uid: "u",
      kind: { group: "", version: "v1", kind: "Service" },
      resource: { group: "", version: "v1", resource: "services" },
      namespace: "two",
      operation: "CREATE",
      userInfo: {},
      object: { apiVersion: "v1", kind: "Service", metadata: { name, namespace: "two" } },
    };
    return regoVerdict(policy, kinds, handler, request, hostCapabilities);
  };
  const messages = {
    "opa-context": `{"one"} of ${namespaces} namespaces`,
    "gatekeeper-context": `taken in one, one of ${namespaces} namespaces`,
  };
  for (const [policy, message] of Object.entries(messages)) {
    assert.is((await judge(policy, "free")).allowed, true, policy);
    assert.equal(await judge(policy, "taken"), { allowed: false, message });
    const nowhere = regoInventory(() => Promise.resolve(undefined));
    assert.equal(await judge(policy, "free", nowhere), {
      allowed: false,
      message: "cannot perform a request via callback channel: kube::Client was not initialized properly",
    });
    for (const granted of [[], ["kubernetes/get_resource", "oci/*"]]) {
      assert.equal(await judge(policy, "free", inventory, granted), {
        allowed: false,
        message:
          "Policy has not been granted access to the 'kubernetes/list_resources_all' host capability. " +
          "The violation has been reported.",
      });
    }
    for (const granted of [["*"], ["kubernetes/*"]]) {
      assert.is((await judge(policy, "free", inventory, granted)).allowed, true, policy);
    }
  }
  assert.is(cluster.lists.count, 2);
  await api("DELETE", `${services}/taken`);
  for (const policy of Object.keys(messages)) {
    await until("the name is free again", async () => (await judge(policy, "taken")).allowed);
  }
});

real("the API server goes and comes back: lists stay, and go on", async () => {
  const { caller, troubles } = await serverOf(plane.admin);
  const list = () => caller.call(LIST_IN, { ...kind, namespace: "two" });
  assert.equal(namesOf(await list()), ["c"]);
  const restarted = plane.restartApiServer();
  await until("the watch broke", () => troubles.length > 0);
  assert.equal(namesOf(await list()), ["c"]);
  await restarted;
  await api("POST", configMaps("two"), configMap("after", {}));
  await until("the new object is listed", async () => namesOf(await list()).includes("after"));
  await api("DELETE", `${configMaps("two")}/after`);
});

test("without an API server behind the address, calls fail at once", async () => {
  const nowhere = openTransport(
    "https://127.0.0.1:1",
    () => Promise.resolve({ headers: {}, tls: { rejectUnauthorized: true } }),
  );
  const { caller } = await serverOf(nowhere);
  assert.match(
    failure(await caller.call(LIST, kind)),
    /^Callback evaluation failure: error finding resource v1 \/ ConfigMap: cannot reach the Kubernetes API at https:\/\/127.0.0.1:1: /,
  );
  assert.match(
    failure(
      await caller.call(CAN_I, {
        subject_access_review: { user: "a", resource_attributes: { resource: "a", verb: "b" } },
      }),
    ),
    /cannot reach the Kubernetes API/,
  );
});

test.run();
