// That every program follows its kubeconfig.
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import * as assert from "uvu/assert";
import { freePorts, until } from "../cluster/control_plane.ts";
import { hostCallRequest, policy } from "../cli/folder.ts";
import { bundleFile } from "../programs.ts";
import { config, put } from "./kubeconfig_file.ts";
import { besideKubectl, cluster, type Environment, seen } from "./kubectl.ts";

besideKubectl("programs", (test) => {
  test("all programs are who the file says, by the way that it says", async (context) => {
    const { proxies: { socks }, tokens: { a }, plane } = context;
    put(context, `${a}\n`, "programs/token.txt");
    const file = put(
      context,
      config(
        cluster(
          context,
          { "proxy-url": `socks5://127.0.0.1:${socks.port}`, "tls-server-name": "127.0.0.1" },
          "api.test",
        ),
        {
          tokenFile: "token.txt",
          as: "jane",
          "as-groups": ["dev", "ops"],
        },
      ),
      "programs/config",
    );
    const says = /User "jane" cannot (?:get|list|watch|create|patch)/;
    const module = policy("tests/policies/host-caller/policy.wasm");
    const get = {
      namespace: "kubernetes",
      operation: "get_resource",
      payload: { api_version: "v1", kind: "Namespace", name: "default" },
    };
    const request = put(context, hostCallRequest(get), "programs/request.json");
    const granted = put(context, {
      apiVersion: "policies.kubewarden.io/v1",
      kind: "ClusterAdmissionPolicy",
      metadata: { name: "a" },
      spec: {
        module: `file://${module}`,
        mutating: false,
        rules: [],
        contextAwareResources: [{ apiVersion: "v1", kind: "Namespace" }],
      },
    }, "programs/policy.json");
    const policies = put(context, {
      a: {
        module: `file://${module}`,
        hostCapabilities: ["*"],
        contextAwareResources: [{ apiVersion: "v1", kind: "Namespace" }],
      },
    }, "programs/policies.yml");
    const certificates = join(context.folder, "serving");
    const { cert, key } = await plane.authority.issue({ commonName: "127.0.0.1", dns: ["127.0.0.1"] });
    put(context, cert, "serving/tls.crt");
    put(context, key, "serving/tls.key");
    const [webhooks, probes, serving, readiness] = await freePorts(4) as [number, number, number, number];
    const programs: readonly (readonly [string, readonly string[], Environment])[] = [
      ["reeve", [bundleFile("reeve"), "run", granted, "-r", request], { KUBECONFIG: file }],
      ["audit", [bundleFile("audit"), "--disable-store"], { KUBECONFIG: file }],
      ["controller", [
        bundleFile("controller"),
        "--deployments-namespace=kubewarden",
        `--kubeconfig=${file}`,
        `--webhook-server-port=${webhooks}`,
        `--health-probe-bind-address=127.0.0.1:${probes}`,
        "--metrics-bind-address=0",
      ], { PORTREEVE_WEBHOOK_CERTIFICATES: certificates }],
      ["policy server", [
        bundleFile("policy_server"),
        "--policies",
        policies,
        "--addr",
        "127.0.0.1",
        "--port",
        String(serving),
        "--readiness-probe-port",
        String(readiness),
      ], { KUBECONFIG: file }],
    ];
    seen(context);
    for (const [name, args, env] of programs) {
      const child = spawn(process.execPath, args, {
        cwd: context.folder,
        stdio: ["ignore", "pipe", "pipe"],
        env: { PATH: process.env["PATH"], HOME: context.folder, HTTPS_PROXY: "http://127.0.0.1:1", ...env },
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (part: string) => output += part.replaceAll("\\", ""));
      }
      const ended = new Promise((resolve) => child.once("close", resolve));
      try {
        if (name === "policy server") {
          await until(
            `${name} is ready`,
            async () =>
              await fetch(`http://127.0.0.1:${readiness}/readiness`).then(({ ok }) => ok, () => false),
          );
          const review = {
            apiVersion: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            request: hostCallRequest(get),
          };
          const answer = await fetch(`http://127.0.0.1:${serving}/validate/a`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(review),
          });
          output += (await answer.text()).replaceAll("\\", "");
        } else {
          await until(`${name} says who it is`, () => says.test(output)).catch(() => {});
        }
        assert.match(output, says, `${name}: ${output}`);
      } finally {
        child.kill("SIGTERM");
        await ended;
      }
      assert.is(seen(context), `socks: SOCKS api.test:${context.port}`, name);
    }
  });
});
