// The tables of spec/evaluator.md §5.2 and spec/policy-server.md §10 rule 2.
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  allows,
  type CapabilityAllowList,
  describe,
  parseCapabilities,
} from "../../evaluator/types/host_capabilities.ts";

function parsed(...patterns: string[]): CapabilityAllowList {
  const list = parseCapabilities(patterns);
  if (typeof list === "string") throw new Error(list);
  return list;
}

const LEAVES = [
  "oci/v1/verify",
  "oci/v1/manifest_digest",
  "oci/v1/oci_manifest",
  "oci/v1/oci_manifest_config",
  "oci/v2/verify",
  "net/v1/dns_lookup_host",
  "crypto/v1/is_certificate_trusted",
  "kubernetes/list_resources_by_namespace",
  "kubernetes/list_resources_all",
  "kubernetes/get_resource",
  "kubernetes/can_i",
];

test("an empty list grants nothing", () => {
  for (const leaf of LEAVES) assert.is(allows(parsed(), leaf), false);
  assert.is(describe(parsed()), "[]");
});

test("every leaf can be granted alone", () => {
  for (const leaf of LEAVES) {
    const list = parsed(leaf);
    for (const other of LEAVES) assert.is(allows(list, other), other === leaf, `${leaf} vs ${other}`);
  }
});

test("a star grants everything, known or not, and ends the parsing", () => {
  const list = parsed("oci/v1/verify", " * ", "not/a/capability");
  assert.is(allows(list, "oci/v1/verify"), true);
  assert.is(allows(list, "some/thing/new"), true);
  assert.is(describe(list), "[*]");
});

test("a bad pattern before the star still fails", () => {
  assert.type(parseCapabilities(["oci*", "*"]), "string");
});

test("a prefix grants what is below it and nothing beside it", () => {
  const list = parsed("oci/v1/*");
  assert.is(allows(list, "oci/v1/verify"), true);
  assert.is(allows(list, "oci/v2/verify"), false);
  assert.is(allows(list, "oci/v1"), false);
  assert.is(allows(list, "oci/v1x/verify"), false);
  assert.is(allows(parsed("oci/*"), "oci/v2/verify"), true);
});

test("patterns are trimmed; the description sorts prefixes first, then exact paths, without repeats", () => {
  const list = parsed(
    " kubernetes/can_i ",
    "oci/*",
    "crypto/*",
    "kubernetes/can_i",
    "crypto/v1/is_certificate_trusted",
  );
  assert.is(describe(list), "[crypto/*, oci/*, crypto/v1/is_certificate_trusted, kubernetes/can_i]");
});

test("patterns with an inner star are accepted and match nothing", () => {
  for (const pattern of ["*/*", "oci/*/*"]) {
    const list = parsed(pattern);
    for (const leaf of LEAVES) assert.is(allows(list, leaf), false, pattern);
  }
});

const PARTIAL = "wildcard '*' must be the entire last path segment (e.g. 'oci/*'), not a partial match";
const ROOT = "valid options at this level are: crypto, kubernetes, net, oci";
const ERRORS: readonly (readonly [string, string])[] = [
  ["", "invalid pattern: pattern must not be empty"],
  ["   ", "invalid pattern: pattern must not be empty"],
  ["oci*", `invalid pattern "oci*": ${PARTIAL}`],
  ["oci/v1/oci_*", `invalid pattern "oci/v1/oci_*": ${PARTIAL}`],
  ["*/oci", `invalid pattern "*/oci": ${PARTIAL}`],
  ["unknown/v1/op", `invalid pattern "unknown/v1/op": unknown segment "unknown", ${ROOT}`],
  ["unknown/*", `invalid pattern "unknown/*": unknown segment "unknown", ${ROOT}`],
  ["/*", `invalid pattern "/*": unknown segment "", ${ROOT}`],
  ["constructor", `invalid pattern "constructor": unknown segment "constructor", ${ROOT}`],
  [
    "oci/v99/verify",
    'invalid pattern "oci/v99/verify": unknown segment "v99", valid options at this level are: v1, v2',
  ],
  [
    "oci/v1/x",
    'invalid pattern "oci/v1/x": unknown segment "x", valid options at this level are: ' +
    "manifest_digest, oci_manifest, oci_manifest_config, verify",
  ],
  [
    "kubernetes/can_i/*",
    'invalid pattern "kubernetes/can_i/*": unknown segment "*", valid options at this level are: ',
  ],
  ...["oci", "oci/v1", "net", "kubernetes"].map((p) =>
    [
      p,
      `invalid pattern "${p}": not a complete capability path; use "${p}/*" to allow all capabilities under it`,
    ] as const
  ),
];

for (const [pattern, text] of ERRORS) {
  test(`refuses ${JSON.stringify(pattern)}`, () => assert.is(parseCapabilities([pattern]), text));
}

test.run();
