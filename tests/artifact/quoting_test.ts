// What somebody else wrote is quoted in errors with an end, and what may be a secret is not quoted at all.
import { inspect } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { digestOfLocation } from "../../artifact/apply/registry_push.ts";
import { manifestComponents, storeComponents, storedUri } from "../../artifact/render/store_path.ts";
import { authsFor, credentialsOf, parseDockerConfig } from "../../artifact/types/docker_config.ts";
import { ArtifactError } from "../../artifact/types/error.ts";
import { parseJson } from "../../artifact/types/json_text.ts";
import { parseManifest } from "../../artifact/types/manifest.ts";
import { quoted, quotedUri } from "../../artifact/types/quoted.ts";
import { parsePolicyUrl, parseReference } from "../../artifact/types/reference.ts";
import { parseSources } from "../../artifact/types/sources.ts";
import { DocumentError } from "../../artifact/types/strict_document.ts";
import { parseVerificationConfig } from "../../artifact/types/verification_config.ts";
import { refusalOf } from "./_setting.ts";

const LONG = "x".repeat(100_000);
const MAX = 2_048;

test("errors quote addresses, names, digests and media types with an end", () => {
  const json = JSON.stringify;
  const descriptor = { mediaType: "a/b", digest: `sha256:${"a".repeat(64)}`, size: 1 };
  const manifest = (changed: object) =>
    parseManifest(json({ schemaVersion: 2, config: descriptor, layers: [], ...changed }));
  const cases: Readonly<Record<string, () => unknown>> = {
    "a URL": () => parsePolicyUrl(`https://[${LONG}`),
    "a host": () => parsePolicyUrl(`registry://:1]${LONG}`),
    "a URL without a host": () => parsePolicyUrl(`registry:/${LONG}`),
    "a scheme": () => parsePolicyUrl(`${LONG}://a/b`),
    "a reference": () => parseReference(LONG),
    "a digest in a reference": () => parseReference(`a/b@sha256:${LONG}`),
    "a URL that names no file": () => storeComponents(parsePolicyUrl(`https://example.org/${LONG}/`)),
    "a stored digest": () => manifestComponents(LONG),
    "a location": () => digestOfLocation(LONG),
    "a digest in a location": () => digestOfLocation(`https://example.org/${LONG}`),
    "an algorithm in a location": () => digestOfLocation(`https://example.org/${LONG}:a`),
    "a sha256 in a location": () => digestOfLocation(`https://example.org/sha256:${LONG}`),
    "a media type": () => manifest({ mediaType: LONG }),
    "a media type without a text": () => manifest({ mediaType: { toString: {} } }),
    "a list as the media type": () => manifest({ mediaType: [[LONG]] }),
    "a schema version": () => manifest({ schemaVersion: LONG }),
    "a layer's digest": () => manifest({ layers: [{ ...descriptor, digest: LONG }] }),
    "a layer's media type": () => manifest({ layers: [{ ...descriptor, mediaType: LONG }] }),
    "sources of another kind": () => parseSources(json(LONG)),
    "an authority's type": () => parseSources(json({ source_authorities: { a: [{ type: LONG }] } })),
    "a host with an authority": () => parseSources(json({ source_authorities: { [LONG]: [{ type: "a" }] } })),
    "a host without a list": () => parseSources(json({ source_authorities: { [LONG]: LONG } })),
    "a host with bytes": () =>
      parseSources(json({ source_authorities: { [LONG]: [{ type: "Data", data: [300] }] } })),
    "a version": () => parseVerificationConfig(json({ apiVersion: LONG })),
    "a kind of signature": () => parseVerificationConfig(json({ apiVersion: "v1", allOf: [{ kind: LONG }] })),
    "an unknown field": () => parseVerificationConfig(json({ apiVersion: "v1", [LONG]: 1 })),
    "an annotation": () =>
      parseVerificationConfig(
        json({
          apiVersion: "v1",
          allOf: [{
            kind: "genericIssuer",
            issuer: "a",
            subject: { equal: "b" },
            annotations: { [LONG]: 1 },
          }],
        }),
      ),
    "a URL as the prefix": () =>
      parseVerificationConfig(
        json({
          apiVersion: "v1",
          allOf: [{ kind: "genericIssuer", issuer: "a", subject: { urlPrefix: LONG } }],
        }),
      ),
    "a key's text": () =>
      parseVerificationConfig(
        json({ apiVersion: "v1", allOf: [{ kind: "pubKey", key: LONG, owner: [LONG] }] }),
      ),
  };
  for (const [what, attempt] of Object.entries(cases)) {
    const error = refusalOf(attempt);
    assert.ok(error instanceof ArtifactError || error instanceof DocumentError, `${what}: ${error.name}`);
    assert.ok(error.message.length <= MAX, `${what}: ${error.message.length} characters`);
  }
  assert.is(quoted("short"), "short");
  assert.is(quoted("y".repeat(301)), `${"y".repeat(300)}… (1 more characters)`);
});

