/** Flags that several commands share (`spec/cli.md §3`). */
import type { Flag } from "./command.ts";

/** R: access to registries. */
export const REGISTRY_FLAGS: readonly Flag[] = [
  {
    name: "docker-config-json-path",
    value: "PATH",
    help: "Path to a directory containing the Docker 'config.json' file. Can be used to indicate registry " +
      "authentication details",
  },
  {
    name: "sources-path",
    value: "PATH",
    help: "YAML file holding source information (https, registry insecure hosts, custom CA's...)",
  },
];

/** S: what a policy's signatures must be. */
export const SIGNATURE_FLAGS: readonly Flag[] = [
  {
    name: "cert-email",
    value: "VALUE",
    help: "Expected email in Fulcio certificate",
  },
  {
    name: "cert-oidc-issuer",
    value: "VALUE",
    help: "Expected OIDC issuer in Fulcio certificates",
  },
  {
    name: "github-owner",
    value: "VALUE",
    help: "GitHub owner expected in the certificates generated in CD pipelines",
  },
  {
    name: "github-repo",
    value: "VALUE",
    help: "GitHub repository expected in the certificates generated in CD pipelines",
  },
  {
    name: "sigstore-trust-config",
    value: "PATH",
    help: "JSON-formatted Sigstore ClientTrustConfig; its trusted root replaces the public one",
  },
  {
    name: "verification-annotation",
    short: "a",
    value: "KEY=VALUE",
    repeatable: true,
    help: "Annotation that every signature must carry. Can be repeated multiple times",
  },
  {
    name: "verification-config-path",
    value: "PATH",
    help: "YAML file holding verification config information (signatures, public keys...)",
  },
  {
    name: "verification-key",
    short: "k",
    value: "PATH",
    repeatable: true,
    help: "Path to a key used to verify the policy. Can be repeated multiple times",
  },
];
