// The charts against a real API server: every object is taken by it without a warning, and what Helm finds in the cluster counts.
import { X509Certificate } from "node:crypto";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type ControlPlane, startControlPlane, until } from "../cluster/control_plane.ts";
import { type Call, caller, pathOf } from "./_api.ts";
import {
  type Any,
  type ChartName,
  CHARTS_FOLDER,
  CONTROLLER_CHARTS,
  helm,
  helmTest,
  keyOf,
  type Outcome,
  render,
} from "./_helm.ts";

const available = binariesFolder() !== undefined;
if (!available) test.skip(`charts in a cluster: ${HOW_TO_GET_BINARIES}`, () => {});
const real: typeof test = (available ? helmTest : test.skip) as typeof test;

let cluster: ControlPlane;
test.before(async () => {
  if (available) cluster = await startControlPlane();
});
test.after(async () => {
  await cluster?.stop();
});

const call: Call = (...args) => caller(cluster)(...args);
const get = async (path: string): Promise<Any> => (await call("GET", path)).body;

async function namespace(name: string, labels: { readonly [key: string]: string } = {}): Promise<void> {
  const { status } = await call("POST", "/api/v1/namespaces", { metadata: { name, labels } });
  assert.is(status, 201, name);
}

function run(...args: readonly string[]): Outcome {
  return helm(args, "", { KUBECONFIG: cluster.kubeconfig, HOME: cluster.folder });
}
const place = (chart: ChartName) => join(CHARTS_FOLDER, chart);
/** Runs Helm on a release; throws when it fails. */
function done(
  command: "install" | "upgrade",
  release: string,
  chart: ChartName,
  ...args: readonly string[]
): string {
  const { status, stdout, stderr } = run(command, release, place(chart), ...args);
  if (status !== 0) throw new Error(stderr);
  return stdout;
}
function refused(
  command: "install" | "upgrade",
  release: string,
  chart: ChartName,
  ...args: readonly string[]
): string {
  const { status, stderr } = run(command, release, place(chart), ...args);
  assert.not.equal(status, 0, `${release} was accepted`);
  return stderr;
}
function removed(release: string, ...args: readonly string[]): void {
  const { status, stderr } = run("uninstall", release, "--no-hooks", "--wait", "--timeout", "90s", ...args);
  assert.is(status, 0, stderr);
}
async function crdsReady(): Promise<void> {
  await until("the CRDs are served", async () => {
    const { status, body } = await call("GET", "/apis/policies.kubewarden.io/v1");
    return status === 200 && body.resources.some(({ name }: Any) => name === "policyservers");
  });
}

real("the CRDs are installed for what follows", async () => {
  await namespace("kubewarden", { "pod-security.kubernetes.io/warn": "privileged" });
  done("install", "kubewarden-crds", "portreeve-crds", "--namespace", "kubewarden");
  await crdsReady();
});

real("by default every pod keeps to the restricted Pod Security", async () => {
  await namespace("strict", { "pod-security.kubernetes.io/warn": "restricted" });
  const pods = CONTROLLER_CHARTS.flatMap(({ chart, release }) =>
    render(chart, { release, namespace: "strict", set: ["telemetry.metrics=true"] })
      .filter(({ kind }) => ["Deployment", "Job", "CronJob", "Pod"].includes(kind))
  );
  assert.is(pods.length, 10);
  const apply = (object: Any) =>
    call(
      "PATCH",
      `${pathOf(object)}?dryRun=All&fieldManager=test&force=true`,
      object,
      "application/apply-patch+yaml",
    );
  for (const object of pods) {
    const { status, warnings, body } = await apply(object);
    assert.is(status, 201, JSON.stringify(body));
    assert.equal(warnings, [], keyOf(object));
  }
  // The warning would be there: a pod that doesn't keep to it has one.
  const loose = structuredClone(pods.find(({ kind }) => kind === "Deployment"));
  loose.spec.template.spec.containers[0].securityContext = { privileged: true };
  assert.match((await apply(loose)).warnings.join(), /would violate PodSecurity/);
});

