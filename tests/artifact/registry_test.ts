/** A real registry: plain, with a private authority, with Basic and token authorization; pull, push, copy, tags. */
import { createPrivateKey, sign } from "node:crypto";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  copyArtifact,
  fetchPolicy,
  findInStore,
  listStore,
  listTags,
  manifestDigest,
  ociManifest,
  ociManifestAndConfig,
  pushPolicy,
} from "../../artifact/mod.ts";
import { createAuthority } from "./_certificates.ts";
import {
  digestOf,
  OCI_INDEX,
  putImage,
  putManifest,
  putPolicy,
  sha256,
  WASM_LAYER,
  wasmModule,
} from "./_image.ts";
import {
  REGISTRY_BINARY,
  REGISTRY_MISSING,
  type RegistryOptions,
  startRegistry,
  type TestRegistry,
} from "./_registry.ts";
import { startServer } from "./_server.ts";
import { failure, inDirectory, insecure, listening, trusting } from "./_setting.ts";

if (REGISTRY_BINARY === undefined) test.skip(`registries: ${REGISTRY_MISSING}`, () => {});
const real: typeof test = (REGISTRY_BINARY === undefined ? test.skip : test) as typeof test;

/** `user:secret`, bcrypt. */
const HTPASSWD = "user:$2b$04$FZCXf7PoyCf0qlOJ.7ZwzOYPqCvpEDT79/57S1puzoMiAJYMb2PV.\n";
const authority = await createAuthority();

async function withRegistry(
  options: RegistryOptions,
  run: (registry: TestRegistry, directory: string) => Promise<void>,
): Promise<void> {
  const registry = await startRegistry(options);
  try {
    await inDirectory((directory) => run(registry, directory));
  } finally {
    await registry.stop();
  }
}

async function moduleFile(directory: string, seed: string): Promise<string> {
  const path = join(directory, `${seed}.wasm`);
  await writeFile(path, wasmModule(seed));
  return path;
}

async function dockerConfig(directory: string, config: unknown): Promise<string> {
  const home = join(directory, "docker");
  await mkdir(home, { recursive: true });
  await writeFile(join(home, "config.json"), typeof config === "string" ? config : JSON.stringify(config));
  return home;
}

const basic = (login: string) => ({ auth: Buffer.from(login).toString("base64") });

real(
  "plain HTTP: only for hosts in insecure_sources; then push, manifests and pull work",
  () =>
    withRegistry({}, async (registry, directory) => {
      const file = await moduleFile(directory, "plain");
      const destination = `registry://${registry.host}/tests/policy:v1`;
      const { options: strict } = listening();
      const refused = await failure(pushPolicy(file, destination, {}, strict));
      assert.match(
        refused.message,
        `Fail to interact with OCI registry: cannot reach https://${registry.host}`,
      );
      assert.match(refused.message, "insecure_sources");

      const { options } = listening({ sources: insecure(registry.host) });
      const pushed = await pushPolicy(file, destination, {
        "io.kubewarden.policy.source": "https://example.test/policy\n",
        "io.kubewarden.policy.usage": "one\ntwo",
        title: "  a policy ",
      }, options);
      assert.is(pushed.immutableReference, `${registry.host}/tests/policy@${pushed.digest}`);
      assert.is(await manifestDigest(destination, options), pushed.digest);
      const manifest = await ociManifest(`${registry.host}/tests/policy:v1`, options);
      assert.equal(manifest, {
        schemaVersion: 2,
        config: {
          mediaType: "application/vnd.wasm.config.v1+json",
          digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
          size: 2,
        },
        layers: [{
          mediaType: WASM_LAYER,
          digest: digestOf(wasmModule("plain")),
          size: wasmModule("plain").length,
        }],
        annotations: {
          "io.kubewarden.policy.source": "https://example.test/policy",
          "org.opencontainers.image.source": "https://example.test/policy",
          title: "a policy",
        },
      });
      const whole = await ociManifestAndConfig(destination, options);
      assert.equal(whole, { manifest, digest: pushed.digest, config: {} });
      const policy = await fetchPolicy(destination, { kind: "store", root: directory }, options);
      assert.is(policy.sha256, sha256(wasmModule("plain")));
      assert.is(policy.path, join(directory, "registry", registry.host, "tests/policy:v1"));
    }),
);

