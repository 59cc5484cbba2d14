// Everything that talks to registries, against a real one (spec/cli.md §4, §10, §11, §13, §14).
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseDocument } from "../../deps.ts";
import {
  REGISTRY_BINARY,
  REGISTRY_MISSING,
  startRegistry,
  type TestRegistry,
} from "../artifact/_registry.ts";
import { startProxy, startServer } from "../artifact/_server.ts";
import { inPlace, PLAIN, POLICY, sha256, type TestPlace } from "./place.ts";
import { signImage, signingKey } from "./signing.ts";

const policy = readFileSync(POLICY);
let registry: TestRegistry;

if (REGISTRY_BINARY === undefined) test.skip(REGISTRY_MISSING, () => {});
const real = (REGISTRY_BINARY === undefined ? test.skip : test) as typeof test;
test.before(async () => {
  if (REGISTRY_BINARY !== undefined) registry = await startRegistry();
});
test.after(() => registry?.stop());

/** A place whose default sources say that the registry speaks plain HTTP. */
function withRegistry(run: (place: TestPlace, host: string) => Promise<void>): Promise<void> {
  return inPlace(async (place) => {
    const config = join(place.home, ".config/kubewarden");
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, "sources.yaml"), `insecure_sources: ["${registry.host}"]\n`);
    await run(place, registry.host);
  });
}

async function annotated(place: TestPlace): Promise<void> {
  place.recorded("plain.wasm", "meta-full.yml", "usage.md");
  const { exit, stderr } = await place.reeve(
    ..."annotate -m meta-full.yml -u usage.md -o full.wasm plain.wasm".split(" "),
  );
  assert.equal([exit, stderr], [0, ""]);
}

real(
  "a pushed policy can be pulled, listed, digested and run; its annotations are the manifest's",
  () =>
    withRegistry(async (place, host) => {
      const { reeve, cwd, inStore } = place;
      await annotated(place);
      const pushed = await reeve("push", "full.wasm", `${host}/tests/full`);
      assert.is(pushed.exit, 0);
      assert.match(pushed.stderr, /WARN .*annotation is a multi-line string.*io\.kubewarden\.policy\.usage/);
      const reference = new RegExp(
        `^Policy successfully pushed: ${host}/tests/full@(sha256:[0-9a-f]{64})\n$`,
      );
      assert.match(pushed.stdout, reference);
      const digest = reference.exec(pushed.stdout)![1]!;

      const response = await fetch(`http://${host}/v2/tests/full/manifests/latest`, {
        headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
      });
      assert.is(response.headers.get("docker-content-digest"), digest);
      const manifest = await response.json() as {
        config: { mediaType: string };
        layers: { mediaType: string; digest: string }[];
        annotations: Record<string, string>;
      };
      assert.is(manifest.config.mediaType, "application/vnd.wasm.config.v1+json");
      assert.equal(manifest.layers.map((layer) => layer.mediaType), [
        "application/vnd.wasm.content.layer.v1+wasm",
      ]);
      assert.is(manifest.annotations["io.kubewarden.policy.author"], "Someone <someone@example.org>");
      assert.is(manifest.annotations["org.opencontainers.image.source"], "https://example.org/full.git");
      assert.is(manifest.annotations["io.kubewarden.policy.usage"], undefined);

      const json = await reeve(
        "push",
        "--force",
        "full.wasm",
        "-o",
        "json",
        `registry://${host}/tests/full:v1`,
      );
      assert.equal(JSON.parse(json.stdout), { immutable_ref: `${host}/tests/full@${digest}` });
      assert.not(json.stdout.endsWith("\n"));

      const pulled = await reeve("pull", `registry://${host}/tests/full`);
      assert.equal([pulled.exit, pulled.stdout, pulled.stderr], [0, "", ""]);
      assert.equal(inStore(), [`registry/${host}/tests/full:latest`]);
      assert.match(
        (await reeve("policies")).stdout,
        `| registry://${host}/tests/full:latest | no       | yes `,
      );

      for (const typed of [`${host}/tests/full:v1`, `registry://${host}/tests/full:v1`]) {
        assert.is((await reeve("digest", typed)).stdout, `${typed}@${digest}\n`);
      }
      assert.is((await reeve("pull", `${host}/tests/full@${digest}`)).exit, 0);
      const bytes = readFileSync(join(cwd, "full.wasm"));
      assert.match(
        (await reeve("inspect", sha256(bytes).slice(0, 4))).stderr,
        "multiple policies found with the same prefix",
      );
    }),
);