real("protect doesn't go back to monitor: the upgrade is refused with what to do", async () => {
  const on = ["--namespace", "kubewarden", "--set", "recommendedPolicies.enabled=true"];
  done("install", "kubewarden-defaults", "portreeve-defaults", ...on);
  done(
    "upgrade",
    "kubewarden-defaults",
    "portreeve-defaults",
    ...on,
    "--set",
    "recommendedPolicies.defaultPolicyMode=protect",
  );
  assert.match(
    refused("upgrade", "kubewarden-defaults", "portreeve-defaults", ...on),
    /in mode protect and can't go back to monitor\. Delete it first \(kubectl delete clusteradmissionpolicy /,
  );
  const policy = await get("/apis/policies.kubewarden.io/v1/clusteradmissionpolicies/no-privileged-pod");
  assert.is(policy.spec.mode, "protect");
});

real("host network: ports are compared with the PolicyServers that the cluster has", async () => {
  const where = ["--namespace", "kubewarden", "--set", "hostNetwork=true"];
  await call("PATCH", "/apis/policies.kubewarden.io/v1/policyservers/default", {
    spec: { webhookPort: 9443 },
  }, "application/merge-patch+json");
  assert.match(
    refused("install", "kubewarden-controller", "portreeve-controller", ...where),
    /ports\.webhook and spec\.webhookPort of PolicyServer "default" are both 9443/,
  );
  await call("PATCH", "/apis/policies.kubewarden.io/v1/policyservers/default", {
    spec: { webhookPort: null },
  }, "application/merge-patch+json");
});

