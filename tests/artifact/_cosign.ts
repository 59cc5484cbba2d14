/** The real `cosign` in both of the versions that the field has, built by `tests/tools/build_cosign.sh`, and the Fulcio and Rekor that it talks to. */
import { createHash, sign } from "node:crypto";
import { fulcioHandler } from "./_packages.ts";
import { startServer, type TestServer } from "./_server.ts";
import { createSigstore, keyPair, type TestSigstore } from "./_sigstore.ts";
import { builtTool, runTool } from "./_tools.ts";

/** By its major version. */
const COSIGNS = { 2: builtTool("cosign2", "cosign"), 3: builtTool("cosign") } as const;

export const COSIGN = COSIGNS[3].binary ?? "cosign";
export const COSIGN_THERE = COSIGNS[3].binary !== undefined;
export const COSIGN_MISSING = COSIGNS[3].missing;
export const COSIGN_2_MISSING = COSIGNS[2].binary === undefined ? COSIGNS[2].missing : undefined;

/** Runs cosign with nothing of this machine's configuration. */
export function cosign(directory: string, ...args: readonly string[]): Promise<string> {
  return cosignOf(3, directory, ...args);
}

/** The same for a version of one's choice. */
export function cosignOf(version: 2 | 3, directory: string, ...args: readonly string[]): Promise<string> {
  // Version 2 calls its mode with referrers an experiment.
  const env = { COSIGN_PASSWORD: "", COSIGN_YES: "true", COSIGN_EXPERIMENTAL: "1" };
  return runTool(COSIGNS[version], directory, args, env);
}

/** A log keeps what an envelope comes to, not the proposal that holds it. */
// deno-lint-ignore no-explicit-any
function canonicalEntry(proposal: any) {
  if (proposal.kind !== "dsse") return proposal;
  const { envelope, verifiers } = proposal.spec.proposedContent;
  const { payload, signatures } = JSON.parse(envelope);
  const hash = (bytes: Uint8Array | string) => ({
    algorithm: "sha256",
    value: createHash("sha256").update(bytes).digest("hex"),
  });
  return {
    apiVersion: proposal.apiVersion,
    kind: "dsse",
    spec: {
      envelopeHash: hash(envelope),
      payloadHash: hash(Buffer.from(payload, "base64")),
      signatures: signatures.map((each: { sig: string }) => ({
        signature: each.sig,
        verifier: verifiers[0],
      })),
    },
  };
}

export type SigningServices = {
  readonly server: TestServer;
  readonly sigstore: TestSigstore;
};

/** Fulcio (certificates for whatever identity token) and Rekor, on one loopback port. */
export async function startSigningServices(): Promise<SigningServices> {
  const ready: { sigstore?: TestSigstore } = {};
  const server = await startServer(async (request, response, body) => {
    const { sigstore } = ready;
    if (sigstore === undefined) throw new Error("not ready");
    if (request.url === "/api/v2/signingCert") {
      // cosign puts the token into the header; the mock looks for it in the body.
      const oidcIdentityToken = (request.headers.authorization ?? "").replace(/^Bearer /, "");
      const asked = JSON.stringify({ credentials: { oidcIdentityToken }, ...JSON.parse(body.toString()) });
      const { statusCode, response: answer } = await fulcioHandler(sigstore.ca).fn(asked);
      response.writeHead(statusCode === 201 ? 200 : statusCode, { "content-type": "application/json" });
      return void response.end(answer);
    }
    // The API of before, which cosign 2 speaks: keys in base64 once more, chains as text.
    if (request.url === "/api/v1/signingCert") {
      const oidcIdentityToken = (request.headers.authorization ?? "").replace(/^Bearer /, "");
      const { publicKey } = JSON.parse(body.toString()) as {
        readonly publicKey: { readonly content: string };
      };
      const content = Buffer.from(publicKey.content, "base64").toString();
      const asked = { credentials: { oidcIdentityToken }, publicKeyRequest: { publicKey: { content } } };
      const { statusCode, response: answer } = await fulcioHandler(sigstore.ca).fn(JSON.stringify(asked));
      response.writeHead(statusCode, { "content-type": "application/pem-certificate-chain" });
      if (statusCode !== 201) return void response.end(answer);
      return void response.end(
        JSON.parse(String(answer)).signedCertificateEmbeddedSct.chain.certificates.join(""),
      );
    }
    if (request.url === "/api/v1/log/entries") {
      const entry = await sigstore.tlog.log(canonicalEntry(JSON.parse(body.toString())) as never);
      const uuid = Object.keys(entry as object)[0] ?? "";
      response.writeHead(201, {
        "content-type": "application/json",
        etag: uuid,
        location: `/api/v1/log/entries/${uuid}`,
      });
      return void response.end(JSON.stringify(entry));
    }
    response.writeHead(404);
    response.end(`${request.method} ${request.url} is not served`);
  });
  const sigstore = await createSigstore(server.base);
  ready.sigstore = sigstore;
  return { server, sigstore };
}

/** An identity token that our Fulcio takes at its word. */
export function identityToken(claims: Readonly<Record<string, string>>): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const content = [
    encode({ alg: "RS256", typ: "JWT" }),
    encode({ aud: "sigstore", iat: now, nbf: now - 5, exp: now + 600, ...claims }),
  ]
    .join(".");
  return `${content}.${
    sign("sha256", Buffer.from(content), keyPair("rsa").privateKey).toString("base64url")
  }`;
}