real("where a pulled policy goes", () =>
  withRegistry(async ({ reeve, cwd, file, inStore }, host) => {
    file("policy.wasm", policy);
    await reeve("push", "policy.wasm", `${host}/tests/where:v1`);
    await reeve("push", "policy.wasm", `${host}/tests/where`);
    mkdirSync(join(cwd, "folder"));
    assert.is((await reeve("pull", `${host}/tests/where:v1`, "-o", "folder")).exit, 0);
    assert.equal(readFileSync(join(cwd, "folder/where:v1")), policy);
    // Without scheme and tag, too, the name is the one that was asked for (spec/cli.md, sharp edge 13).
    assert.is((await reeve("pull", `${host}/tests/where`, "-o", "out.wasm")).exit, 0);
    assert.equal(readFileSync(join(cwd, "out.wasm")), policy);
    // What is there already is left alone, which is said (spec/cli.md, sharp edge 14).
    file("mine.wasm", "mine");
    const left = await reeve("pull", `${host}/tests/where:v1`, "-o", "mine.wasm");
    assert.is(left.exit, 0);
    assert.match(left.stderr, /INFO .*was left as it is/);
    assert.is(readFileSync(join(cwd, "mine.wasm"), "utf8"), "mine");
    assert.is(
      (await reeve("pull", `${host}/tests/where`, "-o", "mine.wasm")).exit,
      0,
      "latest always downloads",
    );
    assert.equal(readFileSync(join(cwd, "mine.wasm")), policy);
    const nowhere = await reeve("pull", `${host}/tests/where:v1`, "-o", "no/such/folder/x.wasm");
    assert.is(nowhere.exit, 1);
    assert.match(
      nowhere.stderr,
      /^Error: wasm module cannot be save to "[^"]*no\/such\/folder\/x\.wasm": [^\n]+\n$/,
    );
    assert.equal(inStore(), []);
  }));

real(
  "what isn't annotated is pushed by force only, and Rego not even then",
  () =>
    withRegistry(async ({ reeve, file }, host) => {
      file("plain.wasm", readFileSync(PLAIN));
      const refused = await reeve("push", "plain.wasm", `${host}/tests/plain:v1`);
      assert.is(refused.exit, 1);
      assert.match(
        refused.stderr,
        /^Error: Cannot push a policy that is not annotated\. Use `annotate` command or `push --force`: \/\S+plain\.wasm\n$/,
      );
      for (const force of [["--force"], ["--force=true"], ["-f"]]) {
        const { exit, stderr } = await reeve("push", ...force, "plain.wasm", `${host}/tests/plain:v1`);
        assert.equal([exit, stderr], [0, "Warning: pushing a non-annotated policy!\n"]);
      }
      // A module that does nothing but export something of Rego's.
      file(
        "rego.wasm",
        Uint8Array.of(
          ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
          ...[5, 3, 1, 0, 1],
          ...[7, 12, 1, 8],
          ...new TextEncoder().encode("opa_eval"),
          ...[2, 0],
        ),
      );
      const rego = await reeve("push", "--force", "rego.wasm", `${host}/tests/rego:v1`);
      assert.is(rego.exit, 1);
      assert.match(
        rego.stderr,
        /^Error: Rego policies cannot be pushed without metadata: add them to \/\S+rego\.wasm by `reeve annotate`\n$/,
      );
      assert.is(
        (await reeve("push", "https://h/absent.wasm", `${host}/x`)).stderr,
        "Error: Cannot find policy with uri: https://h/absent.wasm\n",
      );
    }),
);

