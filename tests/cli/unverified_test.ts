// No command that verifies ends with 0 without having verified: configurations that require nothing, that cannot be
// read or are not there, empty flags, and a log that nobody reads.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { OCI_MANIFEST, WASM_LAYER } from "../artifact/_image.ts";
import { memoryRegistry, startServer } from "../artifact/_server.ts";
import { commandsInPath } from "./commands_in_path.ts";
import { inPlace, POLICY, type TestPlace } from "./place.ts";
import { signingKey } from "./signing.ts";

const policy = readFileSync(POLICY);
const key = signingKey();

/** A registry with a policy that a stranger has signed. */
async function withStranger(run: (place: TestPlace, image: string) => Promise<void>): Promise<void> {
  const memory = memoryRegistry();
  const config = memory.blob("tests/policy", "application/vnd.wasm.config.v1+json", Buffer.from("{}"));
  const layer = memory.blob("tests/policy", WASM_LAYER, policy);
  const { digest } = memory.manifest(
    "tests/policy",
    "v1",
    { schemaVersion: 2, config, layers: [layer] },
    OCI_MANIFEST,
  );
  const payload = JSON.stringify({
    critical: {
      identity: { "docker-reference": "" },
      image: { "docker-manifest-digest": digest },
      type: "cosign container image signature",
    },
    optional: null,
  });
  const signed = memory.blob(
    "tests/policy",
    "application/vnd.dev.cosign.simplesigning.v1+json",
    Buffer.from(payload),
    { "dev.cosignproject.cosign/signature": "AAAA" },
  );
  memory.manifest("tests/policy", `${digest.replace(":", "-")}.sig`, {
    schemaVersion: 2,
    config,
    layers: [signed],
  }, OCI_MANIFEST);
  const server = await startServer(memory.answer);
  try {
    await inPlace(async (place) => {
      mkdirSync(join(place.home, ".config/kubewarden"), { recursive: true });
      writeFileSync(
        join(place.home, ".config/kubewarden/sources.yaml"),
        JSON.stringify({ insecure_sources: [server.host] }),
      );
      place.file("request.json", "{}");
      place.file("key.pem", key.pem);
      await run(place, `registry://${server.host}/tests/policy:v1`);
    });
  } finally {
    await server.stop();
  }
}

const COMMANDS: Readonly<Record<string, (image: string) => readonly string[]>> = {
  verify: (image) => ["verify", image],
  pull: (image) => ["pull", image],
  run: (image) => ["run", image, "-r", "request.json"],
  bench: (image) => ["bench", image, "-r", "request.json"],
  explain: (image) => ["explain", image, "-r", "request.json"],
};

const entry = `{"kind":"pubKey","key":${JSON.stringify(key.pem)}}`;
/** Configurations by what is wrong with them. */
const CONFIGS: Readonly<Record<string, string>> = {
  "nothing at all": "",
  "an empty document": "{}",
  "a null document": "null",
  "a version alone": "apiVersion: v1",
  "an empty allOf": "apiVersion: v1\nallOf: []",
  "an empty allOf without version": "allOf: []",
  "null lists": "apiVersion: v1\nallOf: null\nanyOf: null",
  "anyOf that needs 0": `{"apiVersion":"v1","anyOf":{"minimumMatches":0,"signatures":[${entry}]}}`,
  "anyOf that needs less than 0": `{"apiVersion":"v1","anyOf":{"minimumMatches":-1,"signatures":[${entry}]}}`,
  "anyOf that needs a part": `{"apiVersion":"v1","anyOf":{"minimumMatches":0.5,"signatures":[${entry}]}}`,
  "anyOf that needs text": `{"apiVersion":"v1","anyOf":{"minimumMatches":"1","signatures":[${entry}]}}`,
  "anyOf that needs NaN": `apiVersion: v1\nanyOf:\n  minimumMatches: .nan\n  signatures: [${entry}]`,
  "anyOf that needs more than there is":
    `{"apiVersion":"v1","anyOf":{"minimumMatches":2,"signatures":[${entry}]}}`,
  "anyOf of nothing": `{"apiVersion":"v1","anyOf":{"minimumMatches":1,"signatures":[]}}`,
  "an empty anyOf of 0 beside an empty allOf":
    `{"apiVersion":"v1","allOf":[],"anyOf":{"minimumMatches":0,"signatures":[]}}`,
  "somebody else's key": `{"apiVersion":"v1","allOf":[${entry}]}`,
  "a key that is none": `{"apiVersion":"v1","allOf":[{"kind":"pubKey","key":"x"}]}`,
  "another version": `{"apiVersion":"v2","allOf":[${entry}]}`,
  "an unknown field": `{"apiVersion":"v1","AllOf":[${entry}]}`,
  "two documents": `apiVersion: v1\nallOf: []\n---\napiVersion: v1\nallOf: [${entry}]`,
};