real(
  "certificates are made once: an upgrade keeps them, and makes what is missing with the same authority",
  async () => {
    const where = ["--namespace", "kubewarden"];
    const secret = (name: string) => get(`/api/v1/namespaces/kubewarden/secrets/${name}`);
    const bundles = async () => {
      const root = "/apis/admissionregistration.k8s.io/v1";
      const own = "kubewarden-controller";
      const found = await Promise.all([
        get(`${root}/mutatingwebhookconfigurations/${own}-mutating-webhook-configuration`),
        get(`${root}/validatingwebhookconfigurations/${own}-validating-webhook-configuration`),
      ]);
      const all = found.flatMap(({ webhooks }) =>
        webhooks.map(({ clientConfig }: Any) => clientConfig.caBundle)
      );
      assert.is(all.length, 10);
      assert.is(new Set(all).size, 1);
      return Buffer.from(all[0], "base64").toString();
    };
    const pem = (data: Any, key: string) => Buffer.from(data[key], "base64").toString();

    const notes = done(
      "install",
      "kubewarden-controller",
      "portreeve-controller",
      ...where,
      "--set",
      "hostNetwork=true",
    );
    // The other chart finds the controller in the cluster.
    assert.match(
      refused(
        "upgrade",
        "kubewarden-defaults",
        "portreeve-defaults",
        ...where,
        "--set",
        "policyServer.webhookPort=9443",
      ),
      /ports\.webhook and policyServer\.webhookPort of PolicyServer "default" are both 9443/,
    );
    // Health probe and readiness probe have the same default: it works with several nodes, so it is said and not refused.
    assert.match(
      notes,
      /ports\.healthProbe and spec\.readinessProbePort of PolicyServer "default" are both 8081/,
    );
    const ca = (await secret("kubewarden-ca")).data;
    const server = (await secret("kubewarden-webhook-server-cert")).data;
    const client = (await secret("kubewarden-audit-scanner-client-cert")).data;
    assert.equal(Object.keys(ca).sort(), ["ca.crt", "ca.key"]);
    const authority = new X509Certificate(pem(ca, "ca.crt"));
    assert.is(authority.subject, "CN=kubewarden-controller-ca");
    assert.ok(authority.ca);
    assert.match(pem(ca, "ca.key"), /BEGIN EC PRIVATE KEY/);
    const host = "kubewarden-controller-webhook-service.kubewarden.svc";
    const leaf = new X509Certificate(pem(server, "tls.crt"));
    assert.equal([leaf.subject, leaf.subjectAltName], [`CN=${host}`, `DNS:${host}`]);
    const scanner = new X509Certificate(pem(client, "tls.crt"));
    assert.equal([scanner.subject, scanner.subjectAltName], ["CN=audit-scanner-client", undefined]);
    for (const [cert, days] of [[authority, 3650], [leaf, 365], [scanner, 365]] as const) {
      assert.ok(cert.verify(authority.publicKey), cert.subject);
      assert.is(Math.round((Date.parse(cert.validTo) - Date.parse(cert.validFrom)) / 86_400_000), days);
      assert.is(cert.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
    }
    assert.is(await bundles(), pem(ca, "ca.crt"));

    done("upgrade", "kubewarden-controller", "portreeve-controller", ...where, "--set", "replicas=2");
    assert.equal((await secret("kubewarden-ca")).data, ca);
    assert.equal((await secret("kubewarden-webhook-server-cert")).data, server);
    assert.equal((await secret("kubewarden-audit-scanner-client-cert")).data, client);

    const old = "-----BEGIN CERTIFICATE-----\nold\n-----END CERTIFICATE-----\n";
    await call("PATCH", "/api/v1/namespaces/kubewarden/secrets/kubewarden-ca", {
      stringData: { "old-ca.crt": old },
    }, "application/merge-patch+json");
    await call("DELETE", "/api/v1/namespaces/kubewarden/secrets/kubewarden-webhook-server-cert");
    done("upgrade", "kubewarden-controller", "portreeve-controller", ...where);
    assert.is(await bundles(), pem(ca, "ca.crt") + old);
    assert.is(pem((await secret("kubewarden-ca")).data, "old-ca.crt"), old);
    const again = (await secret("kubewarden-webhook-server-cert")).data;
    assert.not.equal(again, server);
    assert.ok(new X509Certificate(pem(again, "tls.crt")).verify(authority.publicKey));
    assert.equal((await secret("kubewarden-audit-scanner-client-cert")).data, client);

    await call("DELETE", "/api/v1/namespaces/kubewarden/secrets/kubewarden-ca");
    done("upgrade", "kubewarden-controller", "portreeve-controller", ...where);
    const next = new X509Certificate(pem((await secret("kubewarden-ca")).data, "ca.crt"));
    const leaves = await Promise.all(
      ["kubewarden-webhook-server-cert", "kubewarden-audit-scanner-client-cert"].map(secret),
    );
    for (const { data } of leaves) {
      assert.ok(
        new X509Certificate(pem(data, "tls.crt")).verify(next.publicKey),
      );
    }
  },
);

real(
  "certificates that others make: an upgrade leaves the bundles that the controller has written",
  async () => {
    const where = ["--namespace", "kubewarden", "--set", "certificates.create=false"];
    const path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/" +
      "kubewarden-controller-validating-webhook-configuration";
    // Helm removes what the release no longer has.
    const said = refused("upgrade", "kubewarden-controller", "portreeve-controller", ...where);
    assert.match(said, /certificates\.create: this release has made Secret "kubewarden-ca"/);
    const kept = /secret (.*) helm\.sh\/resource-policy=keep/.exec(said)![1]!.split(" ");
    assert.is(kept.length, 3, said);
    const at = (name: string) => `/api/v1/namespaces/kubewarden/secrets/${name}`;
    const before = await Promise.all(kept.map(async (name) => (await get(at(name))).data));
    for (const name of kept) {
      const annotations = { "helm.sh/resource-policy": "keep" };
      await call("PATCH", at(name), { metadata: { annotations } }, "application/merge-patch+json");
    }
    const quiet = done("upgrade", "kubewarden-controller", "portreeve-controller", ...where);
    assert.not.match(quiet, /WARNINGS/);
    assert.equal(await Promise.all(kept.map(async (name) => (await get(at(name))).data)), before);
    const bundle = Buffer.from(cluster.authority.cert).toString("base64");
    const { webhooks } = await get(path);
    const patch = webhooks.map((_: Any, index: number) => ({
      op: "add",
      path: `/webhooks/${index}/clientConfig/caBundle`,
      value: bundle,
    }));
    assert.is((await call("PATCH", path, patch, "application/json-patch+json")).status, 200);
    done("upgrade", "kubewarden-controller", "portreeve-controller", ...where, "--set", "replicas=2");
    for (const { clientConfig } of (await get(path)).webhooks) assert.is(clientConfig.caBundle, bundle);
    await call("DELETE", at("kubewarden-webhook-server-cert"));
    const notes = done("upgrade", "kubewarden-controller", "portreeve-controller", ...where);
    assert.match(notes, /certificates\.create=false names Secret "kubewarden-webhook-server-cert"/);
    done(
      "upgrade",
      "kubewarden-controller",
      "portreeve-controller",
      "--reset-values",
      "--namespace",
      "kubewarden",
    );
  },
);

real("what the values name and the namespace lacks is told in the notes", async () => {
  const notes = (...set: readonly string[]) =>
    done(
      "upgrade",
      "kubewarden-controller",
      "portreeve-controller",
      "--reset-values",
      "--namespace",
      "kubewarden",
      ...set.flatMap((one) => ["--set", one]),
    );
  const [, unasked = ""] = notes().split("WARNINGS");
  assert.is(unasked, "");
  const mTLS = ["mTLS.enable=true", "mTLS.configMapName=mtlscm"];
  assert.match(
    notes(...mTLS),
    /mTLS\.configMapName names ConfigMap "mtlscm", which namespace "kubewarden" doesn't have/,
  );
  await call("POST", "/api/v1/namespaces/kubewarden/configmaps", {
    metadata: { name: "mtlscm" },
    data: { ca: "x" },
  });
  assert.match(notes(...mTLS), /ConfigMap "mtlscm", which has no key "client-ca\.crt"/);
  assert.match(notes("imagePullSecrets={pull}"), /imagePullSecrets names Secret "pull", which/);
  assert.match(notes("auditScanner.serviceAccountName=own"), /ServiceAccount "own", which/);
  assert.match(
    notes(
      "telemetry.mode=custom",
      "telemetry.metrics=true",
      "telemetry.custom.endpoint=https://c:1",
      "telemetry.custom.otelCollectorCertificateSecret=otel",
    ),
    /telemetry\.custom\.otelCollectorCertificateSecret names Secret "otel"/,
  );
});

real("a second installation is refused with the first one's name", async () => {
  await namespace("other");
  for (const { chart, release } of CONTROLLER_CHARTS) {
    assert.match(
      refused("install", release, chart, "--namespace", "other"),
      /this cluster has a controller already: Deployment "kubewarden-controller" in namespace "kubewarden" \(release "kubewarden-controller"\)/,
    );
  }
});

real(
  "host network in a namespace whose Pod Security forbids it is refused with the label to set",
  async () => {
    await namespace("restricted", { "pod-security.kubernetes.io/enforce": "restricted" });
    removed("kubewarden-controller", "--namespace", "kubewarden");
    for (const name of ["ca", "webhook-server-cert", "audit-scanner-client-cert"]) {
      await call("DELETE", `/api/v1/namespaces/kubewarden/secrets/kubewarden-${name}`);
    }
    const said = refused(
      "install",
      "kubewarden-controller",
      "portreeve-controller",
      "--namespace",
      "restricted",
      "--set",
      "hostNetwork=true",
    );
    assert.match(said, /namespace "restricted" enforces the Pod Security level restricted/);
    assert.match(
      said,
      /kubectl label --overwrite namespace restricted pod-security\.kubernetes\.io\/enforce=privileged/,
    );
  },
);

real("a namespace that is being deleted is named, with the command that waits for it", async () => {
  await namespace("going");
  // Nobody empties it here, so it stays as it is.
  await call("DELETE", "/api/v1/namespaces/going");
  for (const chart of ["portreeve-controller", "portreeve-defaults", "portreeve"] as const) {
    assert.match(
      refused("install", "going", chart, "--namespace", "going"),
      /namespace "going" is being deleted, .*kubectl wait --for=delete namespace\/going/,
    );
  }
});

real(
  "a second release in the namespace of the first is refused, with the script that moves one",
  async () => {
    await namespace("twice");
    done("install", "kubewarden-controller", "portreeve-controller", "--namespace", "twice");
    for (const { chart } of CONTROLLER_CHARTS) {
      assert.match(
        refused("install", "second", chart, "--namespace", "twice"),
        /this namespace has a controller already: Deployment "kubewarden-controller" of release "kubewarden-controller"\..*deploy\/scripts\/portreeve-move-charts\.sh/,
      );
    }
    removed("kubewarden-controller", "--namespace", "twice");
  },
);

real(
  "the webhook's certificate of a release of another name is made anew, by the same authority",
  async () => {
    const secret = (name: string) => get(`/api/v1/namespaces/twice/secrets/${name}`);
    done("install", "kubewarden-controller", "portreeve-controller", "--namespace", "twice");
    const [ca, client] = [
      await secret("kubewarden-ca"),
      await secret("kubewarden-audit-scanner-client-cert"),
    ];
    const scale = "/apis/apps/v1/namespaces/twice/deployments/kubewarden-controller/scale";
    await call("PATCH", scale, { spec: { replicas: 0 } }, "application/merge-patch+json");
    done(
      "install",
      "renamed-kubewarden-controller",
      "portreeve-controller",
      "--namespace",
      "twice",
      "--take-ownership",
    );
    const leaf = new X509Certificate(
      Buffer.from((await secret("kubewarden-webhook-server-cert")).data["tls.crt"], "base64"),
    );
    assert.is(leaf.subjectAltName, "DNS:renamed-kubewarden-controller-webhook-service.twice.svc");
    assert.ok(leaf.verify(new X509Certificate(Buffer.from(ca.data["ca.crt"], "base64")).publicKey));
    assert.equal((await secret("kubewarden-ca")).data, ca.data);
    assert.equal((await secret("kubewarden-audit-scanner-client-cert")).data, client.data);
    removed("renamed-kubewarden-controller", "--namespace", "twice");
    await call("DELETE", "/apis/apps/v1/namespaces/twice/deployments/kubewarden-controller");
  },
);

real("values that an older CRD would drop are refused", async () => {
  const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/policyservers.policies.kubewarden.io";
  const crd = await get(path);
  const version = crd.spec.versions.findIndex(({ name }: Any) => name === "v1");
  const at = `/spec/versions/${version}/schema/openAPIV3Schema/properties/spec/properties/webhookPort`;
  const { status } = await call("PATCH", path, [{ op: "remove", path: at }], "application/json-patch+json");
  assert.is(status, 200);
  assert.match(
    refused(
      "upgrade",
      "kubewarden-defaults",
      "portreeve-defaults",
      "--namespace",
      "kubewarden",
      "--set",
      "policyServer.webhookPort=64005",
    ),
    /policyServer\.webhookPort: .*policyservers\.policies\.kubewarden\.io is of an older version and would drop it\. Upgrade the chart with the CRDs first/,
  );
});

/** A cluster in which nothing is installed yet, with the namespace `kubewarden`. */
async function freshCluster(): Promise<void> {
  await cluster.stop();
  cluster = await startControlPlane();
  await namespace("kubewarden");
}
const CRDS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const liveCrds = async (): Promise<string[]> =>
  (await get(CRDS_PATH)).items
    .filter(({ metadata }: Any) => metadata.deletionTimestamp === undefined)
    .map(({ metadata }: Any) => metadata.name);

real("one chart: installed at once, and when it is removed the CRDs of policies stay", async () => {
  await freshCluster();
  const where = ["--namespace", "kubewarden"];
  const notes = done("install", "admission-controller", "portreeve", ...where);
  assert.match(notes, /PolicyServer "default" serves every policy/);
  await crdsReady();
  assert.is((await liveCrds()).length, 7);
  removed("admission-controller", ...where);
  const left = await liveCrds();
  assert.is(left.length, 5);
  assert.ok(left.every((name) => name.endsWith(".policies.kubewarden.io")), left.join());
  // The same release takes them up again.
  done("install", "admission-controller", "portreeve", ...where);
  assert.is((await liveCrds()).length, 7);
});

test.run();
