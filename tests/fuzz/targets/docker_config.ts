/** Docker's `config.json`: nobody gets credentials that do not stand in it. */
import {
  authFor,
  credentialsOf,
  type DockerAuth,
  type DockerConfig,
  parseDockerConfig,
} from "../../../artifact/types/docker_config.ts";
import { ArtifactError } from "../../../artifact/types/error.ts";
import { holds } from "../target.ts";
import { textTarget } from "../text_target.ts";

const SERVERS = ["index.docker.io", "ghcr.io", "localhost:5000", "constructor", "__proto__", "toString", ""];

/** An error holds no text of at least so many characters that is a value: shorter ones are in any sentence. */
const SECRET = 9;

function textsOf(value: unknown): readonly string[] {
  if (typeof value === "string") return value.trim().length < SECRET ? [] : [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

function quotesNothing(error: ArtifactError, config: string | DockerAuth): void {
  let value: unknown = config;
  try {
    if (typeof config === "string") value = JSON.parse(config);
  } catch {
    value = undefined;
  }
  // The names of servers are quoted.
  const shown = error.message.replace(/auths\[".*"\]/s, "");
  holds(error.cause === undefined, "an error about config.json has a cause, which quotes it");
  for (const text of textsOf(value)) holds(!shown.includes(text), "an error quotes a value of config.json");
}

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
  expected: [ArtifactError],
  read: (text) => {
    let config: DockerConfig;
    try {
      config = parseDockerConfig(text);
    } catch (error) {
      if (error instanceof ArtifactError) quotesNothing(error, text);
      throw error;
    }
    for (const server of SERVERS) {
      const entry = authFor(config, server);
      if (entry === undefined) continue;
      holds([...config.auths.values()].includes(entry), `${server} has credentials that stand nowhere`);
      try {
        credentialsOf(entry);
      } catch (error) {
        if (!(error instanceof ArtifactError)) throw error;
        quotesNothing(error, entry);
      }
    }
  },
});
