// `--check-admission`, which `helm test` runs, against a real API server; the controller and the policy server are played.
import { customResource } from "../../crd/types.ts";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type AdmissionCheck,
  checkAdmission,
  runAdmissionCheck,
} from "../../controller/apply/check_admission.ts";
import { parseFlags, settingsFrom } from "../../controller/render/flags.ts";
import { VALIDATING } from "../../controller/types/resources.ts";
import { customResourceDefinitions } from "../../crd/mod.ts";
import { type KubeClient, kubeClient } from "../../kubernetes/apply/kube_client.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type ControlPlane, startControlPlane, until } from "../cluster/control_plane.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
const CRDS = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  namespaced: false,
};
const NAMESPACES = { apiVersion: "v1", kind: "Namespace", plural: "namespaces", namespaced: false };
const POLICIES = customResource("ClusterAdmissionPolicy");

const available = binariesFolder() !== undefined;
if (!available) test.skip(`admission check: ${HOW_TO_GET_BINARIES}`, () => {});
const real = available ? test : test.skip;

let plane: ControlPlane;
let client: KubeClient;
let server: Server;
/** Which Pods the played policy server refuses. */
let refuse: (pod: Any, path: string) => boolean = () => false;

test.before(async () => {
  if (!available) return;
  plane = await startControlPlane();
  client = kubeClient(plane.admin, "test");
  for (const crd of customResourceDefinitions()) await client.create(CRDS, crd as Any);
  await until("the CRDs are served", async () => {
    const answer = await plane.admin.request({
      method: "GET",
      path: "/apis/policies.kubewarden.io/v1/policyservers",
    });
    await answer.text();
    return answer.status === 200;
  });
  const { cert, key } = await plane.authority.issue({
    commonName: "policy-server",
    dns: ["127.0.0.1", "localhost"],
  });
  server = createServer({ cert, key }, (request, response) => {
    let body = "";
    request.on("data", (chunk) => body += chunk);
    request.on("end", () => {
      const { uid, object } = JSON.parse(body).request;
      const verdict = refuse(object, request.url ?? "")
        ? { uid, allowed: false, status: { message: "Privileged container is not allowed" } }
        : { uid, allowed: true };
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: verdict }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
test.after(async () => {
  server?.closeAllConnections();
  server?.close();
  await plane?.stop();
});

const register = (id: string, { failurePolicy, objectSelector, rules }: Any) =>
  client.create(VALIDATING, {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: `kw.cap.${id}` },
    webhooks: [{
      name: `kw.cap.${id}.kubewarden.admission`,
      admissionReviewVersions: ["v1"],
      sideEffects: "None",
      failurePolicy,
      objectSelector,
      rules,
      clientConfig: {
        url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/validate/${id}`,
        caBundle: btoa(plane.authority.cert),
      },
    }],
  } as Any);

/** What the controller does for a policy: registers its webhook (if there is to be one), and says that it is active. */
async function activate(id: string, webhook: boolean): Promise<void> {
  const policy: Any = await until(
    "the policy is made",
    () => client.get(POLICIES, undefined, id).catch(() => undefined),
  );
  if (webhook) await register(id, policy.spec);
  await client.patch(POLICIES, undefined, id, "merge", { status: { policyStatus: "active" } }, {
    subresource: "status",
  });
}

let count = 0;
/** Runs the check; resolves to its log and to what it failed with. */
async function check(
  play: (id: string) => Promise<void>,
  more: Partial<AdmissionCheck> = {},
): Promise<{ readonly lines: readonly string[]; readonly error: string | undefined }> {
  const id = `helm-test-${count++}`;
  const lines: string[] = [];
  const checking = checkAdmission({
    client,
    module: "registry://example/p:1",
    namespace: "default",
    id,
    log: (line) => lines.push(line),
    activeWithinMs: 30_000,
    enforcedWithinMs: 30_000,
    ...more,
  }).then(() => undefined, (error: Error) => error.message);
  await play(id);
  const error = await checking;
  const left = await client.list(POLICIES, undefined, {});
  assert.equal(left.items.map(({ metadata }) => metadata.name), [], "the policy is removed whatever happens");
  return { lines, error };
}
const privileged = (pod: Any) =>
  pod.spec.containers.some(({ securityContext }: Any) => securityContext?.privileged);

real("a policy that rejects the privileged Pod and lets the harmless one pass is what it takes", async () => {
  refuse = privileged;
  const { lines, error } = await check((id) => activate(id, true));
  assert.is(error, undefined);
  assert.is(lines.length, 3);
  assert.match(lines[1]!, /a privileged Pod is rejected: .*Privileged container is not allowed/);
});

real("what goes wrong is said", async () => {
  refuse = privileged;
  const pending = await check(async (id) => {
    await until("the policy is made", () => client.get(POLICIES, undefined, id).catch(() => undefined));
    await client.patch(POLICIES, undefined, id, "merge", {
      status: {
        policyStatus: "pending",
        conditions: [{
          type: "PolicyLoaded",
          status: "False",
          reason: "PolicyLoadFailed",
          message: "cannot pull",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        }],
      },
    }, { subresource: "status" });
  }, { activeWithinMs: 2_000 });
  assert.match(pending.error!, /is pending after 2 s: PolicyLoaded=False \(PolicyLoadFailed: cannot pull\)/);

  const silent = await check(() => Promise.resolve(), { activeWithinMs: 0 });
  assert.match(silent.error!, /is without a status after 0 s: the controller said nothing of it/);

  const accepted = await check((id) => activate(id, false), { enforcedWithinMs: 0 });
  assert.match(
    accepted.error!,
    /a privileged Pod in namespace default is accepted, though the policy has been active/,
  );

  refuse = () => true;
  const harmless = await check((id) => activate(id, true));
  assert.match(harmless.error!, /a harmless Pod in namespace default was refused/);

  refuse = privileged;
  await client.create(NAMESPACES, {
    metadata: { name: "restricted", labels: { "pod-security.kubernetes.io/enforce": "restricted" } },
  } as Any);
  const other = await check((id) => activate(id, true), { namespace: "restricted" });
  assert.match(
    other.error!,
    /was refused, but not by a policy of this stack: .*violates PodSecurity.*set helmTest\.namespace to/,
  );
});

real(
  "another policy that refuses the same Pods: of two the API server names either, and the check takes both",
  async () => {
    const rules = [{ apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] }];
    refuse = privileged;
    await register("other", { failurePolicy: "Fail", rules });
    const both = await check((id) => activate(id, true));
    assert.is(both.error, undefined);
    const other = await check((id) => activate(id, false), { enforcedWithinMs: 0 });
    assert.is(other.error, undefined);
    assert.match(other.lines[1]!, /kw\.cap\.other.*\(by another policy than the test's/);
    refuse = (pod, path) => path.includes("/other") || privileged(pod);
    const all = await check((id) => activate(id, true));
    assert.is(all.error, undefined);
    assert.match(all.lines[2]!, /not refused by the test's policy, but by something else .*kw\.cap\.other/);
    await client.remove(VALIDATING, undefined, "kw.cap.other");
  },
);

real("from the process's flags: what it found, and the code to end with", async () => {
  const from = (...args: readonly string[]) => {
    const parsed = parseFlags([`--kubeconfig=${plane.kubeconfig}`, ...args]);
    if (parsed.kind !== "values") throw new Error(JSON.stringify(parsed));
    const settings = settingsFrom(parsed.values, {}, "kubewarden");
    if ("message" in settings) throw new Error(settings.message);
    const lines: string[] = [];
    const log = (_: string, message: string, fields: Any = {}) =>
      lines.push(`${message} ${fields.error ?? ""}`);
    const ended = runAdmissionCheck(parsed.values, settings, log);
    return { ended, lines };
  };
  const always = "--always-accept-admission-reviews-on-deployments-namespace";
  const own = from("--check-admission=m:1", "--check-admission-namespace=kubewarden", always);
  assert.is(await own.ended, 1);
  assert.match(own.lines[0]!, /every Pod of namespace kubewarden is accepted.*set helmTest\.namespace/);

  refuse = privileged;
  const good = from("--check-admission=m:1", always);
  const made = await until("the policy is made", async () => {
    const { items } = await client.list(POLICIES, undefined, {});
    return items[0];
  });
  assert.is((made as Any).spec.module, "m:1");
  await activate(made.metadata.name, true);
  assert.is(await good.ended, 0, good.lines.join());
});

test.run();
