/**
 * Serves the sample policies on https://localhost:8443 with a certificate made for the occasion, and says what to try.
 *
 * usage: serve.ts [--runtime node|bun] [policy server flags ...]
 */
import "../program/check_script.ts";
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { loadX509, stringifyYaml } from "../deps.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const home = join(root, ".cache", "demo");
const PORT = 8443, READINESS_PORT = 8081;

/** Settings with which the samples have something to say. */
const SETTINGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "required-labels": { settings: { required: ["owner"] } },
  "default-seccomp": { allowedToMutate: true },
  "raw-quota": {
    allowedToMutate: true,
    settings: { quotas: { "team-shop": { "gpu-hours": 10 } }, on_excess: "cap" },
  },
};

async function makeCertificate(): Promise<{ cert: string; key: string }> {
  const x509 = await loadX509();
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as CryptoKeyPair;
  const day = 24 * 3600 * 1000;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=localhost",
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 30 * day),
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: "dns", value: "localhost" },
        { type: "ip", value: "127.0.0.1" },
      ]),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    cert: `${certificate.toString("pem")}\n`,
    key: `${x509.PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`,
  };
}

function samplePolicies(): Readonly<Record<string, unknown>> {
  const names = readdirSync(join(root, "policies"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== "target").map((entry) => entry.name).sort();
  return Object.fromEntries(names.map((name) => {
    const module = pathToFileURL(join(root, "policies", name, "policy.wasm")).href;
    return [name, { module, ...SETTINGS[name] }];
  }));
}

async function ready(): Promise<void> {
  for (;;) {
    const status = await new Promise<number | undefined>((resolve) => {
      get({ host: "127.0.0.1", port: READINESS_PORT, path: "/readiness" }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on("error", () => resolve(undefined));
    });
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const args = process.argv.slice(2);
const runtimeAt = args.indexOf("--runtime");
const runtime = runtimeAt < 0
  ? process.execPath
  : join(root, "node_modules/.bin", args.splice(runtimeAt, 2)[1]!);
mkdirSync(home, { recursive: true });
const { cert, key } = await makeCertificate();
writeFileSync(join(home, "tls.crt"), cert);
writeFileSync(join(home, "tls.key"), key, { mode: 0o600 });
writeFileSync(join(home, "policies.yml"), stringifyYaml(samplePolicies()));

const flags = [
  ["--addr", "127.0.0.1"],
  ["--port", String(PORT)],
  ["--readiness-probe-port", String(READINESS_PORT)],
  ["--policies", join(home, "policies.yml")],
  ["--cert-file", join(home, "tls.crt")],
  ["--key-file", join(home, "tls.key")],
].flat();
const server = spawn(runtime, [join(root, "dist", "policy_server.js"), ...flags, ...args], {
  stdio: "inherit",
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => server.kill(signal));
server.on("exit", (code) => process.exit(code ?? 1));
await ready();
const curl = (policy: string, request: string) =>
  `  curl -s --cacert ${
    relative(process.cwd(), join(home, "tls.crt"))
  } https://localhost:${PORT}/validate/${policy} \\\n` +
  `    -H 'Content-Type: application/json' -d @${
    relative(process.cwd(), join(root, "policies", policy, "requests", request))
  }`;
console.log(`
Ready: policies ${
  Object.keys(samplePolicies()).join(", ")
} on https://localhost:${PORT}, metrics on http://localhost:${READINESS_PORT}/metrics.

A request that is rejected:
${curl("pod-privileged", "privileged.json")}

A request that is mutated:
${curl("default-seccomp", "no-context.json")}

Stop with Ctrl-C.`);
