// The HTTPS contract of the controller's webhooks, its probes and metrics, mutual TLS, flags and environment: real servers on
// loopback, no cluster.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:http2";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FIELD_MANAGER } from "../../controller/render/names.ts";
import { kubeClient } from "../../kubernetes/apply/kube_client.ts";
import { createStores, type World } from "../../controller/apply/world.ts";
import { logLevel, parseFlags, settingsFrom } from "../../controller/render/flags.ts";
import { createMetrics } from "../../controller/render/metrics.ts";
import { AT_ONCE, type HttpListener } from "../../http/mod.ts";
import { parseBindAddress, startMetrics, startProbes } from "../../controller/serve/probes.ts";
import { startWebhookServer } from "../../controller/serve/webhook_server.ts";
import { defaultSettings } from "../../controller/types/settings.ts";
import { openTransport } from "../../kubernetes/apply/api_transport.ts";
import { type Authority, createAuthority, type KeyPair } from "../cluster/certificates.ts";

// deno-lint-ignore no-explicit-any
type Any = any;
type Context = {
  folder: string;
  authority: Authority;
  server: HttpListener;
  closed: HttpListener;
  client: KeyPair;
};
const test = suite<Context>("webhooks", {} as Context);
const VALIDATE = "/validate-policies-kubewarden-io-v1-clusteradmissionpolicy";
const MUTATE = "/mutate-policies-kubewarden-io-v1-clusteradmissionpolicy";

/** A world whose API server is not there. */
function lonelyWorld(): World {
  const transport = openTransport(
    "http://127.0.0.1:1",
    () => Promise.resolve({ headers: {}, tls: { rejectUnauthorized: true } }),
  );
  return {
    settings: { ...defaultSettings("kubewarden"), hostNetwork: true },
    client: kubeClient(transport, FIELD_MANAGER),
    stores: createStores(),
    now: Date.now,
    log: () => {},
    note: () => {},
  };
}

const world = lonelyWorld();
const metrics = createMetrics();

