// scaffold admission-request (spec/cli.md §16.3).
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startServer } from "../artifact/_server.ts";
import { inPlace } from "./place.ts";

test("admission-request: numbers as kubectl sends them, and objects that are none", () =>
  inPlace(async ({ reeve, file, cwd }) => {
    file(
      "new.yml",
      "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: t}\nspec: {big: 12345678901234567890, one: 1.0}\n",
    );
    file("odd.yml", "apiVersion: v1\nkind: Pod\nspec: {a:}\n");
    file("two.yml", "---\napiVersion: v1\nkind: Pod\n---\napiVersion: v1\nkind: Pod\n");
    const before = readFileSync(file("kept.yml", "apiVersion: v1\nkind: Pod\n"));
    const request = (...words: string[]) => reeve("scaffold", "admission-request", ...words);
    const create = await request("-o", "CREATE", "--object", "new.yml");
    assert.is(create.exit, 0);
    assert.match(create.stdout, '"big": 12345678901234567000,\n      "one": 1\n');
    const { object, ...rest } = JSON.parse(create.stdout);
    assert.equal([object.metadata.name, rest.operation, "namespace" in rest], ["t", "CREATE", false]);
    assert.equal(rest.kind, { group: "example.org", version: "v1", kind: "Thing" });
    assert.match(
      create.stderr,
      'Could not find information for GroupVersionKind { group: "example.org", version: "v1", kind: "Thing" }',
    );
    for (
      const [words, text] of [
        [["-o", "CREATE"], "CREATE operation requires an object"],
        [
          ["-o", "CREATE", "--object", "kept.yml", "--old-object", "kept.yml"],
          "CREATE operation does not require an old_object",
        ],
        [
          ["-o", "CREATE", "--object", "odd.yml"],
          "failed to parse object file odd.yml: `:` is part of a key for kubectl, write a blank behind it at line 3 column 8",
        ],
        [
          ["-o", "CREATE", "--object", "two.yml"],
          "failed to parse object file two.yml: more than one document, expected one at line 5 column 1",
        ],
        [
          ["-o", "CREATE", "--object", "absent.yml"],
          "failed to open object file absent.yml: No such file or directory (os error 2)",
        ],
      ] as const
    ) {
      assert.equal(await request(...words).then(({ exit, stderr }) => [exit, stderr]), [
        1,
        `Error: ${text}\n`,
      ]);
    }
    assert.is((await request("-o", "PATCH", "--object", "new.yml")).exit, 2);
    file("untyped.yml", "kind: Pod\n");
    assert.is(
      (await request("-o", "CREATE", "--object", "untyped.yml")).stderr,
      "Error: object defined inside of untyped.yml is missing types\n",
    );
    file("two.yml", "kind: Pod\n---\nkind: Pod\n");
    assert.match(
      (await request("-o", "CREATE", "--object", "two.yml")).stderr,
      /^Error: failed to parse object file two\.yml: /,
    );
    await request("-o", "CREATE", "--object", "kept.yml");
    assert.equal(readFileSync(join(cwd, "kept.yml")), before);
  }));

test("admission-request: what a cluster knows of kinds is asked once, and again for what is missing", () =>
  inPlace(async ({ reeveWith, file, home }) => {
    const thing = { name: "things", kind: "Thing", namespaced: true, verbs: [], singularName: "" };
    const server = await startServer((request, response) => {
      const answers: Record<string, unknown> = {
        "/api/v1": {
          resources: [null, 7, { name: null, kind: "X" }, { name: "pods", kind: "Pod", namespaced: true }, {
            name: "pods/log",
            kind: "Pod",
            namespaced: true,
          }],
        },
        // The server of an aggregated API may be down, and members may be null.
        "/apis": {
          groups: [
            null,
            { name: "no.version", preferredVersion: null },
            { name: "down.io", preferredVersion: { version: "v1" } },
            { name: "null.io", preferredVersion: { version: "v1" } },
            { name: "example.org", preferredVersion: { version: "v1" } },
          ],
        },
        "/apis/null.io/v1": { resources: null },
        "/apis/example.org/v1": { resources: [thing] },
      };
      const found = answers[request.url ?? ""];
      response.writeHead(found ? 200 : 404, { "content-type": "application/json" }).end(
        JSON.stringify(found ?? {}),
      );
    });
    try {
      const kubeconfig = file(
        "kubeconfig",
        JSON.stringify({
          apiVersion: "v1",
          kind: "Config",
          clusters: [{ name: "c", cluster: { server: server.base, "insecure-skip-tls-verify": true } }],
          users: [{ name: "u", user: { token: "t" } }],
          contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
          "current-context": "x",
        }),
      );
      const request = async (apiVersion: string, kind: string) => {
        file("o.json", JSON.stringify({ apiVersion, kind, metadata: { name: "n" } }));
        const { exit, stdout, stderr } = await reeveWith(
          { env: { HOME: home, KUBECONFIG: kubeconfig } },
          ..."scaffold admission-request -o CREATE --object o.json".split(" "),
        );
        assert.is(exit, 0, stderr);
        return { ...JSON.parse(stdout), stderr };
      };
      const pod = await request("v1", "Pod");
      assert.equal([pod.resource.resource, pod.namespace], ["pods", "default"], pod.stderr);
      assert.equal(pod.requestResource, pod.resource);
      assert.match(
        pod.stderr,
        /WARN .*the resources of an API group are unknown group="?down\.io"? error=.*HTTP status 404/,
      );
      const asked = server.requests.length;
      const catalog = join(home, ".cache/kubewarden/kwctl/resource_catalog.json");
      const { resources } = JSON.parse(readFileSync(catalog, "utf8"));
      assert.equal(Object.keys(resources).sort(), ["example.org|v1|Thing", "|v1|Pod"]);
      assert.is((await request("example.org/v1", "Thing")).resource.resource, "things");
      assert.is(server.requests.length, asked, "the file answers");
      const unknown = await request("v2", "Other");
      assert.match(unknown.resource.resource, "this-is-the-plural-name-of-the-resource");
      assert.match(unknown.stderr, "some scaffolded data is not going to be accurate");
      assert.is(server.requests.length, 2 * asked, "one refresh");
      mkdirSync(join(home, ".cache/kubewarden/kwctl"), { recursive: true });
      writeFileSync(catalog, "spoilt");
      assert.is((await request("v1", "Pod")).resource.resource, "pods");
    } finally {
      await server.stop();
    }
  }));

test.run();
