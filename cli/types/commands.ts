/** The command lines of all commands (`spec/cli.md`), in the order in which help lists them. */
import { OPERATIONS } from "./admission.ts";
import { type CommandDescription, type Flag, flag } from "./command.ts";
import {
  EVALUATION_FLAGS,
  POLICY,
  POLICY_OR_YAML,
  REGISTRY_FLAGS,
  SETTINGS_JSON,
  SETTINGS_PATH,
  SIGNATURE_FLAGS,
  URI,
} from "./flag_groups.ts";

const SCAFFOLD: readonly CommandDescription[] = [
  {
    name: "admission-request",
    about: "Scaffold an AdmissionRequest object",
    flags: [
      flag("--object <PATH>", "The file containing the new object being admitted"),
      flag("--old-object <PATH>", "The file containing the existing object"),
      flag("-o, --operation <TYPE>", "Kubernetes Admission Request operation", {
        required: true,
        choices: OPERATIONS,
      }),
    ],
  },
  {
    name: "artifacthub",
    about: "Output an artifacthub-pkg.yml file from a metadata.yml file",
    flags: [
      flag(
        "-m, --metadata-path <PATH>",
        "File containing the metadata of the policy [default: metadata.yml or metadata.yaml]",
      ),
      flag("-o, --output <FILE>", "Path where the artifact-pkg.yml file is stored"),
      flag("-q, --questions-path <PATH>", "File containing the questions-ui content of the policy"),
      flag("-v, --version <VALUE>", "Deprecated: the metadata holds the version", { mayBeEmpty: true }),
    ],
  },
  {
    name: "manifest",
    about: "Output a Kubernetes resource manifest",
    flags: [
      ...REGISTRY_FLAGS,
      ...SIGNATURE_FLAGS,
      flag(
        "--allow-context-aware",
        "Uses the policy metadata to define which Kubernetes resources can be accessed by the policy. " +
          "Warning: review the list of resources carefully to avoid abuses. Disabled by default",
      ),
      { ...SETTINGS_JSON, conflicts: ["settings-path"] },
      { ...SETTINGS_PATH, conflicts: ["settings-json"] },
      flag("--title <VALUE>", "Policy title"),
      flag("-t, --type <VALUE>", "Kubewarden Custom Resource type", {
        required: true,
        choices: ["ClusterAdmissionPolicy", "AdmissionPolicy"],
      }),
    ],
    positionals: [POLICY],
  },
  {
    name: "vap",
    about: "Convert a Kubernetes ValidatingAdmissionPolicy into a Kubewarden ClusterAdmissionPolicy",
    flags: [
      flag(
        "-b, --binding <VALIDATING-ADMISSION-POLICY-BINDING.yaml>",
        "The file containing the ValidatingAdmissionPolicyBinding definition",
        { required: true },
      ),
      flag("--cel-policy <URI>", "The CEL policy module to use", {
        preset: "ghcr.io/kubewarden/policies/cel-policy:latest",
      }),
      flag(
        "-p, --policy <VALIDATING-ADMISSION-POLICY.yaml>",
        "The file containing the ValidatingAdmissionPolicy definition",
        { required: true },
      ),
    ],
  },
  { name: "verification-config", about: "Output a default Sigstore verification configuration file" },
];

