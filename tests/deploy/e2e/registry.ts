/** Policies out of private registries: passwords, authorities, plain HTTP, a proxy. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { NODE_FOLDER } from "../../cluster/node/node.ts";
import { type Any, NAMESPACE, policyServer, privilegedPods } from "../_objects.ts";
import { sourceAuthorities, type Stack, until } from "../_stack.ts";
import { PASSWORD, type PrivateRegistry, startProxy, startRegistry, USER } from "./_registries.ts";
import { conditionSays, denied, podSpec, rolledOut, type Subject } from "./_steps.ts";

const MODULE = "kubewarden/tests/pod-privileged:v0.2.5";
const SECRET = "private-registry";

/** As the original's suite has it: pulled into the store by its name, and pushed from there, with login and authority given. */
function fill(stack: Stack, { host, authority }: PrivateRegistry): void {
  const folder = join(NODE_FOLDER, `push-${host.split(":")[1]}`);
  mkdirSync(folder, { recursive: true });
  const auth = Buffer.from(`${USER}:${PASSWORD}`).toString("base64");
  writeFileSync(join(folder, "config.json"), JSON.stringify({ auths: { [host]: { auth } } }));
  writeFileSync(join(folder, "registry.pem"), authority ?? "");
  const sources = authority === undefined
    ? { insecure_sources: [host] }
    : { source_authorities: { [host]: [{ type: "Path", path: join(folder, "registry.pem") }] } };
  const file = join(folder, "sources.json");
  writeFileSync(file, JSON.stringify(sources));
  const policy = join(import.meta.dirname!, "../../../policies/pod-privileged/policy.wasm");
  stack.reeve(
    "push",
    policy,
    `registry://${host}/${MODULE}`,
    "--docker-config-json-path",
    folder,
    "--sources-path",
    file,
  );
}

const secret = (host: string): Any => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: SECRET, namespace: NAMESPACE },
  type: "kubernetes.io/dockerconfigjson",
  stringData: {
    ".dockerconfigjson": JSON.stringify({ auths: { [host]: { username: USER, password: PASSWORD } } }),
  },
});

export const registry: Subject = (test) => {
  let secured: PrivateRegistry;

  test("B-REG: a private registry by the chart's values, and back", async ({ stack }) => {
    secured = await startRegistry(stack.node, "private-registry", 30707);
    fill(stack, secured);
    await stack.oneChart();
    stack.clean();
    stack.apply(secret(secured.host));
    const sources = [
      { uri: "ghcr.io", certs: sourceAuthorities(stack.node)["ghcr.io"] },
      { uri: secured.host, certs: [secured.authority] },
    ];
    await stack.oneChart({ policyServer: { imagePullSecret: SECRET, sourceAuthorities: sources } });
    stack.apply(privilegedPods({ module: `registry://${secured.host}/${MODULE}` }));
    stack.active("cap", "privileged-pods");
    assert.is(stack.get("cap", "privileged-pods").status.policyStatus, "active");
    await denied(stack);
    stack.clean();
    await stack.oneChart();
    const names = podSpec(stack, "policy-server-default").volumes.map(({ name }: Any) => name);
    assert.not(names.includes("imagepullsecret"), names.join());
  });

  test("each PolicyServer its own: what is missing is said on the policy, and what is there serves", async ({ stack }) => {
    const plain = await startRegistry(stack.node, "plain-registry", 30708, { open: true });
    fill(stack, plain);
    const proxy = await startProxy(stack.node, "proxy", 30709);
    const authorities = { [secured.host]: [secured.authority] };
    const env = (address: string) => [{ name: "HTTPS_PROXY", value: address }];
    const whole = { imagePullSecret: SECRET, sourceAuthorities: authorities };
    const servers: readonly (readonly [name: string, spec: Any, host: string, fault?: RegExp])[] = [
      ["private", whole, secured.host],
      ["no-login", { sourceAuthorities: authorities }, secured.host, /not authorized/i],
      ["no-authority", { imagePullSecret: SECRET }, secured.host, /certificate/i],
      ["insecure", { insecureSources: [plain.host] }, plain.host],
      ["not-insecure", {}, plain.host, /TLS|SSL|https|insecure/i],
      // A registry with TLS whose certificate nobody checks.
      ["unchecked", { imagePullSecret: SECRET, insecureSources: [secured.host] }, secured.host],
      ["proxied", { ...whole, env: env(proxy) }, secured.host],
      // Nobody listens there.
      ["lost-proxy", { ...whole, env: env(proxy.replace(/\d+$/, "9")) }, secured.host, /proxy/i],
    ];
    // Policies first: they wait for their servers, which then start once.
    stack.apply(
      ...servers.map(([name, , host]) =>
        privilegedPods({ policyServer: name, module: `registry://${host}/${MODULE}` }, name)
      ),
    );
    stack.apply(...servers.map(([name, spec]) => policyServer(name, spec)));
    for (const [name, , host, fault] of servers) {
      if (fault === undefined) {
        stack.active("cap", name);
        continue;
      }
      const { message } = await conditionSays(stack, "cap", name, fault);
      assert.ok(message.includes(host), `${name}: ${message}`);
      assert.not(message.includes(PASSWORD), message);
    }
    await denied(stack);
    const asked = readFileSync(join(NODE_FOLDER, "logs/proxy"), "utf8");
    assert.ok(asked.includes(`CONNECT ${secured.host}`), asked);
    stack.clean();
  });

  test("a pull secret that goes with what used it: the server rolls on without it", async ({ stack }) => {
    stack.apply(policyServer("private", { imagePullSecret: SECRET }));
    await until("the server is there", () => stack.get("deployment", "policy-server-private", NAMESPACE));
    rolledOut(stack, "policy-server-private");
    stack.kubectl(
      "patch",
      "ps",
      "private",
      "--type=json",
      "-p",
      '[{"op":"remove","path":"/spec/imagePullSecret"}]',
    );
    stack.kubectl("delete", "secret", SECRET, "-n", NAMESPACE);
    await until(
      "the Secret is no longer mounted",
      () => !JSON.stringify(podSpec(stack, "policy-server-private").volumes).includes(SECRET),
    );
    rolledOut(stack, "policy-server-private");
    stack.clean();
  });
};
