/** Policies from a real registry, signed by the real cosign: the way from policies.yml to a verdict (`spec/policy-server.md §3.3`). */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { pushPolicy } from "../../artifact/mod.ts";
import { cosign, COSIGN_MISSING, COSIGN_THERE } from "../artifact/_cosign.ts";
import {
  REGISTRY_BINARY,
  REGISTRY_MISSING,
  startRegistry,
  type TestRegistry,
} from "../artifact/_registry.ts";
import { insecure } from "../artifact/_setting.ts";
import { client } from "./requests.ts";
import { failing, moduleUrl, type ServerProcess, serving } from "./server_process.ts";

const MODULE = "policies/pod-privileged/policy.wasm";
const root = new URL("../../", import.meta.url);
const review = readFileSync(new URL("policies/pod-privileged/requests/privileged.json", root), "utf8");

async function withRegistry(
  use: (registry: TestRegistry, folder: string, digest: string) => Promise<void>,
): Promise<void> {
  const registry = await startRegistry();
  const folder = mkdtempSync(join(tmpdir(), "policy-registry-"));
  try {
    const options = { sources: insecure(registry.host), env: { HOME: folder } };
    const pushed = await pushPolicy(
      new URL(MODULE, root).pathname,
      `registry://${registry.host}/policies/pod-privileged:v1`,
      {},
      options,
    );
    writeFileSync(join(folder, "sources.yml"), `insecure_sources: ["${registry.host}"]\n`);
    await use(registry, folder, pushed.digest);
  } finally {
    await registry.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function rejects(server: ServerProcess, policy: string): Promise<void> {
  const http = client(server);
  try {
    const answer = await http.ask({ path: `/validate/${policy}`, body: review });
    assert.is(answer.status, 200);
    assert.equal(JSON.parse(answer.body).response.status, { message: "Privileged container is not allowed" });
  } finally {
    http.close();
  }
}

const withRegistryBinary = REGISTRY_BINARY === undefined ? test.skip : test;
const because = REGISTRY_BINARY === undefined ? ` (${REGISTRY_MISSING})` : "";

withRegistryBinary(
  `a policy is pulled from a registry once, kept in the store, and served${because}`,
  () =>
    withRegistry(async ({ host }, folder) => {
      const module = `registry://${host}/policies/pod-privileged:v1`;
      const flags = [
        "--sources-path",
        join(folder, "sources.yml"),
        "--policies-download-dir",
        join(folder, "store"),
      ];
      await serving({ policies: { one: { module }, two: { module } }, flags }, async (server) => {
        await rejects(server, "one");
        await rejects(server, "two");
        assert.is(server.lines("sha256sum=").length, 1, "one module for both policies");
      });
      assert.ok(existsSync(join(folder, "store", "registry", host, "policies", "pod-privileged:v1")));
    }),
);

withRegistryBinary(
  `a policy that is not in the registry stops the start, with the reason${because}`,
  () =>
    withRegistry(async ({ host }, folder) => {
      const module = `registry://${host}/policies/absent:v1`;
      const flags = [
        "--sources-path",
        join(folder, "sources.yml"),
        "--policies-download-dir",
        join(folder, "store"),
      ];
      await failing({ policies: { wrong: { module } }, flags }, ({ code, stderr }) => {
        assert.is(code, 1);
        assert.match(stderr, `Error while downloading policy 'wrong' from ${module}: `);
        assert.not.match(stderr, /\n\s+at /);
      });
    }),
);

const withCosign = REGISTRY_BINARY === undefined || !COSIGN_THERE ? test.skip : test;
const why = REGISTRY_BINARY === undefined ? because : COSIGN_THERE ? "" : ` (${COSIGN_MISSING})`;

withCosign(
  `only what the configured key signed is served${why}`,
  () =>
    withRegistry(async ({ host }, folder, digest) => {
      for (const name of ["right", "wrong"]) {
        await cosign(folder, "generate-key-pair", "--output-key-prefix", name);
      }
      const image = `${host}/policies/pod-privileged@${digest}`;
      const sign = ["sign", "--use-signing-config=false", "--allow-http-registry", "--tlog-upload=false"];
      await cosign(folder, ...sign, "--new-bundle-format=false", "--key", "right.key", image);
      const module = `registry://${host}/policies/pod-privileged:v1`;
      const flagsFor = (name: string): readonly string[] => {
        const key = readFileSync(join(folder, `${name}.pub`), "utf8");
        writeFileSync(
          join(folder, `${name}.yml`),
          JSON.stringify({ apiVersion: "v1", allOf: [{ kind: "pubKey", key }] }),
        );
        // No trust root can be had: keys need none, and the start says what is missing.
        writeFileSync(join(folder, "no-root.json"), "{}");
        return [
          ...[
            "--sources-path",
            join(folder, "sources.yml"),
            "--policies-download-dir",
            join(folder, "store"),
          ],
          ...["--verification-path", join(folder, `${name}.yml`)],
          ...["--sigstore-trust-config", join(folder, "no-root.json")],
        ];
      };
      await serving({ policies: { signed: { module } }, flags: flagsFor("right") }, async (server) => {
        await rejects(server, "signed");
        assert.is(server.lines("Cannot create Sigstore trust root").length, 1);
        assert.is(server.lines('status="verified-local-checksum"').length, 1);
      });
      await failing({ policies: { signed: { module } }, flags: flagsFor("wrong") }, ({ code, stderr }) => {
        assert.is(code, 1);
        assert.match(
          stderr,
          "Policy 'signed' cannot be verified: Image verification failed: missing signatures",
        );
      });
      // Only what comes from a registry can be signed: verification refuses everything else.
      await failing(
        { policies: { local: { module: moduleUrl(MODULE) } }, flags: flagsFor("right") },
        (failed) => {
          assert.is(failed.code, 1);
          assert.match(failed.stderr, "Policy 'local' cannot be verified: ");
        },
      );
    }),
);

test.run();
