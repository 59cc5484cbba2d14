/** What the real cosign signs, with keys and keyless, in both of its formats, is accepted for what it is. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  copyArtifact,
  fetchVerifiedPolicy,
  parseVerificationConfig,
  readModule,
  type TrustRoot,
  verifyPolicy,
} from "../../artifact/mod.ts";
import {
  cosign,
  COSIGN_2_MISSING,
  COSIGN_MISSING,
  COSIGN_THERE,
  cosignOf,
  identityToken,
  startSigningServices,
} from "./_cosign.ts";
import { putPolicy, sha256, wasmModule } from "./_image.ts";
import { REGISTRY_BINARY, REGISTRY_MISSING, startRegistry } from "./_registry.ts";
import { failure, inDirectory, insecure, listening, trustRootOf } from "./_setting.ts";

const missing = [
  ...(COSIGN_THERE ? [] : [COSIGN_MISSING]),
  ...(COSIGN_2_MISSING === undefined ? [] : [COSIGN_2_MISSING]),
  ...(REGISTRY_BINARY === undefined ? [REGISTRY_MISSING] : []),
];
if (missing.length > 0) test.skip(`cosign: ${missing.join("; ")}`, () => {});
const real: typeof test = (missing.length > 0 ? test.skip : test) as typeof test;

type Format = readonly [name: string, version: 2 | 3, flags: readonly string[], annotated: boolean];

const FORMATS: readonly Format[] = [
  ["simple signing", 3, ["--use-signing-config=false", "--new-bundle-format=false"], true],
  ["bundle", 3, ["--use-signing-config=false"], true],
  ["simple signing by cosign 2", 2, [], true],
  // cosign 2 leaves the annotations out of its bundles: they were not signed, and to ask for them is to be refused.
  ["bundle by cosign 2", 2, ["--new-bundle-format"], false],
];

async function withCosign(
  run: (
    host: string,
    directory: string,
    sign: (version: 2 | 3, image: string, ...args: readonly string[]) => Promise<string>,
  ) => Promise<void>,
) {
  const registry = await startRegistry();
  try {
    await inDirectory(async (directory) => {
      const sign = (version: 2 | 3, image: string, ...args: readonly string[]) =>
        cosignOf(version, directory, "sign", "--allow-http-registry", ...args, image);
      await run(registry.host, directory, sign);
    });
  } finally {
    await registry.stop();
  }
}

async function verify(reference: string, host: string, entries: readonly unknown[], root?: TrustRoot) {
  const { options } = listening({ sources: insecure(host) });
  const config = parseVerificationConfig(JSON.stringify({ apiVersion: "v1", allOf: entries }));
  return await verifyPolicy(reference, config, root, options).then(
    ({ digest }) => digest,
    (error) => error.message as string,
  );
}

real(
  "key pairs, with annotations, by both versions in both formats; another key or annotation is refused",
  () =>
    withCosign(async (host, directory, sign) => {
      for (const name of ["one", "two"]) {
        await cosign(directory, "generate-key-pair", "--output-key-prefix", name);
      }
      const [one, two] = [
        await readFile(join(directory, "one.pub"), "utf8"),
        await readFile(join(directory, "two.pub"), "utf8"),
      ];
      for (const [index, [format, version, flags, annotated]] of FORMATS.entries()) {
        const repository = `tests/key${index}`;
        const module = wasmModule(format);
        const digest = await putPolicy(`http://${host}`, repository, "v1", module);
        const reference = `${host}/${repository}:v1`;
        await sign(
          version,
          `${host}/${repository}@${digest}`,
          "--key",
          "one.key",
          "--tlog-upload=false",
          "-a",
          "env=prod",
          ...flags,
        );
        const entry = (key: string, annotations?: object) => ({ kind: "pubKey", key, annotations });
        assert.is(await verify(reference, host, [entry(one)]), digest, format);
        const withAnnotation = await verify(reference, host, [entry(one, { env: "prod" })]);
        if (annotated) assert.is(withAnnotation, digest, format);
        else assert.match(withAnnotation, "missing signatures", format);
        assert.match(
          await verify(reference, host, [entry(one, { env: "dev" })]),
          "missing signatures",
          format,
        );
        assert.match(await verify(reference, host, [entry(two)]), "missing signatures", format);

        const config = parseVerificationConfig(JSON.stringify({ apiVersion: "v1", allOf: [entry(one)] }));
        const { options } = listening({ sources: insecure(host) });
        const store = { kind: "store", root: directory } as const;
        const policy = await fetchVerifiedPolicy(reference, config, undefined, store, options);
        assert.equal(
          [policy.digest, policy.sha256, policy.downloaded],
          [digest, sha256(module), true],
          format,
        );
        assert.is(
          (await fetchVerifiedPolicy(reference, config, undefined, store, options)).downloaded,
          false,
        );
        // Somebody changes the stored file: the next start repairs it, and whoever loads it in between is told.
        await writeFile(policy.path, wasmModule("tampered"));
        assert.match(
          (await failure(readModule(policy.path, policy.sha256))).message,
          "has changed since it was checked",
        );
        assert.is((await fetchVerifiedPolicy(reference, config, undefined, store, options)).downloaded, true);
        assert.is(sha256(await readModule(policy.path, policy.sha256)), sha256(module));
        // A tag that moved to something unsigned is not followed.
        await putPolicy(`http://${host}`, repository, "v1", wasmModule("moved"));
        assert.match(await verify(reference, host, [entry(one)]), "no signatures found", format);
        // Signatures travel with a copy.
        await copyArtifact(`${host}/${repository}@${digest}`, `${host}/copies/key${index}:v1`, options);
        assert.is(
          await verify(`${host}/copies/key${index}:v1`, host, [entry(one)]),
          digest,
          `${format}, copied`,
        );
      }
    }),
);

real(
  "keyless, by both versions in both formats: generic issuer and GitHub action, by a Fulcio and Rekor of our own",
  async () => {
    const { server, sigstore } = await startSigningServices();
    try {
      await withCosign(async (host, directory, sign) => {
        await writeFile(join(directory, "root.json"), JSON.stringify(sigstore.trustedRoot()));
        const root = await trustRootOf(sigstore.trustedRoot());
        const uri = "https://github.com/kubewarden/policy/.github/workflows/release.yml@refs/heads/main";
        const issuer = "https://token.actions.githubusercontent.com";
        const token = identityToken({ sub: uri, iss: issuer, repository: "kubewarden/policy" });
        for (const [index, [format, version, flags, annotated]] of FORMATS.entries()) {
          const repository = `tests/keyless${index}`;
          const digest = await putPolicy(`http://${host}`, repository, "v1", wasmModule(format));
          const services = [
            "--fulcio-url",
            server.base,
            "--rekor-url",
            server.base,
            "--trusted-root",
            "root.json",
          ];
          await sign(
            version,
            `${host}/${repository}@${digest}`,
            "--identity-token",
            token,
            "-a",
            "env=prod",
            ...services,
            ...flags,
          );
          const met = (entry: object, trust: TrustRoot | undefined = root) =>
            verify(`${host}/${repository}:v1`, host, [entry], trust);
          for (
            const entry of [
              { kind: "githubAction", owner: "kubewarden" },
              ...(annotated
                ? [{
                  kind: "githubAction",
                  owner: "kubewarden",
                  repo: "policy",
                  annotations: { env: "prod" },
                }]
                : []),
              { kind: "genericIssuer", issuer, subject: { equal: uri } },
              { kind: "genericIssuer", issuer, subject: { urlPrefix: "https://github.com/kubewarden" } },
            ]
          ) assert.is(await met(entry), digest, `${format}: ${JSON.stringify(entry)}`);
          for (
            const entry of [
              { kind: "githubAction", owner: "kube" },
              { kind: "githubAction", owner: "kubewarden", annotations: { env: "dev" } },
              ...(annotated
                ? []
                : [{ kind: "githubAction", owner: "kubewarden", annotations: { env: "prod" } }]),
              { kind: "genericIssuer", issuer, subject: { equal: `${uri}x` } },
              { kind: "genericIssuer", issuer: "https://accounts.test", subject: { equal: uri } },
            ]
          ) assert.match(await met(entry), "missing signatures", `${format}: ${JSON.stringify(entry)}`);
          const foreign = await trustRootOf(await startSigningServicesRoot());
          assert.match(
            await met({ kind: "githubAction", owner: "kubewarden" }, foreign),
            /No Signature Layer passed verification|missing signatures/,
            "another Sigstore's root",
          );
          assert.not.equal(
            await verify(`${host}/${repository}:v1`, host, [{ kind: "githubAction", owner: "kubewarden" }]),
            digest,
          );
        }
      });
    } finally {
      await server.stop();
    }
  },
);

real(
  "key pairs with log entries, by both versions in both formats: the log must be the trusted one, and must name the key",
  async () => {
    const { server, sigstore } = await startSigningServices();
    try {
      await withCosign(async (host, directory, sign) => {
        await writeFile(join(directory, "root.json"), JSON.stringify(sigstore.trustedRoot()));
        await cosign(directory, "generate-key-pair");
        const key = await readFile(join(directory, "cosign.pub"), "utf8");
        const root = await trustRootOf(sigstore.trustedRoot());
        const foreign = await trustRootOf(await startSigningServicesRoot());
        for (const [index, [format, version, flags]] of FORMATS.entries()) {
          const repository = `tests/logged${index}`;
          const digest = await putPolicy(`http://${host}`, repository, "v1", wasmModule(format));
          const services = ["--rekor-url", server.base, "--trusted-root", "root.json"];
          await sign(
            version,
            `${host}/${repository}@${digest}`,
            "--key",
            "cosign.key",
            ...services,
            ...flags,
          );
          const entry = [{ kind: "pubKey", key }];
          assert.is(await verify(`${host}/${repository}:v1`, host, entry, root), digest, format);
          assert.is(
            await verify(`${host}/${repository}:v1`, host, entry),
            digest,
            `${format}, no trust root`,
          );
          assert.match(
            await verify(`${host}/${repository}:v1`, host, entry, foreign),
            "No Signature Layer passed",
            format,
          );
        }
      });
    } finally {
      await server.stop();
    }
  },
);

/** The trusted root of a Sigstore that signed none of this. */
async function startSigningServicesRoot(): Promise<unknown> {
  const { server, sigstore } = await startSigningServices();
  await server.stop();
  return sigstore.trustedRoot();
}

test.run();
