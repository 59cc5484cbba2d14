/** Mutual TLS: webhooks answer the API server and the audit scanner, and nobody without a certificate that they trust. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { NODE_FOLDER } from "../../cluster/node/node.ts";
import { configMap, NAMESPACE, policyServer, privilegedPods } from "../_objects.ts";
import { type Stack, until } from "../_stack.ts";
import { accepted, denied, remove, rolledOut, serverLogs, type Subject } from "./_steps.ts";

const ENDPOINTS = [
  ["admission-controller-webhook-service", "/validate-policies-kubewarden-io-v1-policyserver"],
  ["policy-server-default", "/validate"],
  ["policy-server-mtls-pserver", "/validate"],
] as const;
const LOADED = /certs: Loaded client CA certificates client_ca_certs_added=[1-9]/;

/** Where a Service answers, and the files of the stack's authority and of a client's certificate. */
function places(stack: Stack, service: string, certificate: string | undefined) {
  const { spec: { clusterIP } } = stack.get("service", service, NAMESPACE);
  const ca = join(NODE_FOLDER, "kubewarden-ca.crt");
  const { data } = stack.get("secret", "kubewarden-ca", NAMESPACE);
  writeFileSync(ca, Buffer.from(data["ca.crt"], "base64"));
  const client = certificate === undefined ? [] : [
    "--cert",
    stack.node.credential(`${certificate}.crt`),
    "--key",
    stack.node.credential(`${certificate}.key`),
  ];
  return { clusterIP, ca, client, host: `${service}.${NAMESPACE}.svc` };
}

/** Whether a Service's port 443 answers curl, with whatever status. */
function answers(stack: Stack, service: string, path: string, certificate?: string): boolean {
  const { clusterIP, ca, client, host } = places(stack, service, certificate);
  const resolve = `${host}:443:${clusterIP}`;
  const quiet = ["--silent", "--output", "/dev/null", "--cacert", ca, "--resolve", resolve];
  try {
    stack.node.run("curl", ...quiet, ...client, `https://${host}${path}`);
    return true;
  } catch {
    return false;
  }
}

/**
 * The alert with which a Service ends a connection. Asked by a client that sends nothing: one that has begun to send when the server
 * ends the connection may not come to read why.
 */
function alert(stack: Stack, service: string, certificate?: string): string {
  const { clusterIP, ca, client, host } = places(stack, service, certificate);
  const own = client.map((part) => part.replace(/^--/, "-"));
  return stack.refused(() =>
    stack.node.run(
      "timeout",
      "30",
      "openssl",
      "s_client",
      "-connect",
      `${clusterIP}:443`,
      "-servername",
      host,
      "-CAfile",
      ca,
      "-verify_return_error",
      "-ign_eof",
      ...own,
    )
  );
}

export const mutualTls: Subject = (test) => {
  test("B-MTL: with mutual TLS only clients with a certificate of the named authority are answered", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    const authority = readFileSync(stack.node.credential("webhook-client-ca.crt"), "utf8");
    stack.apply(configMap("mtlscm", { "client-ca.crt": authority }));
    await stack.oneChart({ mTLS: { enable: true, configMapName: "mtlscm" } });
    stack.apply(policyServer("mtls-pserver"));
    await until("its Deployment", () => stack.get("deployment", "policy-server-mtls-pserver", NAMESPACE));
    rolledOut(stack, "policy-server-mtls-pserver");
    stack.apply(privilegedPods());
    stack.active("cap", "privileged-pods");
    for (const server of ["default", "mtls-pserver"]) assert.match(serverLogs(stack, server), LOADED, server);
    for (const [service, path] of ENDPOINTS) {
      await until(
        `${service} answers the API server's certificate`,
        () => answers(stack, service, path, "webhook-client"),
      );
      // TLS 1.3's own alert, which says what is missing, and no mere end of the connection.
      assert.match(alert(stack, service), /alert certificate required/, service);
      // The node's authority signed this one, which webhooks have no reason to trust. Node and Bun look at a certificate when the
      // handshake is through, and then have no alert to send: the connection just ends, unanswered.
      assert.match(
        alert(stack, service, "admin.client"),
        /alert (unknown ca|bad certificate|certificate unknown)|unexpected eof/,
        service,
      );
      assert.not(answers(stack, service, path, "admin.client"), service);
    }
    // The API server is let in, and so is the scanner.
    await denied(stack);
    await accepted(stack);
    stack.kubectl("create", "job", "--from=cronjob/audit-scanner", "mtls-audit", "-n", NAMESPACE);
    stack.kubectl("wait", "--for=condition=Complete", "job/mtls-audit", "-n", NAMESPACE, "--timeout=240s");
    const logs = stack.node.kubectl("logs", "-n", NAMESPACE, "job/mtls-audit");
    assert.not.match(logs, /"level":"error"/);
    remove(stack, "job", "mtls-audit", "-n", NAMESPACE);
  });

  test("B-MTL: without it clients need none again", async ({ stack }) => {
    await stack.oneChart();
    rolledOut(stack, "policy-server-mtls-pserver");
    for (const [service, path] of ENDPOINTS) {
      await until(`${service} answers whoever asks`, () => answers(stack, service, path));
    }
    for (const server of ["default", "mtls-pserver"]) {
      // The pods of before are there until they have ended.
      await until(`${server} asks for no certificate`, () => !LOADED.test(serverLogs(stack, server)));
    }
    await denied(stack);
    stack.clean();
  });
};
