/** Flags and positionals that several commands share (`spec/cli.md §3`). */
import { OPERATIONS } from "./admission.ts";
import type { Flag, Positional } from "./command.ts";

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

export const SETTINGS_PATH: Flag = {
  name: "settings-path",
  short: "s",
  value: "PATH",
  help: "File containing the settings for this policy, YAML or JSON",
};
export const SETTINGS_JSON: Flag = {
  name: "settings-json",
  value: "VALUE",
  help: "JSON string containing the settings for this policy",
};

/** What `run`, `bench` and `explain` take to evaluate a policy. */
export const EVALUATION_FLAGS: readonly Flag[] = [
  ...REGISTRY_FLAGS,
  ...SIGNATURE_FLAGS,
  {
    name: "allow-context-aware",
    help: "Grant access to the Kubernetes resources defined inside of the policy's `contextAwareResources` " +
      "section. Warning: review the list of resources carefully to avoid abuses. Disabled by default",
  },
  {
    name: "allowed-host-capabilities",
    value: "PATTERN",
    greedy: true,
    preset: "*",
    help: "Host capabilities granted to the policy: '*', 'oci/*', 'oci/v1/verify' … Can be repeated; given " +
      "without a value it denies them all",
  },
  {
    name: "disable-wasmtime-cache",
    help: "Accepted for compatibility: modules are not cached in compiled form",
  },
  {
    name: "execution-mode",
    short: "e",
    value: "MODE",
    choices: ["opa", "gatekeeper", "kubewarden", "wasi", "extism"],
    aliases: { "kubewarden-wapc": "kubewarden" },
    help:
      "The runtime to use to execute this policy. It must agree with the policy's metadata, if it has any",
  },
  {
    name: "raw",
    help: "Validate a raw request: any JSON document, passed as it is",
  },
  {
    name: "record-host-capabilities-interactions",
    value: "FILE",
    conflicts: ["replay-host-capabilities-interactions"],
    help: "Record all the policy and host capabilities communications to the given file. Useful to be " +
      "combined later with the 'replay-host-capabilities-interactions' flag",
  },
  {
    name: "replay-host-capabilities-interactions",
    value: "FILE",
    conflicts: ["record-host-capabilities-interactions"],
    help:
      "During policy and host capabilities exchanges, the host replays back the answers found inside of " +
      "the provided file. This is useful to test policies in a reproducible way, given no external " +
      "interactions with OCI registries, DNS, Kubernetes are performed",
  },
  {
    name: "request-path",
    short: "r",
    value: "PATH",
    required: true,
    help:
      "File containing the Kubernetes admission request object in JSON format, or manifests in YAML or JSON, of " +
      "which requests are made; '-' reads standard input",
  },
  {
    name: "operation",
    value: "TYPE",
    choices: OPERATIONS,
    preset: "CREATE",
    help: "Of manifests: what is done with the objects",
  },
  {
    name: "old-object",
    value: "PATH",
    help: "Of manifests: the object as it is before the operation. Without it the object itself",
  },
  { name: "user", value: "NAME", preset: "test-user", help: "Of manifests: who does it" },
  {
    name: "group",
    value: "NAME",
    repeatable: true,
    preset: "system:masters",
    help: "Of manifests: a group of the user. Can be repeated",
  },
  {
    name: "namespace",
    value: "NAME",
    preset: "default",
    help: "Of manifests: the namespace of objects that name none",
  },
  SETTINGS_JSON,
  SETTINGS_PATH,
];

export const POLICY: Positional = {
  name: "uri_or_sha_prefix",
  help: "Policy URI or SHA prefix. Supported schemes: registry://, https://, file://. A path is a file, too",
};
export const URI: Positional = {
  name: "uri",
  help: "Policy URI. Supported schemes: registry://, https://, file://",
};

export const POLICY_OR_YAML: Positional = {
  name: "uri_or_sha_prefix_or_yaml_file",
  help: "Policy URI, SHA prefix, or a YAML file with policies' custom resources. Supported schemes: " +
    "registry://, https://, file://. Of a YAML file module, settings, mode, mutating, message and " +
    "context-aware resources are read",
};
