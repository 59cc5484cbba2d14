// What lies below a urlPrefix: URLs are compared as URLs, and what can be read in two ways lies nowhere.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ArtifactError, parseVerificationConfig, readSigstoreRequest } from "../../artifact/mod.ts";
import { layerMeets } from "../../artifact/render/constraint.ts";
import { isBelow } from "../../artifact/types/url_prefix.ts";
import { urlPrefix } from "../../artifact/types/verification_config.ts";

const OWNER = "https://github.com/kubewarden/";

const BELOW: readonly string[] = [
  "https://github.com/kubewarden/policy/.github/workflows/release.yml@refs/tags/v1",
  "https://github.com/kubewarden/a",
  "https://github.com/kubewarden/",
  "https://GitHub.com/kubewarden/a",
  "HTTPS://github.com:443/kubewarden/a",
  "https://github.com/kubewarden/a?x=/../evil#/../y",
  "https://github.com/kubewarden/a%20b",
  "https://github.com/kubewarden/...",
];

const NOT_BELOW: readonly string[] = [
  "https://github.com/kubewarden",
  "https://github.com/kubewarden-evil/a",
  "https://github.com/Kubewarden/a",
  "https://github.com/kubewarden/../evil/a",
  "https://github.com/kubewarden/a/../../evil/b",
  "https://github.com/kubewarden/..",
  "https://github.com/kubewarden/%2e%2e/evil/a",
  "https://github.com/kubewarden/%2E./evil/a",
  "https://github.com/kubewarden/.%2e/evil/a",
  "https://github.com/kubewarden/..%2fevil/a",
  "https://github.com/kubewarden%2f..%2fevil/a",
  "https://github.com/kubewarden/..\\evil/a",
  "https://github.com\\kubewarden/a",
  "https://github.com/evil/..//kubewarden/a",
  "https://github.com/evil/../kubewarden/a",
  "https://github.com/./kubewarden/a",
  "https://github.com//kubewarden/a",
  "https://github.com/kubewarden//a",
  "https://github.com/kubewarden/./a",
  "https://github.com/kubewarden/a%00b",
  "https://github.com/kube\twarden/a",
  "https://github.com/kubewarden/a\n",
  " https://github.com/kubewarden/a",
  "https://github.com./kubewarden/a",
  "https://github.com:8443/kubewarden/a",
  "http://github.com/kubewarden/a",
  "https://github.com@evil.test/kubewarden/a",
  "https://user@github.com/kubewarden/a",
  "https://github.com:x@evil.test/kubewarden/a",
  "https://github.com.evil.test/kubewarden/a",
  "https://evil.test/https://github.com/kubewarden/a",
  "https://evil.test?https://github.com/kubewarden/a",
  "https://evil.test#https://github.com/kubewarden/a",
  "https://github%2ecom/kubewarden/a",
  "https:github.com/kubewarden/a",
  "https:///github.com/kubewarden/a",
  "//github.com/kubewarden/a",
  "kubewarden/a",
  "",
];

const layer = (kind: "uri" | "email", value: string) => ({
  source: "x",
  signedBytes: new Uint8Array(),
  signature: "",
  annotations: {},
  identity: { issuer: "https://issuer.test", subject: { kind, value }, githubRepository: undefined },
  loggedKey: undefined,
  integratedTime: undefined,
});

const config = (prefix: string) =>
  parseVerificationConfig(JSON.stringify({
    apiVersion: "v1",
    allOf: [{ kind: "genericIssuer", issuer: "https://issuer.test", subject: { urlPrefix: prefix } }],
  })).allOf![0]!;
const request = (prefix: string) => {
  const read = readSigstoreRequest("v2", {
    type: "SigstoreKeylessPrefixVerify",
    image: "a/b:c",
    keyless_prefix: [{ issuer: "https://issuer.test", url_prefix: prefix }],
  });
  return read.kind === "signatures" ? read.signatures[0]! : undefined!;
};

for (const [where, signatureOf] of [["a configuration", config], ["a policy's request", request]] as const) {
  test(`${where}: what lies below a prefix, and what only looks so`, () => {
    const never = () => false;
    for (const written of ["https://github.com/kubewarden", OWNER, "HTTPS://GitHub.com:443/kubewarden/"]) {
      const signature = signatureOf(written);
      for (const subject of BELOW) assert.ok(layerMeets(signature, layer("uri", subject), never), subject);
      for (const subject of NOT_BELOW) {
        assert.not(layerMeets(signature, layer("uri", subject), never), subject);
      }
      assert.not(layerMeets(signature, layer("email", `${OWNER}a`), never), "an e-mail address is no URL");
    }
  });

  test(`${where}: what can be no prefix is refused, not misread`, () => {
    for (
      const prefix of [
        "nothing",
        "kubewarden/",
        "mailto:me@example.com",
        "data:text/plain,x",
        "https:github.com/kubewarden",
        "https://",
        "https://github.com/kubewarden/../evil",
        "https://github.com/kubewarden/%2e%2e/evil",
        "https://github.com/./kubewarden",
        "https://github.com//kubewarden",
        "https://github.com/kubewarden%2fa",
        "https://github.com\\kubewarden",
        "https://user:password@github.com/kubewarden",
        "https://github.com/kubewarden?a=b",
        "https://github.com/kubewarden#a",
        "https://github.com/kubewarden?",
      ]
    ) {
      try {
        signatureOf(prefix);
      } catch (error) {
        assert.match((error as Error).message, /expected a URL/, prefix);
        assert.ok(error instanceof ArtifactError || where !== "a configuration");
        continue;
      }
      throw new Error(`${prefix} was taken`);
    }
  });
}

test("other schemes have their own hosts and ports", () => {
  const spiffe = urlPrefix("spiffe://cluster.local/ns/a");
  assert.is(spiffe.value, "spiffe://cluster.local/ns/a/");
  assert.ok(isBelow("spiffe://cluster.local/ns/a/sa/b", spiffe.value));
  assert.not(isBelow("spiffe://cluster.local/ns/a/../b", spiffe.value));
  assert.not(isBelow("spiffe://cluster.local/ns/ab", spiffe.value));
  assert.not(isBelow("spiffe://other/ns/a/sa/b", spiffe.value));
});

test.run();