real(
  "pushing the same again gives the same digest; a wrong destination is refused",
  () =>
    withRegistry({}, async (registry, directory) => {
      const file = await moduleFile(directory, "again");
      const { options } = listening({ sources: insecure(registry.host) });
      const push = () =>
        pushPolicy(file, `registry://${registry.host}/tests/policy:v1`, { a: "b", c: "d" }, options);
      assert.equal(await push(), await push());
      assert.is(
        (await failure(pushPolicy(file, `${registry.host}/x:1`, {}, options))).message,
        `Invalid destination format: ${registry.host}/x:1 (write registry://HOST/PATH:TAG)`,
      );
      assert.match(
        (await failure(pushPolicy(`${file}.absent`, `registry://${registry.host}/x:1`, {}, options))).message,
        "cannot read",
      );
    }),
);

real(
  "a large module is pushed in chunks and comes back whole",
  () =>
    withRegistry({}, async (registry, directory) => {
      const bytes = wasmModule("large", 9 * 1024 * 1024 + 5);
      const file = join(directory, "large.wasm");
      await writeFile(file, bytes);
      const { options } = listening({ sources: insecure(registry.host) });
      const uri = `registry://${registry.host}/tests/large:v1`;
      await pushPolicy(file, uri, {}, options);
      assert.is((await fetchPolicy(uri, { kind: "store", root: directory }, options)).sha256, sha256(bytes));
    }),
);

real(
  "a private authority: refused without it, accepted with it, or insecurely",
  () =>
    authority.issue().then((tls) =>
      withRegistry({ tls }, async (registry, directory) => {
        const file = await moduleFile(directory, "tls");
        const uri = `registry://${registry.host}/tests/policy:v1`;
        const refused = await failure(pushPolicy(file, uri, {}, listening().options));
        assert.is(refused.code, "tls");
        assert.match(
          refused.message,
          "unknown authority: add that authority to source_authorities in sources.yml",
        );
        const { options } = listening({ sources: trusting(registry.host, authority.ca) });
        await pushPolicy(file, uri, {}, options);
        const { options: careless, lines } = listening({ sources: insecure(registry.host) });
        for (const some of [options, careless]) {
          assert.match(await manifestDigest(uri, some), /^sha256:/);
          assert.ok(await ociManifest(uri, some));
          assert.ok(await ociManifestAndConfig(uri, some));
          const path = join(directory, "out.wasm");
          assert.is((await fetchPolicy(uri, { kind: "file", path }, some)).path, path);
        }
        assert.ok(
          lines().some((line) =>
            line.includes("operation failed") && line.includes('"client_protocol":"HTTPS"')
          ),
        );
        const elsewhere = { ...trusting(registry.host.replace("localhost", "127.0.0.1"), authority.ca) };
        const other = await failure(manifestDigest(uri, listening({ sources: elsewhere }).options));
        assert.is(other.code, "tls", "an authority counts for its own host only");
      })
    ),
);

real(
  "what is in the store is not asked for again, but `latest` is; an untagged pull is stored as latest",
  () =>
    withRegistry({}, async (registry, directory) => {
      const base = `http://${registry.host}`;
      const { options } = listening({ sources: insecure(registry.host) });
      const pull = (name: string) =>
        fetchPolicy(`${registry.host}/tests/${name}`, { kind: "store", root: directory }, options);
      for (const tag of ["v1", "latest"]) await putPolicy(base, "tests/moving", tag, wasmModule("first"));
      const digest = await putPolicy(base, "tests/moving", "other", wasmModule("first"));
      await pull("moving:v1");
      await pull("moving");
      await pull(`moving@${digest}`);
      await pull(`moving:latest@${digest}`);
      for (const tag of ["v1", "latest"]) await putPolicy(base, "tests/moving", tag, wasmModule("second"));
      assert.equal(await pull("moving:v1").then(({ sha256, downloaded }) => [sha256, downloaded]), [
        sha256(wasmModule("first")),
        false,
      ]);
      const untagged = await pull("moving");
      assert.equal([untagged.sha256, untagged.downloaded], [sha256(wasmModule("second")), true]);
      assert.is(untagged.uri, `${registry.host}/tests/moving`, "the URI is the one given");
      assert.is((await pull(`moving:latest@${digest}`)).downloaded, false, "a digest does not move");
      const uris = (await listStore(directory)).map((policy) => policy.uri).sort();
      const prefix = `registry://${registry.host}/tests/moving`;
      assert.equal(
        uris,
        [`${prefix}:latest`, `${prefix}:latest@${digest}`, `${prefix}:v1`, `${prefix}@${digest}`].sort(),
      );
      assert.is((await findInStore(directory, `${registry.host}/tests/moving`))?.path, untagged.path);
    }),
);

