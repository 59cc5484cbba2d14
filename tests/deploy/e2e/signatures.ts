/** Signature verification, by cosign's keys and annotations: on, off, and when it fails. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { COSIGN, COSIGN_MISSING, COSIGN_THERE } from "../../artifact/_cosign.ts";
import { NODE_ADDRESS } from "../../cluster/node/network.ts";
import { NODE_FOLDER } from "../../cluster/node/node.ts";
import { type Any, configMap, policyServer, privilegedPods } from "../_objects.ts";
import { sourceAuthorities, type Stack, until } from "../_stack.ts";
import { conditionSays, denied, rolledOut, serverLogs, serverPods, type Subject } from "./_steps.ts";

const SIGNED = "kubewarden/tests/pod-privileged:v0.2.5";
const UNSIGNED = "kubewarden/policies/pod-privileged:v1.0.10";

/** Signs the module with a new key; returns the public one. */
function sign(stack: Stack): string {
  const folder = join(NODE_FOLDER, "cosign");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const cosign = (...args: readonly string[]) =>
    stack.node.run(
      "env",
      `--chdir=${folder}`,
      `HOME=${folder}`,
      "COSIGN_PASSWORD=",
      "COSIGN_YES=true",
      `SSL_CERT_FILE=${stack.node.credential("ca.crt")}`,
      COSIGN,
      ...args,
    );
  cosign("generate-key-pair", "--output-key-prefix", "key");
  cosign(
    "sign",
    "--key",
    "key.key",
    "--use-signing-config=false",
    "--tlog-upload=false",
    "-a",
    "env=prod",
    `${NODE_ADDRESS}/${SIGNED}`,
  );
  return readFileSync(join(folder, "key.pub"), "utf8");
}

export const signatures: Subject = (test) => {
  if (!COSIGN_THERE) return void test.skip(`B-SSC: signatures (${COSIGN_MISSING})`);

  test("B-SSC: a server that verifies serves what is signed so, and says what is not; others don't ask", async ({ stack }) => {
    await stack.oneChart();
    stack.clean();
    const key = sign(stack);
    const wants = (env: string) =>
      JSON.stringify({ apiVersion: "v1", allOf: [{ kind: "pubKey", key, annotations: { env } }] });
    const scaffold = stack.reeve("scaffold", "verification-config");
    stack.apply(
      configMap("scaffolded", { "verification-config": scaffold }),
      configMap("signed", { "verification-config": wants("prod") }),
      configMap("signed-otherwise", { "verification-config": wants("thefail") }),
    );
    const server = (name: string, spec: Any = {}) =>
      policyServer(name, { sourceAuthorities: sourceAuthorities(stack.node), ...spec });
    const on = (name: string, module: string) =>
      privilegedPods({ policyServer: name, module: `registry://ghcr.io/${module}` }, `on-${name}`);
    stack.apply(
      on("verifies", SIGNED),
      on("refuses", SIGNED),
      on("refuses-unsigned", UNSIGNED),
      on("asks-nothing", UNSIGNED),
    );
    stack.apply(
      server("scaffolded", { verificationConfig: "scaffolded" }),
      server("verifies", { verificationConfig: "signed" }),
      server("refuses", { verificationConfig: "signed-otherwise" }),
      server("refuses-unsigned", { verificationConfig: "signed" }),
      server("asks-nothing"),
    );
    stack.active("cap", "on-verifies");
    stack.active("cap", "on-asks-nothing");
    rolledOut(stack, "policy-server-scaffolded");
    const logs = serverLogs(stack, "verifies");
    assert.match(logs, /verifying policy authenticity and integrity using sigstore/);
    assert.match(logs, /Local file checksum verification passed/);
    assert.not.match(serverLogs(stack, "asks-nothing"), /using sigstore/);

    await conditionSays(stack, "cap", "on-refuses", /Policy .kw\.cap\.on-refuses. cannot be verified/);
    await conditionSays(stack, "cap", "on-refuses-unsigned", /no signatures found/i);
    // Its container is started again and again, each time with an empty log.
    await until("the log says why", () => {
      const failed = serverLogs(stack, "refuses");
      return /Annotation not satisfied/.test(failed) && /policy cannot be verified/.test(failed);
    });
    const ready = serverPods(stack, "refuses").flatMap(({ status }) => status.containerStatuses ?? []);
    assert.not(ready.some((container: Any) => container.ready));
    await denied(stack);

    // What is in the ConfigMap counts from the moment it changes, and the old pod serves on while the new one refuses.
    stack.apply(configMap("signed", { "verification-config": wants("thefail") }));
    await conditionSays(stack, "cap", "on-verifies", /Policy .kw\.cap\.on-verifies. cannot be verified/);
    await denied(stack);
    stack.apply(configMap("signed", { "verification-config": wants("prod") }));
    await until("the new pods serve", () => {
      const pods = serverPods(stack, "verifies");
      return pods.length === 1 && (pods[0].status.containerStatuses ?? []).every(({ ready }: Any) => ready);
    });
    stack.active("cap", "on-verifies");
    stack.clean();
  });
};
