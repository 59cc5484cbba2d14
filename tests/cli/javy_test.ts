// Policies that Javy built, from the build to the store: `annotate`, `inspect`, `run`, `test`, `bench` (`spec/cli.md` §15 rule 8).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { JAVY_POLICY, podRequest } from "../policies/javy_modules.ts";
import { inPlace, root, type TestPlace } from "./place.ts";

const METADATA = readFileSync(join(root, "tests/policies/wasi-javascript/metadata.yml"), "utf8");

async function importsOf(place: TestPlace, file: string): Promise<readonly string[]> {
  const module = await WebAssembly.compile(new Uint8Array(readFileSync(join(place.cwd, file))));
  return WebAssembly.Module.imports(module).filter(({ name }) => name === "call").map(({ module }) => module);
}

/** The module as Javy left it, and what `reeve annotate` makes of it. */
async function annotated(place: TestPlace): Promise<void> {
  const { file, reeve } = place;
  file("built.wasm", new Uint8Array(readFileSync(JAVY_POLICY)));
  file("metadata.yml", METADATA);
  const { exit, stdout, stderr } = await reeve(
    "annotate",
    "-m",
    "metadata.yml",
    "-o",
    "policy.wasm",
    "built.wasm",
  );
  assert.equal([exit, stdout], [0, ""], stderr);
  // The scan for capabilities doesn't see into QuickJS's bytecode otherwise than into any data: what is used is found.
  assert.not.match(stderr, /WARN|not declared|not detected/);
}

const answer = (stdout: string) =>
  JSON.parse(stdout) as { allowed: boolean; status?: { message?: string; code?: number }; patch?: string };

test("annotate gives the module the import that hosts have, and inspect reads it", () =>
  inPlace(async (place) => {
    await annotated(place);
    assert.equal(await importsOf(place, "built.wasm"), ["kubewarden:javy/host"]);
    assert.equal(await importsOf(place, "policy.wasm"), ["host"]);
    const { stdout } = await place.reeve("inspect", "policy.wasm");
    assert.match(stdout, "wasi-javascript");
    assert.match(stdout, /wasi/);
  }));

test("run: verdicts, settings, and what a script says when it fails", () =>
  inPlace(async (place) => {
    await annotated(place);
    for (const module of ["built.wasm", "policy.wasm"]) {
      const run = async (request: unknown, settings: object = {}) => {
        place.file("request.json", JSON.stringify(request));
        return await place.reeve(
          "run",
          module,
          "-r",
          "request.json",
          "--settings-json",
          JSON.stringify(settings),
        );
      };
      const accepted = await run(podRequest({ owner: "alice" }));
      assert.is(accepted.exit, 0, accepted.stderr);
      assert.ok(answer(accepted.stdout).allowed);
      const mutated = answer((await run(podRequest({ a: "b" }), { default: "nobody" })).stdout);
      assert.match(atob(mutated.patch!), '"value":"nobody"');
      const thrown = await run(podRequest({ owner: "alice" }, { do: "throw" }));
      assert.match(answer(thrown.stdout).status?.message ?? "", /Error: out of order/);
      const warned = await run(podRequest({ owner: "alice" }, { do: "console" }));
      assert.ok(answer(warned.stdout).allowed);
      assert.match(warned.stderr, "a warning 1 list");
      const refused = await run(podRequest({ owner: "alice" }), { nonsense: 1 });
      assert.is(refused.exit, 1);
      assert.match(refused.stderr, "unknown settings: nonsense");
    }
  }));

const EXCHANGES = `- type: Exchange
  request: |
    !DNSLookupHost
    host: registry.example
  response: { type: Success, payload: '{"ips":["192.0.2.7"]}' }
- type: Exchange
  request: |
    !KubernetesGetResource
    api_version: v1
    kind: Namespace
    name: shop
    namespace: null
    disable_cache: false
  response: { type: Success, payload: '{"metadata":{"name":"shop","labels":{"owner":"alice"}}}' }
`;

test("run: a recorded session answers a script's host calls, or fails them", () =>
  inPlace(async (place) => {
    await annotated(place);
    place.file("session.yml", EXCHANGES);
    place.file(
      "failed.yml",
      EXCHANGES.replace(
        /\{ type: Success, payload: '\{"ips.*/,
        "{ type: Error, message: the resolver is down }",
      ),
    );
    place.file("request.json", JSON.stringify(podRequest({ owner: "alice" }, { host: "registry.example" })));
    const replay = (module: string, session: string) =>
      place.reeve(
        ...["run", module, "-r", "request.json", "--settings-json", '{"ofNamespace":true}'],
        ...["--allow-context-aware", "--replay-host-capabilities-interactions", session],
      );
    for (const module of ["built.wasm", "policy.wasm"]) {
      const answered = await replay(module, "session.yml");
      assert.is(answered.exit, 0, answered.stderr);
      assert.ok(answer(answered.stdout).allowed, answered.stdout);
      assert.match(answered.stderr, "registry.example is 192.0.2.7");
      const failed = answer((await replay(module, "failed.yml")).stdout);
      assert.not.ok(failed.allowed);
      assert.match(failed.status?.message ?? "", /Host call failed.*the resolver is down/);
    }
  }));

test("test: a suite with a declared cluster and answers", () =>
  inPlace(async (place) => {
    await annotated(place);
    const suite = (policy: string) => ({
      policy,
      settings: { ofNamespace: true },
      context: {
        objects: [{
          apiVersion: "v1",
          kind: "Namespace",
          metadata: { name: "shop", labels: { owner: "alice" } },
        }],
        answers: [{
          call: "net/v1/dns_lookup_host",
          with: { host: "down.example" },
          error: "the resolver is down",
        }],
      },
      cases: [
        { name: "the namespace's owner", request: podRequest({ owner: "alice" }), allowed: true },
        {
          name: "somebody else",
          request: podRequest({ owner: "bob" }),
          allowed: false,
          message: { contains: 'in this namespace it is "alice"' },
        },
        {
          name: "a call that fails",
          request: podRequest({ owner: "alice" }, { host: "down.example" }),
          allowed: false,
          message: { contains: "the resolver is down" },
          code: 500,
        },
        { name: "settings that throw", settings: { do: "throw" }, settingsValid: false },
      ],
    });
    for (const module of ["built.wasm", "policy.wasm"]) {
      place.file("suite.yml", JSON.stringify(suite(module)));
      const { exit, stdout, stderr } = await place.reeve("test", "suite.yml");
      assert.is(exit, 0, `${stdout}${stderr}`);
      assert.match(stdout, "4 passed, 0 failed");
    }
  }));

test.run();
