// No command that verifies ends with code 0 unless it has verified, whatever is broken, missing or closed.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { putImage } from "../artifact/_image.ts";
import { REGISTRY_BINARY, REGISTRY_MISSING, startRegistry } from "../artifact/_registry.ts";
import { bundleFile } from "../programs.ts";
import { inPlace, POLICY, type TestPlace } from "./place.ts";
import { signImage, signingKey } from "./signing.ts";

/** Where nothing listens. */
const UNREACHABLE = "registry://localhost:1/policy:v1";
const SUITE = (uri: string) =>
  JSON.stringify({ policy: uri, cases: [{ name: "a", request: {}, expect: { allowed: true } }] });

/** Every command that verifies what it fetches, with the words that come after the flags. */
const COMMANDS: Readonly<Record<string, (uri: string) => readonly string[]>> = {
  verify: (uri) => ["verify", uri],
  pull: (uri) => ["pull", uri],
  "pull to a file": (uri) => ["pull", "-o", "pulled.wasm", uri],
  run: (uri) => ["run", uri, "-r", "request.json"],
  explain: (uri) => ["explain", uri, "-r", "request.json"],
  bench: (uri) => ["bench", "--num-samples", "10", uri, "-r", "request.json"],
  "scaffold manifest": (uri) => ["scaffold", "manifest", "-t", "ClusterAdmissionPolicy", uri],
  test: () => ["test", "suite.yml"],
};

/** Flags that ask for something to be verified, in a way that can't work. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  "a key that is missing": ["-k", "absent.pub"],
  "a key that is empty": ["-k", "empty"],
  "a key that is a folder": ["-k", "."],
  "a key that is none": ["-k", "garbage"],
  "an empty name of a key": ["-k="],
  "a configuration that is missing": ["--verification-config-path", "absent.yml"],
  "an empty name of a configuration": ["--verification-config-path="],
  "a configuration that is a folder": ["--verification-config-path", "."],
  "an empty configuration": ["--verification-config-path", "empty"],
  "a configuration of spaces": ["--verification-config-path", "spaces.yml"],
  "garbage as a configuration": ["--verification-config-path", "garbage"],
  "a configuration without signers": ["--verification-config-path", "no_signers.yml"],
  "a configuration with null lists": ["--verification-config-path", "nulls.yml"],
  "a configuration of another version": ["--verification-config-path", "v2.yml"],
  "an empty object as a configuration": ["--verification-config-path", "object.yml"],
  "a configuration with an unknown field": ["--verification-config-path", "unknown.yml"],
  "a configuration that names one field twice": ["--verification-config-path", "twice.yml"],
  "a key and a configuration": ["-k", "good.pub", "--verification-config-path", "good.yml"],
  "an e-mail address alone": ["--cert-email", "a@example.com"],
  "an issuer alone": ["--cert-oidc-issuer", "https://issuer.example.com"],
  "empty identities": ["--cert-email=", "--cert-oidc-issuer="],
  "a repository alone": ["--github-repo", "repo"],
  "an empty owner": ["--github-owner="],
  "an annotation alone": ["-a", "a=b"],
  "an annotation without a value": ["-k", "good.pub", "-a", "ab"],
  "a trust root that is missing": ["--github-owner", "o", "--sigstore-trust-config", "absent.json"],
  "a trust root that is garbage": ["-k", "good.pub", "--sigstore-trust-config", "garbage"],
  "an empty trust root": ["-k", "good.pub", "--sigstore-trust-config", "object.yml"],
  "sources that are missing": ["-k", "good.pub", "--sources-path", "absent.yml"],
  "a flag that is unknown": ["-k", "good.pub", "--verify-not"],
  "a flag without its value": ["-k"],
  // All is well but for whom it is asked of.
  "a good key": ["-k", "good.pub"],
  "a good configuration": ["--verification-config-path", "good.yml"],
};

/** They share how flags are read, so that not everything is tried on all of them. */
const TRIED_IN_FULL = ["verify", "pull", "run"];
const TRIED_EVERYWHERE = [
  "a key that is missing",
  "a configuration that is missing",
  "an empty configuration",
  "a flag that is unknown",
  "a good key",
];

function prepare({ file }: TestPlace, key: string, uri: string): void {
  const signers = `allOf:\n- kind: pubKey\n  key: |\n${key.trim().replace(/^/gm, "    ")}\n`;
  file("request.json", "{}");
  file("suite.yml", SUITE(uri));
  file("good.pub", key);
  file("empty", "");
  file("garbage", new Uint8Array([0, 255, 1, 254, 27, 91, 10, 58, 123]));
  file("spaces.yml", " \n\n");
  file("object.yml", "{}");
  file("no_signers.yml", "apiVersion: v1\n");
  file("nulls.yml", "apiVersion: v1\nallOf: null\nanyOf: null\n");
  file("v2.yml", `apiVersion: v2\n${signers}`);
  file("unknown.yml", `apiVersion: v1\nanyone: true\n${signers}`);
  file("twice.yml", `apiVersion: v1\n${signers}allOf: []\n`);
  file("good.yml", `apiVersion: v1\n${signers}`);
}

interface Ended {
  readonly exit: number | null;
  readonly text: string;
}

/** What is closed from the beginning. */
type Closed = "stdout" | "stderr" | "all";

