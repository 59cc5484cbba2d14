/**
 * Answers of token services (distribution's "Token Authentication" asks for `token`, or `access_token` for OAuth 2.0), and how registries
 * ask (RFC 9110 §11.6.1; Artifactory and Nexus let anybody in at `/v2/`, and ask at the repository).
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { manifestDigest } from "../../artifact/mod.ts";
import { OCI_MANIFEST } from "./_image.ts";
import { memoryRegistry, startServer } from "./_server.ts";
import { inDirectory, insecure, listening } from "./_setting.ts";

const ANSWERS: readonly (readonly [string, unknown, boolean])[] = [
  ["token", { token: "T" }, true],
  ["access_token", { access_token: "T" }, true],
  ["both", { token: "T", access_token: "T" }, true],
  ["an empty token beside", { token: "", access_token: "T" }, true],
  ["a null token beside", { token: null, access_token: "T" }, true],
  ["a null access_token beside", { token: "T", access_token: null, expires_in: null, issued_at: null }, true],
  ["a token of another type beside", { token: 7, access_token: "T" }, true],
  ["a token with a blank beside", { token: "T T", access_token: "T" }, true],
  ["a token that is a map beside", { token: { token: "X" }, access_token: "T", scope: 7 }, true],
  ["neither", {}, false],
  ["both empty", { token: "", access_token: "" }, false],
  ["null", null, false],
  ["a list", ["T"], false],
  ["blanks in it", { token: "T T" }, false],
];

for (const [what, answer, accepted] of ANSWERS) {
  test(`a token service answers with ${what}`, async () => {
    const registry = memoryRegistry();
    registry.manifest("a/b", "v1", { schemaVersion: 2, config: null, layers: [] }, OCI_MANIFEST);
    const server = await startServer((request, response, body) => {
      if (request.url?.startsWith("/token")) return void response.end(JSON.stringify(answer));
      if (request.headers.authorization === "Bearer T") return registry.answer(request, response, body);
      response.statusCode = 401;
      response.setHeader(
        "www-authenticate",
        `Bearer realm="http://${request.headers.host}/token",service="s"`,
      );
      response.end();
    });
    try {
      const { options } = listening({ sources: insecure(server.host) });
      const got = await manifestDigest(`${server.host}/a/b:v1`, options).then(
        () => "accepted",
        (error: Error) => error.message,
      );
      if (accepted) assert.is(got, "accepted");
      else assert.match(got, /Not authorized: .*answered with no token/);
    } finally {
      await server.stop();
    }
  });
}

const BASIC = `Basic ${btoa("u:p")}`;
const LOGIN = { auth: btoa("u:p") };

/** [what, the challenge by the server's address, the entry of `auths`, whether `/v2/` asks already, what is sent in the end]. */
const CHALLENGES:
  readonly (readonly [string, (base: string) => string, object, boolean, string | undefined])[] = [
    ["Basic at /v2/", () => `Basic realm="x"`, LOGIN, true, BASIC],
    ["Basic at the repository alone", () => `Basic realm="Artifactory Realm"`, LOGIN, false, BASIC],
    [
      "Bearer at the repository alone",
      (base) => `Bearer realm="${base}/token",service="s"`,
      LOGIN,
      false,
      "Bearer T",
    ],
    [
      "Bearer at the repository alone, of nobody",
      (base) => `Bearer realm="${base}/token"`,
      {},
      false,
      "Bearer anonymous",
    ],
    [
      "Bearer with its scope",
      (base) => `Bearer realm="${base}/token",service="s",scope="repository:a/b:pull"`,
      LOGIN,
      true,
      "Bearer T",
    ],
    [
      "Bearer after Basic",
      (base) => `Basic realm="x", Bearer realm="${base}/token",service="s"`,
      LOGIN,
      true,
      "Bearer T",
    ],
    [
      "bearer in small letters, its parameters apart",
      (base) => `bearer  service = "s" , realm = "${base}/token"`,
      LOGIN,
      true,
      "Bearer T",
    ],
    ["a realm with a query", (base) => `Bearer realm="${base}/token?account=u"`, LOGIN, true, "Bearer T"],
    [
      "an error beside",
      (base) => `Bearer realm="${base}/token",error="invalid_token"`,
      LOGIN,
      true,
      "Bearer T",
    ],
    ["another way that is not known", () => `Negotiate`, LOGIN, true, BASIC],
    [
      "the registry's own token",
      (base) => `Bearer realm="${base}/token"`,
      { registrytoken: "R" },
      true,
      "Bearer R",
    ],
    [
      "the registry's own token, at the repository alone",
      (base) => `Bearer realm="${base}/token"`,
      { registrytoken: "R" },
      false,
      "Bearer R",
    ],
    [
      "the registry's own token where it wants a password",
      () => `Basic realm="x"`,
      { registrytoken: "R" },
      true,
      undefined,
    ],
  ];

for (const [what, challenge, entry, atBase, sent] of CHALLENGES) {
  test(`a registry asks by ${what}`, () =>
    inDirectory(async (directory) => {
      const registry = memoryRegistry();
      registry.manifest("a/b", "v1", { schemaVersion: 2, config: null, layers: [] }, OCI_MANIFEST);
      const server = await startServer((request, response, body) => {
        if (request.url?.startsWith("/token")) {
          const known = request.headers.authorization === BASIC;
          return void response.end(JSON.stringify({ token: known ? "T" : "anonymous" }));
        }
        if (request.url === "/v2/" && !atBase) return void response.end("{}");
        if (sent !== undefined && request.headers.authorization === sent) {
          return registry.answer(request, response, body);
        }
        response.statusCode = 401;
        response.setHeader("www-authenticate", challenge(`http://${request.headers.host}`));
        response.end();
      });
      try {
        await writeFile(join(directory, "config.json"), JSON.stringify({ auths: { [server.host]: entry } }));
        const { options, lines } = listening({ sources: insecure(server.host), dockerConfigDir: directory });
        const got = await manifestDigest(`${server.host}/a/b:v1`, options).then(
          () => "accepted",
          (error: Error) => error.message,
        );
        if (sent !== undefined) assert.is(got, "accepted", lines().join("\n"));
        else {assert.match(
            got,
            /Not authorized: .*the registrytoken is not used: \S+ asks for a user name and a password/,
          );}
        assert.not.match(got + lines().join("\n"), /Bearer|dTpw/);
      } finally {
        await server.stop();
      }
    }));
}

test("who answers in the registry's place, after a redirect, gets no credentials", () =>
  inDirectory(async (directory) => {
    const elsewhere = await startServer((_request, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="x"' }).end();
    });
    const server = await startServer((request, response) => {
      if (request.url === "/v2/") return void response.end("{}");
      response.writeHead(307, { location: `${elsewhere.base}/m` }).end();
    });
    try {
      await writeFile(
        join(directory, "config.json"),
        JSON.stringify({ auths: { [server.host]: LOGIN, [elsewhere.host]: LOGIN } }),
      );
      const { options } = listening({
        sources: insecure(server.host, elsewhere.host),
        dockerConfigDir: directory,
        limits: { retries: 0 },
      });
      const said = await manifestDigest(`${server.host}/a/b:v1`, options).then(
        () => "accepted",
        ({ message }) => message,
      );
      assert.match(said, "Not authorized");
      assert.ok(elsewhere.requests.length > 0);
      const given = [...server.requests, ...elsewhere.requests].map(({ headers }) => headers.authorization);
      assert.equal([...new Set(given)], [undefined]);
    } finally {
      await server.stop();
      await elsewhere.stop();
    }
  }));

test.run();
