/** Image references and policy URIs: what is printed of a parsed one parses to the same, and no path leaves the store. */
import { formatReference } from "../../../artifact/render/reference.ts";
import { storeComponents, storedUri } from "../../../artifact/render/store_path.ts";
import { ArtifactError } from "../../../artifact/types/error.ts";
import { parseImage, parsePolicyUrl, parseReference } from "../../../artifact/types/reference.ts";
import { mutateBytes, mutateTokens } from "../mutate.ts";
import { holds, same, type Target } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;
const SEEDS = [
  "busybox",
  "busybox:1.36",
  "library/busybox",
  "docker.io/library/busybox:latest",
  "index.docker.io/a/b",
  "ghcr.io/kubewarden/policies/pod-privileged:v1.0.4",
  "ghcr.io/kubewarden/policies/pod-privileged:v0.2.2@" + DIGEST,
  `localhost:5000/a@${DIGEST}`,
  `registry.example.org:443/a.b/c_d/e__f/g--h:tag_1.2-3`,
  "registry://ghcr.io/a/b:v1",
  "registry://busybox",
  "registry://[::1]:5000/a/b",
  "https://example.org/policies/p.wasm",
  "https://user:password@example.org:8443/a/b/../c.wasm?x=1#f",
  "http://example.org/p.wasm",
  "file:///tmp/policy.wasm",
  "./policy.wasm",
  "HTTP://EXAMPLE.org/%2e%2e/p.wasm",
  `a/b@sha512:${"f".repeat(128)}`,
  `a/b@sha384:${"F".repeat(96)}`,
];
const WORDS = [
  "registry://",
  "https://",
  "http://",
  "file://",
  "docker.io/",
  "index.docker.io/",
  "library/",
  "localhost",
  ":5000",
  ":latest",
  `@${DIGEST}`,
  "sha256:",
  "sha512:",
  "@",
  ":",
  "/",
  "//",
  "..",
  ".",
  "__",
  "--",
  "%2e%2e",
  "%2f",
  "?",
  "#",
  "[::1]",
  "\\",
  "xn--",
  "Ä",
  "A",
];

function checkPolicyUrl(text: string): void {
  const url = parsePolicyUrl(text);
  if (url.scheme === "file") return;
  if (url.scheme === "registry") {
    const again = parsePolicyUrl(`registry://${formatReference(url.reference)}`);
    same("the scheme of the printed URI", "registry", again.scheme);
    if (again.scheme === "registry") {
      same("the printed reference", formatReference(url.reference), formatReference(again.reference));
    }
  }
  for (const coding of ["literal", "base64"] as const) {
    const components = storeComponents(url, coding);
    for (const component of components) {
      const safe = component !== "" && component !== "." && component !== ".." && !/[/\\\0]/.test(component);
      holds(safe, `a component of the path in the store is ${JSON.stringify(component)}`);
    }
    const stored = parsePolicyUrl(storedUri(components, coding));
    same("the path of the stored URI", components.join("/"), storeComponents(stored, coding).join("/"));
  }
}

function checkReference(text: string): void {
  const reference = parseReference(text);
  const printed = formatReference(reference);
  same("the printed reference", printed, formatReference(parseReference(printed)));
  same("the reference with a scheme", printed, formatReference(parseImage(`registry://${printed}`)));
}

export const target: Target = {
  name: "references",
  seeds: () => SEEDS.map((text) => encoder.encode(text)),
  generate: (random, seeds) => {
    const seed = random.pick(seeds);
    return random.oneIn(3)
      ? mutateBytes(random, seed, seeds, WORDS)
      : encoder.encode(mutateTokens(random, decoder.decode(seed), WORDS));
  },
  expected: [ArtifactError],
  run: (input) => {
    const text = decoder.decode(input);
    let refused: unknown;
    for (const check of [checkReference, checkPolicyUrl]) {
      try {
        check(text);
      } catch (error) {
        if (!(error instanceof ArtifactError)) throw error;
        refused = error;
      }
    }
    if (refused) throw refused;
  },
};
