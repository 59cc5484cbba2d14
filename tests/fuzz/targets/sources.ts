/** `sources.yml`. */
import { effectiveProxies, proxyFor } from "../../../artifact/render/proxy.ts";
import { parseSources } from "../../../artifact/types/sources.ts";
import { ArtifactError } from "../../../artifact/types/error.ts";
import { DocumentError } from "../../../artifact/types/strict_document.ts";
import { textTarget } from "../text_target.ts";

const PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const TARGETS = ["https://example.org/a", "http://10.0.0.1:8080/", "https://[::1]:5000/"].map((text) =>
  new URL(text)
);

export const target = textTarget({
  name: "sources",
  examples: [
    {
      insecure_sources: ["localhost:5000", "registry.example.org"],
      source_authorities: {
        "registry.example.org": [{ type: "Data", data: PEM }, { type: "Path", path: "/ca.pem" }],
      },
      proxies: {
        http_proxy: "http://proxy:3128",
        https_proxy: "http://user:p@proxy:3128",
        no_proxy: "a,.b,10.0.0.0/8",
      },
    },
    {},
    "insecure_sources: [localhost]\nsource_authorities:\n  a:\n  - type: Data\n    data: [1, 2, 3]\nproxies:\n  no_proxy: '*'\n",
  ],
  words: [
    "insecure_sources",
    "source_authorities",
    "proxies",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "type",
    "Data",
    "Path",
    "data",
    "path",
    "10.0.0.0/8",
    "*.example.org",
    "http://[::1",
  ],
  yaml: true,
  // A URL that is none is refused when it is to be used.
  expected: [DocumentError, ArtifactError],
  read: (text) => {
    const { insecureSources, proxies } = parseSources(text);
    const effective = effectiveProxies({ insecureSources, authorities: [], proxies } as never, {});
    for (const url of TARGETS) proxyFor(url, effective);
  },
});