for (const [name, words] of Object.entries(COMMANDS)) {
  test(`${name} does not end with 0 by a configuration that requires nothing, or cannot be met`, () =>
    withStranger(async ({ reeve, file, inStore }, image) => {
      for (const [what, text] of Object.entries(CONFIGS)) {
        file("verification.yml", text);
        const { exit, stdout, stderr } = await reeve(
          ...words(image),
          "--verification-config-path",
          "verification.yml",
        );
        assert.is(exit, 1, `${what}: ${stdout}${stderr}`);
        assert.match(stderr, /^Error: /m, what);
        assert.is(stdout, "", what);
      }
      assert.equal(inStore(), [], "nothing was fetched");
    }));

  test(`${name} does not end with 0 by flags that say nothing`, () =>
    withStranger(async ({ reeve, inStore }, image) => {
      for (
        const flags of [
          ["-k", ""],
          ["--github-owner", ""],
          ["--github-owner="],
          ["--github-owner", "o", "--github-repo", ""],
          ["--github-owner", "o", "--github-repo", "o/r"],
          ["--github-owner", "o*", "--github-repo", "r"],
          ["--cert-email", "", "--cert-oidc-issuer", ""],
          ["--cert-email", "a@b.c", "--cert-oidc-issuer", ""],
          ["--cert-email", "a@b.c"],
          ["--github-repo", "r"],
          ["-a", "x=y"],
          ["-a", "x", "-k", "key.pem"],
          ["--verification-config-path", ""],
          ["--verification-config-path", "absent.yml"],
          ["-k", "key.pem"],
        ]
      ) {
        const { exit, stdout, stderr } = await reeve(...words(image), ...flags);
        assert.ok(exit === 1 || exit === 2, `${flags.join(" ")}: ${exit} ${stdout}${stderr}`);
      }
      assert.equal(inStore(), []);
    }));
}

test("a default configuration that cannot be read is not taken for none", () =>
  withStranger(async ({ reeve, home, inStore }, image) => {
    const path = join(home, ".config/kubewarden/verification-config.yml");
    symlinkSync("nowhere", path);
    for (const words of Object.values(COMMANDS)) {
      const { exit, stderr } = await reeve(...words(image));
      assert.is(exit, 1);
      assert.match(stderr, "failed to read verification file");
    }
    assert.equal(inStore(), []);
  }));

test("nor is one in a folder that cannot be looked at", () =>
  withStranger(async ({ reeveWith, cwd, file, inStore }, image) => {
    symlinkSync("loop", join(cwd, "loop"));
    const host = image.split("/")[2]!;
    const sources = file("sources.yml", JSON.stringify({ insecure_sources: [host] }));
    for (const words of Object.values(COMMANDS)) {
      const { exit, stderr } = await reeveWith(
        { env: { XDG_CONFIG_HOME: join(cwd, "loop") } },
        ...words(image),
        "--sources-path",
        sources,
      );
      assert.is(exit, 1, stderr);
      assert.match(stderr, "cannot look for the default verification config");
    }
    assert.equal(inStore(), []);
  }));

test("a log that nobody reads does not end verify as if it had verified", () =>
  withStranger(async ({ home, cwd }, image) => {
    // Its first line is written before anything is verified.
    writeFileSync(
      join(home, ".config/kubewarden/verification-config.yml"),
      `{"apiVersion":"v1","allOf":[${entry}]}`,
    );
    const bin = commandsInPath(cwd);
    const exit = await new Promise((resolve, reject) => {
      const child = spawn(join(bin, "reeve"), ["-v", "verify", image], {
        cwd,
        env: { PATH: `${bin}:${process.env["PATH"]}`, HOME: home },
        stdio: ["ignore", "ignore", "pipe"],
      });
      child.stderr.destroy();
      child.on("error", reject);
      child.on("close", resolve);
    });
    assert.is(exit, 1);
  }));

test.run();
