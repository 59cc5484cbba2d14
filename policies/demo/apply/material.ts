/** The folder of one run: policies, requests and a certificate that nobody else uses. */
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { loadX509, stringifyYaml } from "../../../deps.ts";
import { osErrorText } from "../../../program/render/os_error.ts";
import { POLICIES, SAMPLES } from "../types/demo.ts";

/** Beside the bundle (`build.ts` puts them there), else in the checkout. */
function samplesFolder(): string {
  const bundled = fileURLToPath(new URL("samples/", import.meta.url));
  return existsSync(bundled) ? bundled : fileURLToPath(new URL("../../", import.meta.url));
}

const DAY_MS = 24 * 3600 * 1000;

/** A certificate for this machine, and for `host` where that is one address. In PEM. */
async function makeCertificate(host: string): Promise<{ readonly cert: string; readonly key: string }> {
  const x509 = await loadX509();
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as CryptoKeyPair;
  const addresses = new Set(["127.0.0.1", "::1", ...isIP(host) === 0 ? [] : [host]]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=localhost",
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + 30 * DAY_MS),
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: "dns", value: "localhost" },
        ...[...addresses].map((value) => ({ type: "ip" as const, value })),
      ]),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    cert: `${certificate.toString("pem")}\n`,
    key: `${x509.PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`,
  };
}

/** The files of a run, by their whole paths. */
export interface Material {
  readonly folder: string;
  readonly policiesFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** The file of a sample's request. */
  requestFile(request: string): string;
  remove(): void;
}

/** Makes the folder. Throws an Error for the user when it can't. `host`: what the server binds to. */
export async function makeMaterial(host: string): Promise<Material> {
  const base = resolve(tmpdir());
  let folder: string;
  try {
    folder = mkdtempSync(join(base, "portreeve-"));
  } catch (error) {
    throw new Error(
      `cannot make a folder in ${base}: ${
        osErrorText(error)
      }; name one that can be written to with the variable ${
        process.platform === "win32" ? "TEMP" : "TMPDIR"
      }`,
    );
  }
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const samples = samplesFolder();
    const file = (name: string) => join(folder, name);
    const policies = Object.fromEntries(
      Object.entries(POLICIES).map(([name, settings]) => [
        name,
        { module: pathToFileURL(join(samples, name, "policy.wasm")).href, ...settings },
      ]),
    );
    writeFileSync(file("policies.yml"), stringifyYaml(policies));
    const { cert, key } = await makeCertificate(host);
    writeFileSync(file("tls.crt"), cert);
    writeFileSync(file("tls.key"), key, { mode: 0o600 });
    for (const { policy, request } of SAMPLES) {
      copyFileSync(join(samples, policy, "requests", `${request}.json`), file(`${request}.json`));
    }
    return {
      folder,
      policiesFile: file("policies.yml"),
      certFile: file("tls.crt"),
      keyFile: file("tls.key"),
      requestFile: (request) => file(`${request}.json`),
      remove,
    };
  } catch (error) {
    remove();
    throw error;
  }
}
