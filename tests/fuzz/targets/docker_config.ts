/** Docker's `config.json`: nobody gets credentials that do not stand in it. */
import { authFor, credentialsOf, parseDockerConfig } from "../../../artifact/types/docker_config.ts";
import { DocumentError } from "../../../artifact/types/strict_document.ts";
import { Finding, holds } from "../target.ts";
import { textTarget } from "../text_target.ts";

const SERVERS = ["index.docker.io", "ghcr.io", "localhost:5000", "constructor", "__proto__", "toString", ""];

export const target = textTarget({
  name: "docker-config",
  examples: [
    {
      auths: {
        "https://index.docker.io/v1/": { auth: btoa("user:password") },
        "ghcr.io": { username: "a", password: "b", auth: btoa("a:b") },
        "localhost:5000": { identitytoken: "t" },
        "registry.example.org": {},
      },
      credHelpers: { "gcr.io": "gcloud" },
      credsStore: "desktop",
    },
    { auths: { "docker.io": { auth: btoa("a:b:c") } } },
    {},
  ],
  words: [
    "auths",
    "auth",
    "username",
    "password",
    "identitytoken",
    "credHelpers",
    "credsStore",
    "docker.io",
    "https://index.docker.io/v1/",
    "registry-1.docker.io",
    "ghcr.io",
    btoa("user:password"),
    "====",
  ],
  expected: [DocumentError],
  read: (text) => {
    const config = parseDockerConfig(text);
    for (const server of SERVERS) {
      const entry = authFor(config, server);
      if (entry === undefined) continue;
      holds([...config.auths.values()].includes(entry), `${server} has credentials that stand nowhere`);
      try {
        credentialsOf(entry);
      } catch (error) {
        // Its declared error is any Error; what engines throw for faults of a program is none of them.
        const { name, message } = error as Error;
        const decoding = name === "InvalidCharacterError" || /decode|utf-8|encoded data/i.test(message);
        const declared = (error as Error).constructor === Error;
        if (!decoding && !declared) throw new Finding("crash", `credentialsOf: ${name}: ${message}`);
      }
    }
  },
});
