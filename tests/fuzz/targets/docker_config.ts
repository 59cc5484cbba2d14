/** Docker's `config.json`: nobody gets credentials that do not stand in it. */
import {
  authsFor,
  credentialsOf,
  type DockerConfig,
  parseDockerConfig,
} from "../../../artifact/types/docker_config.ts";
import { ArtifactError } from "../../../artifact/types/error.ts";
import { holds } from "../target.ts";
import { textTarget } from "../text_target.ts";

const SERVERS = ["index.docker.io", "ghcr.io", "localhost:5000", "constructor", "__proto__", "toString", ""];

/** All that an error may say: the names of servers are quoted, values never. */
const SAID = new RegExp(
  "^Docker's config\\.json(?: is no JSON| is nested deeper than 64 levels|" +
    ": (?:it|`?auths`?|`?credHelpers`?) must be an object, it is (?:null|a list|a string|a number|a boolean)|" +
    ": it has no `auths`, as the older \\.dockercfg: put what it holds into `auths`|" +
    ": `registrytoken` is no token: it has blanks or other characters that no header has|" +
    ": `auth` (?:is not base64 of user:password|holds a user and a password that are not UTF-8: log in again))$",
  "s",
);

function quotesNothing(error: ArtifactError): void {
  holds(SAID.test(error.message), "an error about config.json says something else");
  // What is printed of an error may hold its causes.
  holds(error.cause === undefined, "an error about config.json has a cause, which quotes it");
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
      if (error instanceof ArtifactError) quotesNothing(error);
      throw error;
    }
    for (const fault of config.faults) quotesNothing(fault);
    for (const server of SERVERS) {
      for (const { key, auth } of authsFor(config, server, "team/policy")) {
        holds(config.auths.get(key) === auth, `${server} has credentials that stand nowhere`);
        try {
          credentialsOf(auth);
        } catch (error) {
          if (!(error instanceof ArtifactError)) throw error;
          quotesNothing(error);
        }
      }
    }
  },
});