real(
  "an explicit file is always written, under exactly its name; a directory takes the last segment",
  () =>
    withRegistry({}, async (registry, directory) => {
      await putPolicy(`http://${registry.host}`, "tests/policy", "latest", wasmModule("explicit"));
      const { options } = listening({ sources: insecure(registry.host) });
      const path = join(directory, "out.wasm");
      await writeFile(path, "something else");
      const policy = await fetchPolicy(`${registry.host}/tests/policy`, { kind: "file", path }, options);
      assert.is(policy.path, path);
      assert.is(sha256(await readFile(path)), sha256(wasmModule("explicit")));
      const inside = await fetchPolicy(`${registry.host}/tests/policy:latest`, {
        kind: "file",
        path: directory,
      }, options);
      assert.is(inside.path, join(directory, "policy:latest"));
      const nowhere = join(directory, "absent", "out.wasm");
      const error = await failure(
        fetchPolicy(`${registry.host}/tests/policy`, { kind: "file", path: nowhere }, options),
      );
      assert.match(error.message, `wasm module cannot be save to "${nowhere}": `);
    }),
);

real("application/wasm layers are accepted", () =>
  withRegistry({}, async (registry, directory) => {
    await putImage(`http://${registry.host}`, "tests/policy", "v1", [{
      mediaType: "application/wasm",
      bytes: wasmModule("w"),
    }]);
    const { options } = listening({ sources: insecure(registry.host) });
    const policy = await fetchPolicy(
      `${registry.host}/tests/policy:v1`,
      { kind: "store", root: directory },
      options,
    );
    assert.is(policy.sha256, sha256(wasmModule("w")));
  }));

real(
  "manifests for policies hold the fields that the specification knows, and no others",
  () =>
    withRegistry({}, async (registry) => {
      const base = `http://${registry.host}`;
      const type = "application/vnd.docker.distribution.manifest.v2+json";
      const layer = {
        mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
        bytes: Buffer.from("tar"),
      };
      const digest = await putImage(base, "tests/image", "v1", [layer], {
        mediaType: type,
        unknown: 1,
        annotations: null,
      });
      await putManifest(base, "tests/image", "multi", {
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [{
          mediaType: type,
          digest,
          size: 1,
          platform: { architecture: "amd64", os: "linux", "os.version": "1", odd: true },
          odd: true,
        }],
      }, OCI_INDEX);
      const { options } = listening({ sources: insecure(registry.host) });
      const image = await ociManifest(`registry://${registry.host}/tests/image:v1`, options);
      assert.equal(Object.keys(image), ["schemaVersion", "mediaType", "config", "layers"]);
      assert.is(image["mediaType"], type);
      const index = await ociManifest(`${registry.host}/tests/image:multi`, options);
      assert.equal(index, {
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [{
          mediaType: type,
          digest,
          size: 1,
          platform: { architecture: "amd64", os: "linux", "os.version": "1" },
        }],
      });
      assert.not.equal(
        await manifestDigest(`${registry.host}/tests/image:multi`, options),
        digest,
        "the index's own",
      );
    }),
);

real("tags are listed, page after page", () =>
  withRegistry({}, async (registry) => {
    for (const tag of ["v1", "v2", "v3"]) {
      await putPolicy(`http://${registry.host}`, "tests/policy", tag, wasmModule(tag));
    }
    const { options } = listening({ sources: insecure(registry.host) });
    assert.equal([...await listTags(`${registry.host}/tests/policy`, options)].sort(), ["v1", "v2", "v3"]);
  }));