real(
  "a policy is verified by keys and annotations before it is pulled, and its copy after",
  () =>
    withRegistry(async ({ reeve, file, inStore, store }, host) => {
      const [one, two, stranger] = [signingKey(), signingKey(), signingKey()];
      for (const [name, { pem }] of Object.entries({ one, two, stranger })) file(`${name}.pub`, pem);
      file("policy.wasm", policy);
      const uri = `registry://${host}/tests/signed:v1`;
      const { stdout } = await reeve("push", "policy.wasm", uri);
      const digest = /sha256:[0-9a-f]{64}/.exec(stdout)![0];

      const unsigned = await reeve("verify", "-k", "one.pub", uri);
      assert.equal([unsigned.exit, unsigned.stdout], [1, ""]);
      assert.match(unsigned.stderr, `Policy ${uri} cannot be validated\n`);
      assert.match(unsigned.stderr, `no signatures found for image: ${host}/tests/signed:v1 `);
      await signImage(host, "tests/signed", digest, [one, two], { env: "prod", stable: "true" });

      const verified = await reeve(
        "verify",
        `${host}/tests/signed:v1`,
        "-k",
        "one.pub",
        "-k",
        "two.pub",
        "-a",
        "env=prod",
        "-a",
        "stable=true",
      );
      assert.equal([verified.exit, verified.stdout], [0, ""]);
      assert.match(verified.stderr, /INFO .*Policy successfully verified/);
      assert.equal(inStore(), [], "verify downloads nothing");

      for (
        const flags of [["-k", "stranger.pub"], ["-k", "one.pub", "-k", "stranger.pub"], [
          "-k",
          "one.pub",
          "-a",
          "env=dev",
        ]]
      ) {
        for (const command of ["verify", "pull"]) {
          const { exit, stdout, stderr } = await reeve(command, ...flags, uri);
          assert.equal([exit, stdout], [1, ""]);
          assert.match(
            stderr,
            `Error: Policy ${uri} cannot be validated\nImage verification failed: missing signatures\n`,
          );
          assert.match(
            stderr,
            "The following constraints were not satisfied:\nkind: pubKey\nowner: null\nkey: |\n",
          );
        }
      }
      assert.equal(inStore(), [], "what isn't signed isn't pulled");

      const pulled = await reeve("pull", "-k", "two.pub", uri);
      assert.equal([pulled.exit, pulled.stdout], [0, ""]);
      for (
        const text of [
          "Policy successfully verified",
          "Local file checksum verification passed",
          "Local checksum successfully verified",
        ]
      ) {
        assert.match(pulled.stderr, text);
      }
      // A copy that somebody changed is not the one that was signed.
      writeFileSync(join(store, inStore()[0]!), readFileSync(PLAIN));
      assert.is((await reeve("pull", "-k", "two.pub", uri)).exit, 0);
      assert.equal(readFileSync(join(store, inStore()[0]!)), policy);

      file(
        "config.yml",
        `apiVersion: v1\nanyOf:\n  minimumMatches: 2\n  signatures:\n${
          [one, two, stranger].map(({ pem }) => `  - kind: pubKey\n    key: ${JSON.stringify(pem)}\n`).join(
            "",
          )
        }`,
      );
      assert.is((await reeve("verify", "--verification-config-path", "config.yml", uri)).exit, 0);
      const ran = await reeve("run", "-k", "one.pub", uri, "-r", join(POLICY, "../requests/privileged.json"));
      assert.is(ran.exit, 0);
      assert.match(ran.stdout, '"allowed":false');
      assert.match(ran.stderr, "Policy successfully verified");

      const yaml = await reeve("inspect", "-o", "yaml", "--show-signatures", uri);
      assert.is(yaml.stderr, "");
      const { signatures, mutating } = parseDocument(yaml.stdout).toJS() as {
        signatures: { layers: { mediaType: string; annotations: Record<string, string> }[] };
        mutating: boolean;
      };
      assert.equal([mutating, signatures.layers.length], [false, 2]);
      const pretty = await reeve("inspect", "--show-signatures", uri);
      assert.match(pretty.stdout, "Sigstore signatures");
      assert.is(
        pretty.stdout.match(/Media type: *application\/vnd\.dev\.cosign\.simplesigning\.v1\+json/g)?.length,
        2,
      );
    }),
);

real(
  "the default verification configuration holds for whatever fetches a policy",
  () =>
    withRegistry(async ({ reeve, file, home, inStore }, host) => {
      const [signer, stranger] = [signingKey(), signingKey()];
      file("policy.wasm", policy);
      const uri = `registry://${host}/tests/default:v1`;
      const { stdout } = await reeve("push", "policy.wasm", uri);
      await signImage(host, "tests/default", /sha256:[0-9a-f]{64}/.exec(stdout)![0], [signer]);
      const demanding = ({ pem }: { readonly pem: string }) =>
        JSON.stringify({ apiVersion: "v1", allOf: [{ kind: "pubKey", key: pem }] });
      const config = join(home, ".config/kubewarden/verification-config.yml");
      writeFileSync(config, demanding(stranger));
      for (
        const words of [
          ["pull", uri],
          ["run", uri, "-r", join(POLICY, "../requests/privileged.json")],
          ["scaffold", "manifest", "-t", "ClusterAdmissionPolicy", uri],
          ["verify", uri],
        ]
      ) {
        const { exit, stdout, stderr } = await reeve(...words);
        assert.equal([exit, stdout], [1, ""], words.join(" "));
        assert.match(stderr, /INFO reeve: Default verification config present, using it\n/);
        assert.match(stderr, "Image verification failed: missing signatures");
      }
      assert.equal(inStore(), []);
      writeFileSync(config, demanding(signer));
      const pulled = await reeve("pull", uri);
      assert.is(pulled.exit, 0);
      assert.match(pulled.stderr, "Policy successfully verified");
      // The file that a flag names takes its place.
      file("other.yml", demanding(stranger));
      assert.is((await reeve("verify", "--verification-config-path", "other.yml", uri)).exit, 1);
    }),
);