function call(
  { authority }: Context,
  server: HttpListener,
  path: string,
  body: string,
  more: { readonly contentType?: string; readonly client?: KeyPair } = {},
): Promise<{ status: number; json: Any }> {
  return new Promise((resolve, reject) => {
    const sent = request({
      host: "127.0.0.1",
      port: server.port,
      path,
      method: "POST",
      ca: authority.cert,
      ...(more.client === undefined ? {} : more.client),
      agent: new Agent({ keepAlive: false }),
      headers: { "content-type": more.contentType ?? "application/json" },
    }, (answer) => {
      let text = "";
      answer.on("data", (chunk) => text += chunk);
      answer.on("end", () => {
        const json = answer.statusCode === 200 ? JSON.parse(text) : text;
        resolve({ status: answer.statusCode!, json });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const policy = (spec: Any = {}) => ({
  apiVersion: "policies.kubewarden.io/v1",
  kind: "ClusterAdmissionPolicy",
  metadata: { name: "demo" },
  spec: {
    module: "m",
    mutating: false,
    policyServer: "default",
    rules: [{ apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] }],
    ...spec,
  },
});
const review = (request: Any, apiVersion = "admission.k8s.io/v1") =>
  JSON.stringify({
    apiVersion,
    kind: "AdmissionReview",
    request: { uid: "u-1", operation: "CREATE", ...request },
  });

test.before(async (context) => {
  const folder = context.folder = mkdtempSync(join(tmpdir(), "portreeve-webhooks-"));
  const authority = context.authority = await createAuthority("test");
  context.client = await authority.issue({ commonName: "api-server" });
  const pair = await authority.issue({ commonName: "127.0.0.1", dns: ["127.0.0.1"] });
  mkdirSync(join(folder, "client-ca"));
  writeFileSync(join(folder, "tls.crt"), pair.cert);
  writeFileSync(join(folder, "tls.key"), pair.key);
  writeFileSync(join(folder, "client-ca", "client-ca.crt"), authority.cert);
  const options = { port: 0, hostname: "127.0.0.1", certificates: folder };
  context.server = await startWebhookServer(world, metrics, { ...options, mutualTls: false });
  context.closed = await startWebhookServer(world, metrics, { ...options, mutualTls: true });
});
test.after(async ({ server, closed, folder }) => {
  await server.end(AT_ONCE);
  await closed.end(AT_ONCE);
  rmSync(folder, { recursive: true });
});

test("a refusal is a 200 whose Status says everything", async (context) => {
  const object = policy({ policyServer: "x" });
  const body = review({ operation: "UPDATE", object, oldObject: policy() }, "admission.k8s.io/v1beta1");
  const { status, json } = await call(context, context.server, VALIDATE, body);
  assert.is(status, 200);
  assert.equal(json, {
    apiVersion: "admission.k8s.io/v1beta1",
    kind: "AdmissionReview",
    response: {
      uid: "u-1",
      allowed: false,
      status: {
        status: "Failure",
        code: 422,
        reason: "Invalid",
        message:
          'ClusterAdmissionPolicy.policies.kubewarden.io "demo" is invalid: spec.policyServer: Forbidden: the field is immutable',
        details: {
          name: "demo",
          group: "policies.kubewarden.io",
          kind: "ClusterAdmissionPolicy",
          causes: [{
            reason: "FieldValueForbidden",
            message: "Forbidden: the field is immutable",
            field: "spec.policyServer",
          }],
        },
      },
    },
  });
});

test("what is allowed, what is defaulted, and DELETE", async (context) => {
  const allowed = await call(context, context.server, VALIDATE, review({ object: policy() }));
  assert.equal(allowed.json.response, { uid: "u-1", allowed: true, status: { code: 200 } });
  const defaulted = await call(context, context.server, MUTATE, review({ object: policy() }));
  assert.is(defaulted.json.response.patchType, "JSONPatch");
  assert.equal(JSON.parse(atob(defaulted.json.response.patch)), [
    { op: "add", path: "/metadata/finalizers", value: ["kubewarden.io/finalizer"] },
  ]);
  for (const path of [VALIDATE, MUTATE]) {
    const deleted = await call(
      context,
      context.server,
      path,
      review({ operation: "DELETE", oldObject: policy() }),
    );
    assert.equal(deleted.json.response, { uid: "u-1", allowed: true, status: { code: 200 } });
  }
});

test("bodies that are no review are refused in words", async (context) => {
  const cases: [string, string | undefined, number, RegExp][] = [
    ["{}", "text/plain", 400, /^contentType=text\/plain, expected application\/json$/],
    ["", undefined, 400, /^request body is empty$/],
    ["{", undefined, 400, /decode/],
    ["[]", undefined, 400, /no AdmissionReview/],
    ['{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', undefined, 400, /no request/],
    [review({ object: "x" }), undefined, 400, /no ClusterAdmissionPolicy/],
    [review({ object: { metadata: {}, spec: [] } }), undefined, 400, /no ClusterAdmissionPolicy/],
    [
      "x".repeat(7 * 1024 * 1024 + 1),
      undefined,
      413,
      /^request entity is too large; limit is 7340032 bytes$/,
    ],
  ];
  for (const [body, contentType, code, message] of cases) {
    const { status, json } = await call(
      context,
      context.server,
      VALIDATE,
      body,
      contentType === undefined ? {} : { contentType },
    );
    assert.is(status, 200);
    assert.is(json.response.allowed, false);
    assert.is(json.response.status.code, code);
    assert.match(json.response.status.message, message);
  }
  assert.is((await call(context, context.server, "/validate-nothing", "{}")).status, 404);
});

test("conditions that nobody can check are refused, not passed", async (context) => {
  const object = policy({ matchConditions: [{ name: "a", expression: "true" }] });
  const { json } = await call(context, context.server, VALIDATE, review({ object }));
  assert.is(json.response.allowed, false);
  assert.is(json.response.status.details.causes[0].reason, "InternalError");
  assert.match(
    json.response.status.message,
    /spec\.matchConditions: Internal error: cannot have the API server check/,
  );
});

test("on the host's network, ports that cannot work together are warned of", async (context) => {
  const server = (name: string, spec: Any = {}) => ({
    apiVersion: "policies.kubewarden.io/v1",
    kind: "PolicyServer",
    metadata: { name, uid: name, resourceVersion: "1" },
    spec: { image: "i", replicas: 1, ...spec },
  });
  world.stores.policyServers.put(server("first") as Any);
  const path = "/validate-policies-kubewarden-io-v1-policyserver";
  const warnings = async (object: Any): Promise<string[]> => {
    const { json } = await call(context, context.server, path, review({ object }));
    assert.is(json.response.allowed, true, json.response.status.message);
    return json.response.warnings ?? [];
  };
  const clash = await warnings(server("second", { replicas: 2 }));
  assert.is(clash.length, 4, JSON.stringify(clash));
  assert.match(clash[0]!, /^webhookPort 8443 is also webhookPort of PolicyServer "first"/);
  assert.match(clash[1]!, /^readinessProbePort 8081 is also readinessProbePort of PolicyServer "first"/);
  assert.match(clash[2]!, /^readinessProbePort 8081 is also the controller's health probe port/);
  assert.match(clash[3]!, /^2 replicas bind the same ports/);
  assert.equal(await warnings(server("second", { webhookPort: 9001, readinessProbePort: 9002 })), []);
  const apart = (labels: Any) => ({ topologyKey: "kubernetes.io/hostname", labelSelector: labels });
  const affinity = {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        apart({ matchLabels: { "app.kubernetes.io/component": "policy-server" } }),
        apart({
          matchExpressions: [{ key: "app.kubernetes.io/component", operator: "In", values: ["controller"] }],
        }),
      ],
    },
  };
  assert.equal(await warnings(server("second", { replicas: 3, affinity })), []);
  assert.is((await warnings(server("second", { webhookPort: 9443, readinessProbePort: 9002 }))).length, 1);
});

test("HTTP/2 is offered, and HTTP/1.1 stays", async (context) => {
  const body = review({ object: policy() });
  const session = connect(`https://127.0.0.1:${context.server.port}`, { ca: context.authority.cert });
  const offered = await new Promise<unknown>((resolve, reject) => {
    session.once("connect", (_, socket) => resolve((socket as TLSSocket).alpnProtocol));
    session.once("error", reject);
  });
  assert.is(offered, "h2");
  const send = (text: string) =>
    new Promise<{ status: number; json: Any }>((resolve, reject) => {
      const stream = session.request({
        ":method": "POST",
        ":path": VALIDATE,
        "content-type": "application/json",
      });
      let status = 0, answer = "";
      stream.on("response", (headers) => status = headers[":status"]!);
      stream.setEncoding("utf8").on("data", (chunk) => answer += chunk);
      stream.on("end", () => resolve({ status, json: JSON.parse(answer) }));
      stream.on("error", reject);
      stream.end(text);
    });
  const answers = await Promise.all(Array.from({ length: 20 }, () => send(body)));
  assert.ok(answers.every(({ status, json }) => status === 200 && json.response.allowed));
  const large = await send("x".repeat(7 * 1024 * 1024 + 1));
  assert.is(large.json.response.status.code, 413);
  // A connection that is open keeps its certificate; the next one gets the new one.
  const pair = await context.authority.issue({ commonName: "127.0.0.1", dns: ["127.0.0.1", "new"] });
  context.server.setTls({ ...pair, clientCas: undefined });
  assert.is((await send(body)).json.response.allowed, true);
  const next = connectTls({ host: "127.0.0.1", port: context.server.port, ca: context.authority.cert });
  await new Promise((resolve) => next.once("secureConnect", resolve));
  assert.match(next.getPeerCertificate().subjectaltname!, /new/);
  next.destroy();
  session.destroy();
  assert.is((await call(context, context.server, VALIDATE, body)).status, 200);
});

test("with mutual TLS a client without a certificate is not let in", async (context) => {
  const body = review({ object: policy() });
  const refused = await call(context, context.closed, VALIDATE, body).then(() => false, () => true);
  assert.ok(refused);
  const { json } = await call(context, context.closed, VALIDATE, body, { client: context.client });
  assert.is(json.response.allowed, true);
  const stranger = await (await createAuthority("other")).issue({ commonName: "x" });
  assert.ok(
    await call(context, context.closed, VALIDATE, body, { client: stranger }).then(() => false, () => true),
  );
});

test("probes say whether it is ready, and why not; metrics are Prometheus text", async () => {
  let problem: string | undefined = "the webhook server does not listen yet";
  const probes = await startProbes("127.0.0.1:0", () => {}, () => problem);
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${probes.port}${path}`);
    return [answer.status, await answer.text()] as const;
  };
  assert.equal(await get("/healthz"), [200, "ok"]);
  assert.is((await get("/readyz"))[0], 500);
  assert.match((await get("/readyz"))[1], /does not listen/);
  problem = undefined;
  assert.equal(await get("/readyz"), [200, "ok"]);
  assert.equal(await get("/readyz/readyz"), [200, "ok"]);
  assert.match((await get("/readyz?verbose"))[1], /\[\+\]readyz ok/);
  assert.is((await get("/other"))[0], 404);
  await probes.end(AT_ONCE);
  const server = await startMetrics("127.0.0.1:0", () => {}, () => metrics.text());
  const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
  assert.match(text, /^controller_runtime_webhook_requests_total\{code="200",webhook="\/validate-/m);
  assert.match(text, /^controller_runtime_webhook_latency_seconds_bucket\{.*le="\+Inf"\} \d+$/m);
  assert.match(text, /^certwatcher_read_certificate_total 2$/m);
  await server.end(AT_ONCE);
  for (const address of ["8081", "x", ":", ":99999"]) {
    assert.throws(() => parseBindAddress(address, "--flag"));
  }
  assert.equal(parseBindAddress("[::1]:8081", "--flag"), { hostname: "::1", port: 8081 });
});

test("flags as Go takes them", () => {
  const values = (...args: string[]) => {
    const parsed = parseFlags(args);
    assert.is(parsed.kind, "values");
    return (parsed as Any).values;
  };
  assert.is(values("-leader-elect")["leader-elect"], "true");
  assert.is(values("--leader-elect=false")["leader-elect"], "false");
  assert.is(values("--host-network", "false")["host-network"], "true", "a bool's value needs =");
  assert.is(values("--webhook-server-port", "1234")["webhook-server-port"], "1234");
  assert.is(
    values("stop", "--leader-elect")["leader-elect"],
    "false",
    "nothing is read after the first that is no flag",
  );
  assert.is(parseFlags(["--help"]).kind, "help");
  for (const args of [["--nope"], ["--leader-elect=maybe"], ["--webhook-server-port=x"], ["--kubeconfig"]]) {
    assert.is(parseFlags(args).kind, "problem", args.join(" "));
  }
  assert.is(logLevel("debug"), "debug");
  assert.is(logLevel("3"), "debug");
  assert.is(logLevel("loud"), undefined);
});

test("settings that cannot work are refused", () => {
  const settings = (args: string[], environment: Any = {}) =>
    settingsFrom((parseFlags(args) as Any).values, environment, "own") as Any;
  assert.is(settings(["--webhook-server-port=0"]).error, "port must be between 1 and 65535");
  assert.is(
    settings(["--host-network", "--enable-otel-sidecar"]).error,
    "--host-network and --enable-otel-sidecar are mutually exclusive",
  );
  const variable = "KUBEWARDEN_POLICY_SERVER_SERVICES_METRICS_PORT";
  assert.is(settings([], { [variable]: "x" }).message, "cannot parse env var as integer port");
  assert.is(settings([], { [variable]: "70000" }).message, "invalid env var port value");
  assert.is(settings([], { [variable]: "9100" }).metricsPort, 9100);
  assert.is(settings(["--policy-server-metrics-port=9200"], { [variable]: "9100" }).metricsPort, 9200);
  assert.is(settings([]).namespace, "own");
  assert.is(settings([]).controllerConfigMap, undefined);
  assert.is(settings(["--controller-configmap-name="]).controllerConfigMap, undefined);
  assert.is(settings(["--controller-configmap-name=c"]).controllerConfigMap, "c");
  assert.equal(settings(["--image-pull-secrets= a, ,b,"]).imagePullSecrets, ["a", "b"]);
  assert.equal(settings([], { OTEL_EXPORTER_OTLP_ENDPOINT: "e", OTHER: "o" }).otelEnvironment, {
    OTEL_EXPORTER_OTLP_ENDPOINT: "e",
  });
});

test.run();