real(
  "a copy has the same digest, and its index, images and signatures come along",
  () =>
    withRegistry({}, (from, directory) =>
      withRegistry({ htpasswd: HTPASSWD }, async (to) => {
        const base = `http://${from.host}`;
        const digest = await putPolicy(base, "tests/policy", "v1", wasmModule("copied"));
        await putImage(base, "tests/policy", `${digest.replace(":", "-")}.sig`, [
          { mediaType: "application/vnd.dev.cosign.simplesigning.v1+json", bytes: Buffer.from("{}") },
        ]);
        await putManifest(base, "tests/policy", "multi", {
          schemaVersion: 2,
          mediaType: OCI_INDEX,
          manifests: [{ mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: 1 }],
        }, OCI_INDEX);
        const dockerConfigDir = await dockerConfig(directory, { auths: { [to.host]: basic("user:secret") } });
        const { options } = listening({ sources: insecure(from.host, to.host), dockerConfigDir });
        const copied = await copyArtifact(
          `${from.host}/tests/policy:v1`,
          `${to.host}/mirror/policy:v1`,
          options,
        );
        assert.is(copied.digest, digest);
        const tags = await listTags(`${to.host}/mirror/policy`, options);
        assert.equal([...tags].sort(), [`${digest.replace(":", "-")}.sig`, "v1"]);
        const index = await copyArtifact(
          `${from.host}/tests/policy:multi`,
          `${to.host}/other/policy:multi`,
          options,
        );
        assert.is(await manifestDigest(`${to.host}/other/policy:multi`, options), index.digest);
        assert.is(await manifestDigest(`${to.host}/other/policy@${digest}`, options), digest);
      })),
);

real(
  "Basic authorization: with the right login only, whichever way Docker wrote it down",
  () =>
    authority.issue().then((tls) =>
      withRegistry({ tls, htpasswd: HTPASSWD }, async (registry, directory) => {
        const helper = async (name: string, script: string) => {
          const path = join(directory, `docker-credential-${name}`);
          await writeFile(path, `#!/bin/sh\n${script}\n`);
          await chmod(path, 0o755);
        };
        await helper(
          "good",
          `read server; [ "$server" = "${registry.host}" ] && echo '{"Username":"user","Secret":"secret"}'`,
        );
        await helper("bad", "echo nothing; exit 1");
        const uri = `registry://${registry.host}/tests/policy:v1`;
        const file = await moduleFile(directory, "auth");
        const attempt = async (config: unknown) => {
          const listener = listening({
            sources: trusting(registry.host, authority.ca),
            dockerConfigDir: await dockerConfig(directory, config),
            env: { PATH: `${directory}:/usr/bin:/bin` },
          });
          return await pushPolicy(file, uri, {}, listener.options).then(
            () => "accepted",
            (error) => `${error.message}\n${listener.lines().join("\n")}`,
          );
        };
        const accepted: readonly unknown[] = [
          { auths: { [registry.host]: basic("user:secret") } },
          {
            auths: {
              [`https://${registry.host}/v1/`]: { auth: basic("user:secret").auth.replace(/=+$/, "") },
            },
          },
          { auths: { [registry.host]: { username: "user", password: "secret" } } },
          { auths: { [registry.host]: { ...basic("user:secret"), username: "x", password: "y" } } },
          { credHelpers: { [registry.host]: "good" }, auths: { [registry.host]: basic("user:wrong") } },
          { credsStore: "good" },
          { auths: { [registry.host]: {} }, credsStore: "good", HttpHeaders: { a: "b" } },
        ];
        for (const config of accepted) assert.is(await attempt(config), "accepted", JSON.stringify(config));
        const refused: readonly (readonly [unknown, string])[] = [
          [{ auths: { [registry.host]: basic("user:wrong") } }, "with the credentials for"],
          [{}, `has no credentials for ${registry.host}`],
          [
            { auths: { [registry.host]: { auth: "%%%" } } },
            "Couldn't fetch credentials. Using anonymous instead",
          ],
          [
            { credHelpers: { [registry.host]: "bad" }, credsStore: "good" },
            "docker-credential-bad ended with code 1",
          ],
          [{ credHelpers: { [registry.host]: "absent" } }, "docker-credential-absent"],
          [{ credHelpers: { [registry.host]: "../x" } }, "is no helper's name"],
          ["{ not JSON, secret", "config.json is no JSON"],
          [
            { auths: { [registry.host]: { identitytoken: "refresh" } } },
            "IdentityToken credential not supported. Using anonymous instead",
          ],
        ];
        for (const [config, text] of refused) {
          const said = await attempt(config);
          assert.match(said, `Not authorized: url https://${registry.host}/v2/tests/policy/blobs/uploads/`);
          assert.ok(said.includes(text), `${text}\n---\n${said}`);
          assert.not.match(said, /secret|wrong/, "no secret is ever told");
        }
        const nowhere = listening({
          sources: trusting(registry.host, authority.ca),
          dockerConfigDir: join(directory, "absent"),
        });
        assert.is((await failure(manifestDigest(uri, nowhere.options))).code, "unauthorized");
      })
    ),
);

