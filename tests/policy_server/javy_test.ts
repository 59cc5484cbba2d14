/** A policy server with policies that Javy built, beside others: verdicts, host calls, scripts that fail or never end. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { startControlPlane } from "../cluster/control_plane.ts";
import { javyModules, podRequest } from "../policies/javy_modules.ts";
import { ask, reviewOf } from "./requests.ts";
import { failing, moduleUrl, serving } from "./server_process.ts";

const LABEL = "kubernetes.io/metadata.name";
const BUILT = moduleUrl("tests/policies/wasi-javascript/policy.wasm");

interface Response {
  readonly allowed: boolean;
  readonly status?: { readonly message?: string; readonly code?: number };
  readonly patch?: string;
}

async function review(
  server: Parameters<typeof ask>[0],
  policy: string,
  request: Readonly<Record<string, unknown>>,
): Promise<Response> {
  const { status, body } = await ask(server, { path: `/validate/${policy}`, body: reviewOf({}, request) });
  assert.is(status, 200, body);
  return (JSON.parse(body) as { response: Response }).response;
}

test("verdicts, host calls, failures and endless scripts, in both forms of the module, beside other policies", () => {
  let annotated = "";
  return serving({
    prepare(folder) {
      const file = join(folder, "annotated.wasm");
      writeFileSync(file, javyModules()[1]!.bytes!);
      annotated = pathToFileURL(file).href;
    },
    policies: () => ({
      built: { module: BUILT, hostCapabilities: ["net/*"], settings: {}, allowedToMutate: true },
      annotated: { module: annotated, hostCapabilities: ["net/*"], settings: {}, allowedToMutate: true },
      mutating: { module: annotated, settings: { default: "nobody" }, allowedToMutate: true },
      other: { module: moduleUrl("policies/required-labels/policy.wasm"), settings: { required: ["owner"] } },
    }),
    flags: ["--workers", "2", "--policy-timeout", "1"],
  }, async (server) => {
    const padded = await review(server, "mutating", podRequest({}, { do: "pad", bytes: "2000000" }));
    assert.ok(padded.allowed, padded.status?.message);
    assert.ok(atob(padded.patch!).length > 2_000_000);
    for (const policy of ["built", "annotated"]) {
      assert.ok((await review(server, policy, podRequest({ owner: "a" }))).allowed);
      assert.equal((await review(server, policy, podRequest({}))).status, {
        message: 'the label "owner" is missing',
        code: 422,
      });
      assert.ok((await review(server, policy, podRequest({ owner: "a" }, { host: "127.0.0.1" }))).allowed);
      await server.logged("127.0.0.1 is 127.0.0.1");
      const failed = await review(
        server,
        policy,
        podRequest({ owner: "a" }, { host: "no-such-host.invalid" }),
      );
      assert.match(failed.status?.message ?? "", /Host call failed/);
      assert.is(failed.status?.code, 500);
      const thrown = await review(server, policy, podRequest({ owner: "a" }, { do: "throw" }));
      assert.match(thrown.status?.message ?? "", /Error: out of order/);
      const [endless, ...others] = await Promise.all([
        review(server, policy, podRequest({ owner: "a" }, { do: "loop" })),
        ...Array.from(
          { length: 8 },
          (_, index) => review(server, index % 2 ? "other" : policy, podRequest({ owner: `${index}` })),
        ),
      ]);
      assert.not.ok(endless.allowed);
      assert.is(endless.status?.code, 500);
      assert.match(endless.status?.message ?? "", /interrupted/);
      assert.ok(others.every(({ allowed }) => allowed));
      for (let turn = 0; turn < 3; turn++) {
        const { status } = await review(server, policy, podRequest({ owner: "a" }, { do: "remember" }));
        assert.match(status?.message ?? "", /Error: 1 seen, turn 1, true/);
      }
    }
  });
});

test("settings that a script refuses keep the server from starting", () =>
  failing({
    policies: { bad: { module: BUILT, settings: { nonsense: 1 } } },
  }, ({ code, stdout, stderr }) => {
    assert.is(code, 1);
    assert.match(`${stdout}${stderr}`, "unknown settings: nonsense");
  }));

const needsCluster = "a script reads the cluster";
if (binariesFolder() === undefined) test.skip(`${needsCluster} (${HOW_TO_GET_BINARIES})`, () => {});
else {
  test(needsCluster, async () => {
    const plane = await startControlPlane();
    try {
      const contextAwareResources = [{ apiVersion: "v1", kind: "Namespace" }];
      const settings = { label: LABEL, ofNamespace: true };
      await serving({
        policies: {
          built: { module: BUILT, settings, contextAwareResources, hostCapabilities: ["kubernetes/*"] },
        },
        env: { KUBECONFIG: plane.kubeconfig },
      }, async (server) => {
        const named = (name: string) => ({ ...podRequest({ [LABEL]: name }), namespace: "default" });
        const own = await review(server, "built", named("default"));
        assert.ok(own.allowed, own.status?.message);
        assert.match(
          (await review(server, "built", named("other"))).status?.message ?? "",
          'in this namespace it is "default"',
        );
        const gone = await review(server, "built", { ...named("other"), namespace: "gone" });
        assert.not.ok(gone.allowed);
        assert.match(gone.status?.message ?? "", /Host call failed/);
      });
    } finally {
      await plane.stop();
    }
  });
}

test.run();