/** Runs the tool; `closed` outputs have no reader. */
function reeve(place: TestPlace, words: readonly string[], closed?: Closed): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bundleFile("reeve"), ...words], {
      cwd: place.cwd,
      // Nothing is fetched from anywhere.
      env: { PATH: process.env["PATH"], HOME: place.home, HTTPS_PROXY: "http://localhost:1" },
      stdio: ["pipe", "pipe", "pipe"],
    });
    if (closed === "all") child.stdin.destroy();
    else child.stdin.end();
    if (closed === "stdout" || closed === "all") child.stdout.destroy();
    if (closed === "stderr" || closed === "all") child.stderr.destroy();
    let text = "";
    for (const output of [child.stdout, child.stderr]) output.on("data", (piece) => text += piece);
    child.on("error", reject);
    child.on("close", (exit) => resolve({ exit, text }));
  });
}

for (const [name, words] of Object.entries(COMMANDS)) {
  test(`${name}: what can't be verified is no success`, () =>
    inPlace(async (place) => {
      const { pem } = signingKey();
      prepare(place, pem, UNREACHABLE);
      const cases = Object.entries(FLAGS).filter(([what]) =>
        TRIED_IN_FULL.includes(name) || TRIED_EVERYWHERE.includes(what)
      );
      // Two at a time.
      await Promise.all([0, 1].map(async (half) => {
        for (const [index, [what, flags]] of cases.entries()) {
          if (index % 2 !== half) continue;
          const { exit, text } = await reeve(place, [...words(UNREACHABLE), ...flags]);
          assert.ok(exit === 1 || exit === 2, `${name}, ${what}: ended with ${exit}: ${text}`);
          assert.not.match(text, /^\s+at .*\(/m, `${name}, ${what}: ${text}`);
        }
      }));
      assert.equal(place.inStore(), []);
    }));
}

test("a closed output or input is no success either", () =>
  inPlace(async (place) => {
    prepare(place, signingKey().pem, UNREACHABLE);
    for (const [name, words] of Object.entries(COMMANDS)) {
      for (const closed of ["stdout", "stderr", "all"] as const) {
        for (const flags of [["-k", "good.pub"], ["-k", "absent.pub"], ["--unknown"]]) {
          const { exit } = await reeve(place, [...words(UNREACHABLE), ...flags], closed);
          assert.ok(exit === 1 || exit === 2, `${name} ${flags}, ${closed} closed: ended with ${exit}`);
        }
      }
    }
    for (const closed of ["stdout", "stderr", "all"] as const) {
      assert.is((await reeve(place, ["verify"], closed)).exit, 2);
      assert.is((await reeve(place, [], closed)).exit, 2);
    }
  }));

test("a default configuration that can't be read is not taken for none", () =>
  inPlace(async (place) => {
    prepare(place, signingKey().pem, "file:///policy.wasm");
    const folder = join(place.home, ".config/kubewarden");
    mkdirSync(folder, { recursive: true });
    const policy = place.file("policy.wasm", readFileSync(POLICY));
    const config = join(folder, "verification-config.yml");
    for (const target of [config, join(folder, "absent.yml")]) {
      // Links to itself, and to nothing: `exists` says no to both.
      symlinkSync(target, config);
      for (const words of [["pull", `file://${policy}`], ["pull", UNREACHABLE], ["verify", UNREACHABLE]]) {
        const { exit, text } = await reeve(place, words);
        assert.is(exit, 1, `${words} ${text}`);
        assert.match(text, /verification-config\.yml|could not read|no such file|too many/i, words.join(" "));
      }
      unlinkSync(config);
    }
  }));

const withRegistry = (REGISTRY_BINARY === undefined ? test.skip : test) as typeof test;

withRegistry(
  `what is signed by another key, or not at all, is no success${
    REGISTRY_BINARY === undefined ? ` (${REGISTRY_MISSING})` : ""
  }`,
  () =>
    inPlace(async (place) => {
      const registry = await startRegistry();
      try {
        const signer = signingKey(), other = signingKey();
        const uri = `registry://${registry.host}/policies/signed:v1`;
        prepare(place, other.pem, uri);
        place.file("signer.pub", signer.pem);
        place.file("sources.yml", JSON.stringify({ insecure_sources: [registry.host] }));
        const layer = {
          mediaType: "application/vnd.wasm.content.layer.v1+wasm",
          bytes: new Uint8Array(readFileSync(POLICY)),
        };
        const sources = ["--sources-path", "sources.yml"];
        const digest = await putImage(`http://${registry.host}`, "policies/signed", "v1", [layer]);
        const unsigned = await reeve(place, ["verify", uri, ...sources, "-k", "signer.pub"]);
        assert.is(unsigned.exit, 1, unsigned.text);
        await signImage(registry.host, "policies/signed", digest, [signer]);
        for (const [name, words] of Object.entries(COMMANDS)) {
          for (const closed of [undefined, "stderr", "all"] as const) {
            for (
              const flags of [["-k", "good.pub"], ["-k", "signer.pub", "-k", "good.pub"], [
                "-k",
                "signer.pub",
                "-a",
                "x=y",
              ]]
            ) {
              const { exit, text } = await reeve(place, [...words(uri), ...sources, ...flags], closed);
              assert.is(exit, 1, `${name} ${flags}, ${closed} closed: ${text}`);
            }
          }
        }
        assert.equal(place.inStore(), []);
        const verified = await reeve(place, ["verify", uri, ...sources, "-k", "signer.pub"]);
        assert.is(verified.exit, 0, verified.text);
      } finally {
        await registry.stop();
      }
    }),
);

test.run();