export const COMMANDS: readonly CommandDescription[] = [
  {
    name: "annotate",
    about: "Add Kubewarden metadata to a WebAssembly module",
    flags: [
      flag(
        "-a, --annotation <KEY=VALUE>",
        "Annotation to add to the metadata, over one of the same key; KEY=@PATH takes the text of a file",
        { repeatable: true },
      ),
      flag(
        "-f, --force",
        "Accepted for scripts of newer releases: metadata that the module has is always replaced",
      ),
      flag(
        "-m, --metadata-path <PATH>",
        "File containing the metadata. Required unless --annotation or --usage-path changes the metadata " +
          "that the module has",
      ),
      flag("-o, --output-path <PATH>", "Output file", { required: true }),
      flag("-u, --usage-path <PATH>", "File containing the usage information of the policy"),
    ],
    positionals: [{ name: "wasm-path", help: "Path to WebAssembly module to be annotated" }],
  },
  {
    name: "bench",
    about: "Benchmarks a Kubewarden policy",
    flags: [
      ...EVALUATION_FLAGS,
      flag(
        "--against <POLICY>",
        "Measure another policy beside this one, with the same request and settings, and compare them",
      ),
      flag(
        "--against-runtime <PATH>",
        "Measure the same on another runtime, an executable like `node` or `bun`, and compare them",
      ),
      flag(
        "--dump-results-to-disk",
        "Puts results in target/tiny-bench/label/.. if target can be found. Used for comparing previous runs",
        { tolerant: true },
      ),
      flag(
        "--measurement-time <SECONDS>",
        "How long the bench 'should' run, num_samples is prioritized so benching will take longer to be " +
          "able to collect num_samples if the code to be benched is slower than this time limit allowed",
        { preset: "5" },
      ),
      flag("--json", "Print one line of JSON for each measurement instead of text"),
      flag("--num-resamples <NUM>", "How many resamples should be done", { preset: "100000" }),
      flag("--num-samples <NUM>", "How many samples should be taken", { preset: "100" }),
      flag("--warm-up-time <SECONDS>", "How long the bench should warm up", { preset: "3" }),
    ],
    positionals: [POLICY_OR_YAML],
  },
  {
    name: "build",
    about: "Builds a policy written in TypeScript",
    details:
      "Needs the package esbuild beside the policy, and checks types where the package typescript is. " +
      "docs/write/typescript.md shows how a policy is written.",
    flags: [
      flag("-m, --metadata-path <PATH>", "File containing the metadata, which are put into the module"),
      flag(
        "-o, --output <FILE>",
        "Path where the module is stored [default: the source's name, ending in .wasm]",
      ),
      flag("--skip-type-check", "Build without checking types"),
      flag("-u, --usage-path <PATH>", "File containing the usage information of the policy"),
      flag("--watch", "Build again whenever a file beside the source changes, until interrupted"),
    ],
    positionals: [{ name: "source", help: "The module whose default export is the policy" }],
  },
  {
    name: "completions",
    about: "Generate shell completions",
    flags: [
      flag("-s, --shell <VALUE>", "Shell type", {
        required: true,
        choices: ["bash", "elvish", "fish", "powershell", "zsh"],
      }),
    ],
  },
  {
    name: "digest",
    about: "Fetch the digest of its OCI manifest",
    flags: REGISTRY_FLAGS,
    positionals: [{ ...URI, help: "Policy URI; the scheme registry:// may be left out" }],
  },
  {
    name: "docs",
    about: "Generate the Markdown documentation of all commands",
    flags: [
      flag("-o, --output <FILE>", "Path where the documentation file is stored", { required: true }),
    ],
  },
  {
    name: "explain",
    about: "Tells step by step what a policy does with a request",
    details:
      "Shows the policy's metadata, its settings as validated, each call to the host with its answer and time, " +
      "what it logs, the verdict, the patch as a difference, and the time and memory spent.",
    flags: EVALUATION_FLAGS,
    positionals: [POLICY_OR_YAML],
  },
  { name: "info", about: "Display system information" },
  {
    name: "inspect",
    about: "Inspect a Kubewarden policy",
    flags: [
      ...REGISTRY_FLAGS,
      flag("-o, --output <FORMAT>", "Output format", { choices: ["yaml"] }),
      flag("--show-signatures", "Show sigstore signatures"),
    ],
    positionals: [POLICY],
  },
  {
    name: "load",
    about: "Load policies from a tar.gz file",
    flags: [flag("--input <input>", "Load policies from a tarball", { required: true })],
  },
  {
    name: "new",
    about: "Writes the folder of a new policy",
    details: "The policy requires a label, and comes with its metadata and tests.",
    flags: [
      flag(
        "-l, --lang <LANGUAGE>",
        "What the policy is written in: TypeScript, Rust, Rego, Go, AssemblyScript",
        { choices: ["ts", "rust", "rego", "go", "as"], preset: "ts" },
      ),
    ],
    positionals: [{ name: "name", help: "The policy's name, and the folder's; a path before it is kept" }],
  },
  { name: "policies", about: "Lists all downloaded policies" },
  {
    name: "pull",
    about: "Pulls a Kubewarden policy from a given URI",
    flags: [
      ...REGISTRY_FLAGS,
      ...SIGNATURE_FLAGS,
      flag("-o, --output-path <PATH>", "Output file. If not provided will be downloaded to the store"),
    ],
    positionals: [URI],
  },
  {
    name: "push",
    about: "Pushes a Kubewarden policy to an OCI registry",
    details: "The annotations of the policy's metadata become annotations of the OCI manifest.",
    flags: [
      ...REGISTRY_FLAGS,
      flag("-f, --force", "Push also a policy that is not annotated", { tolerant: true }),
      flag("-o, --output <FORMAT>", "Output format", { choices: ["text", "json"], preset: "text" }),
    ],
    positionals: [
      { name: "policy", help: "Policy to push: a path, a URI or a SHA prefix" },
      { name: "uri", help: "Policy URI. Supported schemes: registry://" },
    ],
  },
  { name: "rm", about: "Removes a Kubewarden policy from the store", positionals: [POLICY] },
  {
    name: "run",
    about: "Runs a Kubewarden policy from a given URI",
    details: "A rejected request is a success: the exit code tells whether the policy could be run.",
    flags: EVALUATION_FLAGS,
    positionals: [POLICY_OR_YAML],
  },
  {
    name: "save",
    about: "Save policies to a tar.gz file",
    flags: [flag("-o, --output <FILE>", "Path where the file is stored", { required: true })],
    positionals: [{ name: "policies", many: true, help: "Policies to save" }],
  },
  { name: "scaffold", about: "Scaffold a Kubernetes resource or configuration file", commands: SCAFFOLD },
  {
    name: "test",
    about: "Judges policies by suites of cases",
    details:
      "A suite is a YAML file beside a policy: docs/reeve_test.md describes it. The exit code is 1 when a case fails.",
    flags: [
      ...REGISTRY_FLAGS,
      ...SIGNATURE_FLAGS,
      flag("--filter <TEXT>", "Run only the cases whose name contains this text", { mayBeEmpty: true }),
      flag("--junit <FILE>", "Write the results as JUnit XML, too"),
      flag("--watch", "Run again whenever a file beside a suite changes, until interrupted"),
    ],
    positionals: [
      {
        name: "suites",
        many: true,
        optional: true,
        help: "Suite files, or folders with a suite.yml [default: .]",
      },
    ],
  },
  {
    name: "verify",
    about: "Verify a Kubewarden policy from a given URI using Sigstore",
    flags: [...REGISTRY_FLAGS, ...SIGNATURE_FLAGS],
    positionals: [URI],
  },
];

/** The flags that stand before a command. */
export const ROOT_FLAGS: readonly Flag[] = [
  flag("--no-color", "Disable output coloring"),
  flag("-v, --verbose", "Enable verbose output"),
];