real(
  "that a policy isn't signed is said outside of a YAML document, and inside of text",
  () =>
    withRegistry(async ({ reeve, file }, host) => {
      file("policy.wasm", policy);
      const uri = `registry://${host}/tests/unsigned:v1`;
      await reeve("push", "policy.wasm", uri);
      await reeve("pull", uri);
      const text = await reeve("inspect", "--show-signatures", uri);
      assert.match(text.stdout, /\nNo sigstore signatures found\n/);
      const yaml = await reeve("inspect", "--show-signatures", "-o", "yaml", uri);
      assert.equal([yaml.exit, parseDocument(yaml.stdout).errors.length], [0, 0]);
      assert.match(yaml.stderr, "No sigstore signatures found");
      assert.not.match(yaml.stdout, "sigstore");
    }),
);

real(
  "manifests are scaffolded for policies that have to be fetched first",
  () =>
    withRegistry(async ({ reeve, file, inStore }, host) => {
      file("policy.wasm", policy);
      await reeve("push", "policy.wasm", `${host}/tests/scaffold:v1`);
      const { exit, stdout, stderr } = await reeve(
        "scaffold",
        "manifest",
        "-t",
        "ClusterAdmissionPolicy",
        `registry://${host}/tests/scaffold:v1`,
      );
      assert.is(exit, 0);
      assert.match(stdout, `\n  module: registry://${host}/tests/scaffold:v1\n`);
      assert.match(
        stderr,
        `INFO reeve: cannot find policy with uri: registry://${host}/tests/scaffold:v1, trying to pull it`,
      );
      assert.is(inStore().length, 1);
    }),
);

test("file servers: what they answer is told, and nothing is kept of what is no policy", () =>
  inPlace(async ({ reeve, file, inStore }) => {
    const server = await startServer((request, response) => {
      if (request.url === "/policy.wasm") response.end(policy);
      else if (request.url === "/page.wasm") response.end("<html>");
      else response.writeHead(404).end("not here");
    });
    try {
      file("sources.yaml", `insecure_sources: ["${server.host}"]`);
      const pull = (path: string) => reeve("pull", "--sources-path", "sources.yaml", `${server.base}${path}`);
      assert.is((await pull("/policy.wasm")).exit, 0);
      assert.match((await reeve("policies")).stdout, `| ${server.base}/policy.wasm |`);
      const before = server.requests.length;
      assert.is((await pull("/policy.wasm")).exit, 0);
      assert.is(server.requests.length, before, "what is in the store is not fetched again");
      const page = await pull("/page.wasm");
      assert.equal([page.exit, page.stderr], [1, "Error: invalid wasm file\n"]);
      const missing = await pull("/missing.wasm");
      assert.is(missing.exit, 1);
      assert.match(missing.stderr, /404/);
      assert.equal(inStore(), [`http/${server.host}/policy.wasm`]);
      const refused = await reeve("pull", `${server.base}/other.wasm`);
      assert.match(
        refused.stderr,
        /^Error: .* is refused: without TLS only hosts in insecure_sources are spoken to/,
      );
    } finally {
      await server.stop();
    }
  }));

real(
  "proxies of the environment are used and bypassed, those of the sources file come first",
  () =>
    withRegistry(async ({ reeveWith, file, home }, host) => {
      const proxy = await startProxy();
      try {
        file("policy.wasm", policy);
        await reeveWith({}, "push", "policy.wasm", `${host}/tests/proxied:v1`);
        const digest = (env: Record<string, string>, ...flags: string[]) =>
          reeveWith({ env: { HOME: home, ...env } }, "digest", ...flags, `${host}/tests/proxied:v1`);
        assert.is((await digest({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url })).exit, 0);
        assert.ok(proxy.seen.length > 0);
        await proxy.reset();
        assert.is(
          (await digest({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: "localhost" })).exit,
          0,
        );
        assert.equal(proxy.seen, []);
        file(
          "sources.yaml",
          `insecure_sources: ["${host}"]\nproxies: {no_proxy: localhost, http_proxy: "${proxy.url}"}\n`,
        );
        assert.is(
          (await digest({ HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url }, "--sources-path", "sources.yaml"))
            .exit,
          0,
        );
        assert.equal(proxy.seen, []);
      } finally {
        await proxy.stop();
      }
    }),
);

test("a directory without Docker's config.json is warned of, and the run goes on", () =>
  inPlace(async ({ reeve, cwd }) => {
    const { stderr } = await reeve("pull", "--docker-config-json-path", ".", "file:///absent.wasm");
    assert.match(
      stderr,
      `WARN reeve: Docker config file not found. Check if you are pointing to the directory containing ` +
        `the file. The file path should be ${cwd}/config.json.`,
    );
    assert.not(existsSync(join(cwd, "config.json")));
  }));

test.run();