test("addresses are quoted without the user name and password that they hold", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["https://me:secret@example.org/p.wasm", "https://***@example.org/p.wasm"],
    ["https://me:se@cret@example.org", "https://***@example.org"],
    ["https:\\\\me:secret@example.org", "https://***@example.org"],
    ["//me@example.org", "//***@example.org"],
    ["https://example.org/a@b", "https://example.org/a@b"],
    ["registry://ghcr.io/a/b@sha256:1", "registry://ghcr.io/a/b@sha256:1"],
    ["ghcr.io/a/b@sha256:1", "ghcr.io/a/b@sha256:1"],
  ];
  for (const [uri, expected] of cases) assert.is(quotedUri(uri), expected, uri);
  for (const uri of ["https://me:secret@[", "http://me:secret@a b/", "registry://me:secret@"]) {
    assert.not.match(refusalOf(() => parsePolicyUrl(uri)).message, "secret", uri);
  }
  const nameless = parsePolicyUrl("https://me:secret@example.org/");
  assert.not.match(refusalOf(() => storeComponents(nameless)).message, "secret");
});

test("errors about Docker's config.json hold nothing that it says", () => {
  const secret = "c2VjcmV0LXBhc3N3b3Jk";
  const texts: Readonly<Record<string, string>> = {
    "a secret alone": secret,
    "a secret as a JSON text": JSON.stringify(secret),
    "a list": JSON.stringify([secret]),
    "JSON that breaks off": `{"auths":{"a":{"auth":"${secret}`,
    "JSON with a comma too much": `{"auths":{"a":{"auth":"${secret}",}}}`,
    "single quotes": `{'auths':'${secret}'}`,
    "nesting": `{"auths":${"[".repeat(100)}"${secret}"${"]".repeat(100)}}`,
  };
  // These take nothing else with them.
  const members: Readonly<Record<string, string>> = {
    "auths as a text": JSON.stringify({ auths: secret }),
    "auths as a list": JSON.stringify({ auths: [secret] }),
    "helpers as a text": JSON.stringify({ credHelpers: secret }),
    "helpers as a list": JSON.stringify({ credHelpers: [secret] }),
  };
  const all = [
    ...Object.entries(texts).map(([what, text]) => [what, refusalOf(() => parseDockerConfig(text))] as const),
    ...Object.entries(members).map(([what, text]) => [what, parseDockerConfig(text).faults[0]!] as const),
  ];
  for (const [what, error] of all) {
    assert.instance(error, ArtifactError, what);
    assert.is((error as ArtifactError).code, "config", what);
    assert.match(error.message, /^Docker's config\.json/, what);
    // With everything that a log may show of it, causes too.
    assert.not.match(inspect(error, { depth: Infinity, showHidden: true }), secret, what);
  }
  const entries: Readonly<Record<string, object>> = {
    "no base64": { auth: `${secret}!%` },
    "no UTF-8": { auth: btoa(`${secret}\xff`) },
    "no colon": { auth: btoa(secret) },
  };
  for (const [what, entry] of Object.entries(entries)) {
    const config = parseDockerConfig(JSON.stringify({ auths: { "ghcr.io": entry } }));
    const error = refusalOf(() => credentialsOf(authsFor(config, "ghcr.io", "a/b")[0]!.auth));
    assert.instance(error, ArtifactError, what);
    const shown = inspect(error, { depth: Infinity, showHidden: true });
    for (const hidden of [secret, btoa(secret)]) assert.not.match(shown, hidden, what);
  }
});

test("JSON that can't be read is refused without its text, as it may hold a token", () => {
  for (const text of ["s3cr3t", '{"token":"s3cr3t"', '["s3cr3t"x]']) {
    assert.not.match(inspect(refusalOf(() => parseJson(text, "the token")), { showHidden: true }), "s3cr3t");
  }
});

test("a name of any length has a path in the store, in either spelling", () => {
  const url = parsePolicyUrl(`https://example.org/${"a".repeat(300_000)}/p.wasm`);
  for (const coding of ["literal", "base64"] as const) {
    assert.is(storedUri(storeComponents(url, coding), coding), url.uri);
  }
});

test.run();
