/** Answers of token services (distribution's "Token Authentication" asks for `token`, or `access_token` for OAuth 2.0). */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { manifestDigest } from "../../artifact/mod.ts";
import { OCI_MANIFEST } from "./_image.ts";
import { memoryRegistry, startServer } from "./_server.ts";
import { insecure, listening } from "./_setting.ts";

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

test.run();
