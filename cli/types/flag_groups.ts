/** Flags and positionals that several commands share (`spec/cli.md §3`). */
import { OPERATIONS } from "./admission.ts";
import { type Flag, flag, type Positional } from "./command.ts";

/** R: access to registries. */
export const REGISTRY_FLAGS: readonly Flag[] = [
  flag(
    "--docker-config-json-path <PATH>",
    "Path to a directory containing the Docker 'config.json' file. Can be used to indicate registry " +
      "authentication details",
  ),
  flag(
    "--sources-path <PATH>",
    "YAML file holding source information (https, registry insecure hosts, custom CA's...)",
  ),
];

/** S: what a policy's signatures must be. */
export const SIGNATURE_FLAGS: readonly Flag[] = [
  flag("--cert-email <VALUE>", "Expected email in Fulcio certificate"),
  flag("--cert-oidc-issuer <VALUE>", "Expected OIDC issuer in Fulcio certificates"),
  flag("--github-owner <VALUE>", "GitHub owner expected in the certificates generated in CD pipelines"),
  flag("--github-repo <VALUE>", "GitHub repository expected in the certificates generated in CD pipelines"),
  flag(
    "--sigstore-trust-config <PATH>",
    "JSON-formatted Sigstore ClientTrustConfig; its trusted root replaces the public one",
  ),
  flag(
    "-a, --verification-annotation <KEY=VALUE>",
    "Annotation that every signature must carry. Can be repeated multiple times",
    { repeatable: true },
  ),
  flag(
    "--verification-config-path <PATH>",
    "YAML file holding verification config information (signatures, public keys...)",
  ),
  flag(
    "-k, --verification-key <PATH>",
    "Path to a key used to verify the policy. Can be repeated multiple times",
    { repeatable: true },
  ),
];

export const SETTINGS_PATH: Flag = flag(
  "-s, --settings-path <PATH>",
  "File containing the settings for this policy, YAML or JSON",
);
export const SETTINGS_JSON: Flag = flag(
  "--settings-json <VALUE>",
  "JSON string containing the settings for this policy",
);

/** What `run`, `bench` and `explain` take to evaluate a policy. */
export const EVALUATION_FLAGS: readonly Flag[] = [
  ...REGISTRY_FLAGS,
  ...SIGNATURE_FLAGS,
  flag(
    "--allow-context-aware",
    "Grant access to the Kubernetes resources defined inside of the policy's `contextAwareResources` " +
      "section. Warning: review the list of resources carefully to avoid abuses. Disabled by default",
  ),
  flag(
    "--allowed-host-capabilities <PATTERN>",
    "Host capabilities granted to the policy: '*', 'oci/*', 'oci/v1/verify' … Can be repeated; given " +
      "without a value it denies them all",
    { greedy: true, preset: "*" },
  ),
  flag("--disable-wasmtime-cache", "Accepted for compatibility: modules are not cached in compiled form"),
  flag(
    "-e, --execution-mode <MODE>",
    "The runtime to use to execute this policy. It must agree with the policy's metadata, if it has any",
    {
      choices: ["opa", "gatekeeper", "kubewarden", "wasi", "extism"],
      aliases: { "kubewarden-wapc": "kubewarden" },
    },
  ),
  flag("--raw", "Validate a raw request: any JSON document, passed as it is"),
  flag(
    "--record-host-capabilities-interactions <FILE>",
    "Record all the policy and host capabilities communications to the given file. Useful to be " +
      "combined later with the 'replay-host-capabilities-interactions' flag",
    { conflicts: ["replay-host-capabilities-interactions"] },
  ),
  flag(
    "--replay-host-capabilities-interactions <FILE>",
    "During policy and host capabilities exchanges, the host replays back the answers found inside of " +
      "the provided file. This is useful to test policies in a reproducible way, given no external " +
      "interactions with OCI registries, DNS, Kubernetes are performed",
    { conflicts: ["record-host-capabilities-interactions"] },
  ),
  flag(
    "-r, --request-path <PATH>",
    "File containing the Kubernetes admission request object in JSON format, or manifests in YAML or JSON, of " +
      "which requests are made; '-' reads standard input",
    { required: true },
  ),
  flag("--operation <TYPE>", "Of manifests: what is done with the objects", {
    choices: OPERATIONS,
    preset: "CREATE",
  }),
  flag(
    "--old-object <PATH>",
    "Of manifests: the object as it is before the operation. Without it the object itself",
  ),
  flag("--user <NAME>", "Of manifests: who does it", { preset: "test-user" }),
  flag("--group <NAME>", "Of manifests: a group of the user. Can be repeated", {
    repeatable: true,
    preset: "system:masters",
  }),
  flag("--namespace <NAME>", "Of manifests: the namespace of objects that name none", { preset: "default" }),
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