real("token authorization: the realm's token, asked for with the login or a refresh token", async () => {
  const { cert, key } = await authority.issue({ names: ["tokens.test"] });
  const chain = cert.replace(/-----[^-]+-----|\s/g, "");
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const asked: string[] = [];
  const realm = await startServer((request, response, body) => {
    const form = request.method === "POST" ? new URLSearchParams(body.toString()) : undefined;
    const query = form ?? new URL(request.url ?? "", "http://x").searchParams;
    asked.push(`${request.method} ${query.get("scope")} ${query.get("service")}`);
    const login = request.headers.authorization === `Basic ${basic("user:secret").auth}`;
    if (!login && form?.get("refresh_token") !== "refresh") {
      response.statusCode = 401;
      return void response.end("{}");
    }
    const [type, name, actions] = (query.get("scope") ?? "").split(":");
    const now = Math.floor(Date.now() / 1000);
    const head = encode({ typ: "JWT", alg: "ES256", x5c: [chain] });
    const claims = encode({
      iss: "tests",
      sub: "user",
      aud: "registry.tests",
      exp: now + 300,
      nbf: now - 10,
      iat: now,
      jti: String(Math.random()),
      access: [{ type, name, actions: actions?.split(",") }],
    });
    const signature = sign("sha256", Buffer.from(`${head}.${claims}`), {
      key: createPrivateKey(key),
      dsaEncoding: "ieee-p1363",
    }).toString("base64url");
    const token = `${head}.${claims}.${signature}`;
    response.end(JSON.stringify(form === undefined ? { token } : { access_token: token }));
  });
  try {
    const token = {
      realm: `${realm.base}/token`,
      service: "registry.tests",
      issuer: "tests",
      bundle: authority.ca,
    };
    await withRegistry({ token }, async (registry, directory) => {
      const uri = `registry://${registry.host}/tests/policy:v1`;
      const file = await moduleFile(directory, "token");
      const using = async (entry: unknown) =>
        listening({
          // The realm too speaks without TLS.
          sources: insecure(registry.host, realm.host),
          dockerConfigDir: await dockerConfig(directory, { auths: { [registry.host]: entry } }),
        });
      const { options } = await using(basic("user:secret"));
      const pushed = await pushPolicy(file, uri, {}, options);
      assert.is(asked.at(-1), "GET repository:tests/policy:pull,push registry.tests");
      assert.is(await manifestDigest(uri, options), pushed.digest);
      assert.is(asked.at(-1), "GET repository:tests/policy:pull registry.tests");
      const refresh = await using({ identitytoken: "refresh" });
      assert.is(await manifestDigest(uri, refresh.options), pushed.digest);
      assert.is(asked.at(-1), "POST repository:tests/policy:pull registry.tests");
      const wrong = await using(basic("user:wrong"));
      const error = await failure(manifestDigest(uri, wrong.options));
      assert.is(error.code, "unauthorized");
      assert.match(error.message, `${realm.base} gave no token: status 401`);
    });
    const tls = await authority.issue();
    await withRegistry({ token, tls }, async (registry, directory) => {
      const { options } = listening({
        sources: trusting(registry.host, authority.ca),
        dockerConfigDir: await dockerConfig(directory, { auths: { [registry.host]: basic("user:secret") } }),
      });
      const before = asked.length;
      const error = await failure(manifestDigest(`${registry.host}/tests/policy:v1`, options));
      assert.match(error.message, `asks for credentials to be sent to ${realm.base} without TLS: refused`);
      assert.is(asked.length, before);
    });
  } finally {
    await realm.stop();
  }
});

test.run();
