// Certificates: what is damaged is issued anew, what runs out is rotated, and a client that keeps calling a policy server while the
// authority and the leaf change meets not one TLS failure.
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { decode, encode } from "../../controller/apply/authority.ts";
import {
  authorityProblem,
  createAuthority,
  issueLeaf,
  leafProblem,
  RENEW_BEFORE_MS,
} from "../../controller/apply/certificates.ts";
import type { Controller } from "../../controller/serve/controller.ts";
import { AT_ONCE, listen } from "../../http/mod.ts";
import { SECRETS, VALIDATING } from "../../controller/types/resources.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, certificateFolder, type Harness, NAMESPACE, startHarness, until } from "./harness.ts";
import { type Player, startPlayer } from "./player.ts";

const DAY = 86_400_000;
const HOST = `policy-server-rotating.${NAMESPACE}.svc`;

const pure = suite("certificates");
pure("an authority and its leaves are good until 60 days before their end, and no longer", async () => {
  const now = Date.now();
  const authority = await createAuthority(now);
  assert.match(authority.key, /^-----BEGIN EC PRIVATE KEY-----/);
  assert.is(authorityProblem(authority.cert, authority.key, now + 3649 * DAY), undefined);
  assert.ok(authorityProblem(authority.cert, authority.key, now + 3651 * DAY));
  const leaf = await issueLeaf(authority, { commonName: HOST, host: HOST }, now);
  assert.is(leafProblem(leaf, authority.cert, HOST, now + 304 * DAY + RENEW_BEFORE_MS), undefined);
  assert.ok(leafProblem(leaf, authority.cert, HOST, now + 306 * DAY + RENEW_BEFORE_MS));
  assert.ok(leafProblem(leaf, authority.cert, "other.svc", now));
  const other = await createAuthority(now);
  assert.ok(leafProblem(leaf, other.cert, HOST, now), "signed by another authority");
  assert.ok(authorityProblem(authority.cert, other.key, now), "another's key");
  const pkcs8 = authority.key.replaceAll("EC PRIVATE", "PRIVATE");
  assert.match(authorityProblem(authority.cert, pkcs8, now)!, /expected 'EC PRIVATE KEY'/);
  for (const junk of ["", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) {
    assert.ok(authorityProblem(junk, authority.key, now));
    assert.ok(leafProblem({ cert: junk, key: leaf.key }, authority.cert, HOST, now));
    assert.ok(leafProblem({ cert: leaf.cert, key: junk }, authority.cert, HOST, now));
    assert.ok(leafProblem(leaf, junk, HOST, now));
  }
});
pure.run();

type Context = { harness: Harness; player: Player; controller: Controller };
const test = suite<Context>("rotation", {} as Context);
/** The controller's clock beside the real one. It begins in the past, so that what it issues later is valid today. */
let clock = -3595 * DAY;

const secret = ({ client }: Harness, name: string) =>
  client.get<Any>(SECRETS, NAMESPACE, name).catch(() => undefined);

if (binariesFolder() === undefined) {
  test.skip(`rotation in a cluster (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    const harness = context.harness = await startHarness();
    context.player = await startPlayer(harness.plane.admin, NAMESPACE);
    context.controller = await harness.startController({}, { now: () => Date.now() + clock });
    const rules = [{ apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] }];
    const apiVersion = "policies.kubewarden.io/v1";
    await harness.create({
      apiVersion,
      kind: "PolicyServer",
      metadata: { name: "rotating" },
      spec: { image: "i", replicas: 1 },
    });
    await harness.create({
      apiVersion,
      kind: "ClusterAdmissionPolicy",
      metadata: { name: "rotating" },
      spec: { module: "m", mutating: false, rules, policyServer: "rotating" },
    });
    // One of the charts' own webhooks, which the rotation has to keep up to date too.
    await harness.client.create(VALIDATING, {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: "of-the-charts", labels: { "app.kubernetes.io/part-of": "kubewarden" } },
      webhooks: [{
        name: "charts.kubewarden.io",
        clientConfig: { service: { name: "x", namespace: NAMESPACE } },
        rules: [{ apiGroups: ["x.invalid"], apiVersions: ["v1"], operations: ["CREATE"], resources: ["x"] }],
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
      }],
    } as Any);
    await until(
      "the webhook exists",
      () => harness.client.get(VALIDATING, undefined, "kw.cap.rotating").then(() => true, () => false),
    );
  });
  test.after(async ({ harness, player }) => {
    await player?.stop();
    await harness?.stop();
  });

  const bundle = async ({ client }: Harness, name: string): Promise<string> =>
    decode((await client.get<Any>(VALIDATING, undefined, name)).webhooks[0].clientConfig.caBundle);

  test("what was damaged or deleted is issued anew and trusted everywhere", async ({ harness }) => {
    const { client } = harness;
    const good = async (name: string, host: string) => {
      const [ca, leaf] = await Promise.all([secret(harness, "kubewarden-ca"), secret(harness, name)]);
      if (ca?.data["ca.crt"] === undefined || leaf?.data?.["tls.crt"] === undefined) return false;
      const pair = { cert: decode(leaf.data["tls.crt"]), key: decode(leaf.data["tls.key"]) };
      return leafProblem(pair, decode(ca.data["ca.crt"]), host, Date.now() + clock) === undefined;
    };
    await until("all is well at first", () => good("policy-server-rotating", HOST));
    await client.patch(SECRETS, NAMESPACE, "policy-server-rotating", "merge", {
      data: { "tls.crt": encode("junk") },
    });
    await until("an undecodable certificate is replaced", () => good("policy-server-rotating", HOST));
    await client.patch(SECRETS, NAMESPACE, "policy-server-rotating", "merge", {
      data: { "tls.key": encode("junk") },
    });
    await until("an undecodable key is replaced", () => good("policy-server-rotating", HOST));
    const own = `kubewarden-controller-webhook-service.${NAMESPACE}.svc`;
    await client.remove(SECRETS, NAMESPACE, "kubewarden-webhook-server-cert");
    await until(
      "the controller's own certificate returns",
      () => good("kubewarden-webhook-server-cert", own),
    );
    for (const damage of ["junk", "deleted"]) {
      const before = (await secret(harness, "kubewarden-ca")).data["ca.crt"];
      if (damage === "deleted") await client.remove(SECRETS, NAMESPACE, "kubewarden-ca");
      else {await client.patch(SECRETS, NAMESPACE, "kubewarden-ca", "merge", {
          data: { "ca.crt": encode("junk"), "ca.key": null },
        });}
      await until(`${damage}: a new authority signs`, async () => {
        const now = (await secret(harness, "kubewarden-ca"))?.data?.["ca.crt"];
        return now !== undefined && now !== before && await good("policy-server-rotating", HOST) &&
          await good("kubewarden-webhook-server-cert", own);
      });
      await until(`${damage}: and is trusted`, async () => {
        const now = decode((await secret(harness, "kubewarden-ca")).data["ca.crt"]);
        return (await bundle(harness, "kw.cap.rotating")).includes(now.trim()) &&
          (await bundle(harness, "of-the-charts")).includes(now.trim());
      });
    }
  });

  test("authority and leaf rotate under a client that keeps calling", async ({ harness, controller }) => {
    const written = (await secret(harness, "policy-server-rotating")).data["tls.crt"];
    clock = -300 * DAY;
    controller.resync();
    await until(
      "a leaf that is valid today",
      async () => (await secret(harness, "policy-server-rotating")).data["tls.crt"] !== written,
    );
    const pair = async () => {
      const { data } = await secret(harness, "policy-server-rotating");
      return { cert: decode(data["tls.crt"]), key: decode(data["tls.key"]), clientCas: undefined };
    };
    const server = await listen({
      port: 0,
      host: "127.0.0.1",
      tls: await pair(),
      maxBodyBytes: 1024,
      handler: () => Promise.resolve({ status: 200, headers: {}, body: "ok" }),
    });
    let stopped = false;
    const failures: string[] = [];
    let calls = 0;
    /** Calls as the API server does: with the webhook configuration's bundle as it is at that time, a new connection each. */
    const client = (async () => {
      while (!stopped) {
        const ca = await bundle(harness, "kw.cap.rotating");
        await new Promise<void>((resolve) => {
          const sent = request({
            host: "127.0.0.1",
            port: server.port,
            ca,
            servername: HOST,
            checkServerIdentity: () => undefined,
            agent: new Agent({ keepAlive: false }),
          }, (answer) => {
            answer.resume();
            answer.on("end", resolve);
          });
          sent.on("error", (error) => {
            failures.push(String(error));
            resolve();
          });
          sent.end();
        });
        calls += 1;
      }
    })();
    /** What the kubelet and the policy server do: the new certificate is used a while after it was written. */
    let used = await pair();
    const reload = (async () => {
      while (!stopped) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        const now = await pair();
        if (now.cert !== used.cert) {
          await new Promise((resolve) => setTimeout(resolve, 300));
          server.setTls(now);
          used = now;
        }
      }
    })();
    const end = async () => {
      if (stopped) return;
      stopped = true;
      await Promise.all([client, reload]);
      await server.end(AT_ONCE);
    };
    const authorities = async () =>
      (await bundle(harness, "kw.cap.rotating")).match(/BEGIN CERTIFICATE/g)?.length;
    const authority = (await secret(harness, "kubewarden-ca")).data["ca.crt"];
    const first = (await pair()).cert;
    try {
      await until("the client calls", () => calls > 20);
      // Now the authority has 55 days left: it is replaced, and with it the leaf, while the old leaf is still in use.
      clock = 0;
      controller.resync();
      await until("the leaf is signed by a new authority", async () => (await pair()).cert !== first);
      assert.is((await secret(harness, "kubewarden-ca")).data["old-ca.crt"], authority);
      await until("the server uses it", () => used.cert !== first);
      const then = calls;
      await until("the client has called on", () => calls > then + 20);
    } finally {
      await end();
    }
    assert.equal(failures, [], `${calls} calls`);
    console.log(`\n${calls} calls over a rotation of the authority and the leaf, 0 TLS failures`);

    await until("both are trusted", async () => await authorities() === 2);
    assert.ok((await bundle(harness, "of-the-charts")).includes(decode(authority).trim()));
    controller.resync();
    await controller.idle();
    assert.is(await authorities(), 2, "the policy's own reconcile keeps both");
    clock = 100 * DAY;
    controller.resync();
    await until("the old one is dropped when it has ended", async () => await authorities() === 1);
    assert.is((await secret(harness, "kubewarden-ca")).data["old-ca.crt"], undefined);
    assert.ok(!(await bundle(harness, "kw.cap.rotating")).includes(decode(authority).trim()));
  });

  test("the controller's own server changes its certificate without refusing anybody", async ({ harness }) => {
    const folder = await certificateFolder(harness.plane, "own-1");
    const next = await certificateFolder(harness.plane, "own-2");
    const read = (from: string) => ({
      cert: readFileSync(`${from}/tls.crt`, "utf8"),
      key: readFileSync(`${from}/tls.key`, "utf8"),
      clientCas: undefined,
    });
    const server = await listen({
      port: 0,
      host: "127.0.0.1",
      tls: read(folder),
      maxBodyBytes: 10,
      handler: () => Promise.resolve({ status: 200, headers: {}, body: "x" }),
    });
    const serial = () =>
      new Promise<string>((resolve, reject) => {
        const sent = request({
          host: "127.0.0.1",
          port: server.port,
          ca: harness.plane.authority.cert,
          agent: new Agent({ keepAlive: false }),
        }, (answer) => {
          const { serialNumber } = (answer.socket as Any).getPeerCertificate?.() ?? {};
          answer.resume();
          answer.on("end", () => resolve(serialNumber ?? "unknown"));
        });
        sent.on("error", reject);
        sent.end();
      });
    const before = await serial();
    server.setTls(read(next));
    const after = await serial();
    if (before !== "unknown") assert.is.not(after, before);
    assert.throws(() => server.setTls({ cert: "junk", key: "junk", clientCas: undefined }));
    await serial();
    await server.end(AT_ONCE);
  });
}

test.run();
