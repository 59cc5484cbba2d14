/** The command lines of all commands (`spec/cli.md`), in the order in which help lists them. */
import { OPERATIONS } from "./admission.ts";
import type { CommandDescription, Flag } from "./command.ts";
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
      { name: "object", value: "PATH", help: "The file containing the new object being admitted" },
      { name: "old-object", value: "PATH", help: "The file containing the existing object" },
      {
        name: "operation",
        short: "o",
        value: "TYPE",
        required: true,
        choices: OPERATIONS,
        help: "Kubernetes Admission Request operation",
      },
    ],
  },
  {
    name: "artifacthub",
    about: "Output an artifacthub-pkg.yml file from a metadata.yml file",
    flags: [
      {
        name: "metadata-path",
        short: "m",
        value: "PATH",
        help: "File containing the metadata of the policy [default: metadata.yml or metadata.yaml]",
      },
      { name: "output", short: "o", value: "FILE", help: "Path where the artifact-pkg.yml file is stored" },
      {
        name: "questions-path",
        short: "q",
        value: "PATH",
        help: "File containing the questions-ui content of the policy",
      },
      { name: "version", short: "v", value: "VALUE", help: "Deprecated: the metadata holds the version" },
    ],
  },
  {
    name: "manifest",
    about: "Output a Kubernetes resource manifest",
    flags: [
      ...REGISTRY_FLAGS,
      ...SIGNATURE_FLAGS,
      {
        name: "allow-context-aware",
        help:
          "Uses the policy metadata to define which Kubernetes resources can be accessed by the policy. " +
          "Warning: review the list of resources carefully to avoid abuses. Disabled by default",
      },
      { ...SETTINGS_JSON, conflicts: ["settings-path"] },
      { ...SETTINGS_PATH, conflicts: ["settings-json"] },
      { name: "title", value: "VALUE", help: "Policy title" },
      {
        name: "type",
        short: "t",
        value: "VALUE",
        required: true,
        choices: ["ClusterAdmissionPolicy", "AdmissionPolicy"],
        help: "Kubewarden Custom Resource type",
      },
    ],
    positionals: [POLICY],
  },
  {
    name: "vap",
    about: "Convert a Kubernetes ValidatingAdmissionPolicy into a Kubewarden ClusterAdmissionPolicy",
    flags: [
      {
        name: "binding",
        short: "b",
        value: "VALIDATING-ADMISSION-POLICY-BINDING.yaml",
        required: true,
        help: "The file containing the ValidatingAdmissionPolicyBinding definition",
      },
      {
        name: "cel-policy",
        value: "URI",
        preset: "ghcr.io/kubewarden/policies/cel-policy:latest",
        help: "The CEL policy module to use",
      },
      {
        name: "policy",
        short: "p",
        value: "VALIDATING-ADMISSION-POLICY.yaml",
        required: true,
        help: "The file containing the ValidatingAdmissionPolicy definition",
      },
    ],
  },
  { name: "verification-config", about: "Output a default Sigstore verification configuration file" },
];

export const COMMANDS: readonly CommandDescription[] = [
  {
    name: "annotate",
    about: "Add Kubewarden metadata to a WebAssembly module",
    flags: [
      {
        name: "annotation",
        short: "a",
        value: "KEY=VALUE",
        repeatable: true,
        help:
          "Annotation to add to the metadata, over one of the same key; KEY=@PATH takes the text of a file",
      },
      {
        name: "force",
        short: "f",
        help: "Accepted for scripts of newer releases: metadata that the module has is always replaced",
      },
      {
        name: "metadata-path",
        short: "m",
        value: "PATH",
        help:
          "File containing the metadata. Required unless --annotation or --usage-path changes the metadata " +
          "that the module has",
      },
      { name: "output-path", short: "o", value: "PATH", required: true, help: "Output file" },
      {
        name: "usage-path",
        short: "u",
        value: "PATH",
        help: "File containing the usage information of the policy",
      },
    ],
    positionals: [{ name: "wasm-path", help: "Path to WebAssembly module to be annotated" }],
  },
  {
    name: "bench",
    about: "Benchmarks a Kubewarden policy",
    flags: [
      ...EVALUATION_FLAGS,
      {
        name: "against",
        value: "POLICY",
        help: "Measure another policy beside this one, with the same request and settings, and compare them",
      },
      {
        name: "against-runtime",
        value: "PATH",
        help: "Measure the same on another runtime, an executable like `node` or `bun`, and compare them",
      },
      {
        name: "dump-results-to-disk",
        tolerant: true,
        help:
          "Puts results in target/tiny-bench/label/.. if target can be found. Used for comparing previous runs",
      },
      {
        name: "measurement-time",
        value: "SECONDS",
        preset: "5",
        help:
          "How long the bench 'should' run, num_samples is prioritized so benching will take longer to be " +
          "able to collect num_samples if the code to be benched is slower than this time limit allowed",
      },
      {
        name: "json",
        help: "Print one line of JSON for each measurement instead of text",
      },
      { name: "num-resamples", value: "NUM", preset: "100000", help: "How many resamples should be done" },
      { name: "num-samples", value: "NUM", preset: "100", help: "How many samples should be taken" },
      {
        name: "warm-up-time",
        value: "SECONDS",
        preset: "3",
        help: "How long the bench should warm up",
      },
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
      {
        name: "metadata-path",
        short: "m",
        value: "PATH",
        help: "File containing the metadata, which are put into the module",
      },
      {
        name: "output",
        short: "o",
        value: "FILE",
        help: "Path where the module is stored [default: the source's name, ending in .wasm]",
      },
      { name: "skip-type-check", help: "Build without checking types" },
      {
        name: "usage-path",
        short: "u",
        value: "PATH",
        help: "File containing the usage information of the policy",
      },
      { name: "watch", help: "Build again whenever a file beside the source changes, until interrupted" },
    ],
    positionals: [{ name: "source", help: "The module whose default export is the policy" }],
  },
  {
    name: "completions",
    about: "Generate shell completions",
    flags: [
      {
        name: "shell",
        short: "s",
        value: "VALUE",
        required: true,
        choices: ["bash", "elvish", "fish", "powershell", "zsh"],
        help: "Shell type",
      },
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
      {
        name: "output",
        short: "o",
        value: "FILE",
        required: true,
        help: "Path where the documentation file is stored",
      },
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
      { name: "output", short: "o", value: "FORMAT", choices: ["yaml"], help: "Output format" },
      { name: "show-signatures", help: "Show sigstore signatures" },
    ],
    positionals: [POLICY],
  },
  {
    name: "load",
    about: "Load policies from a tar.gz file",
    flags: [{ name: "input", value: "input", required: true, help: "Load policies from a tarball" }],
  },
  {
    name: "new",
    about: "Writes the folder of a new policy",
    details: "The policy requires a label, and comes with its metadata and tests.",
    flags: [
      {
        name: "lang",
        short: "l",
        value: "LANGUAGE",
        choices: ["ts", "rust", "rego", "go", "as"],
        preset: "ts",
        help: "What the policy is written in: TypeScript, Rust, Rego, Go, AssemblyScript",
      },
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
      {
        name: "output-path",
        short: "o",
        value: "PATH",
        help: "Output file. If not provided will be downloaded to the store",
      },
    ],
    positionals: [URI],
  },
  {
    name: "push",
    about: "Pushes a Kubewarden policy to an OCI registry",
    details: "The annotations of the policy's metadata become annotations of the OCI manifest.",
    flags: [
      ...REGISTRY_FLAGS,
      { name: "force", short: "f", tolerant: true, help: "Push also a policy that is not annotated" },
      {
        name: "output",
        short: "o",
        value: "FORMAT",
        choices: ["text", "json"],
        preset: "text",
        help: "Output format",
      },
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
    flags: [{
      name: "output",
      short: "o",
      value: "FILE",
      required: true,
      help: "Path where the file is stored",
    }],
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
      { name: "filter", value: "TEXT", help: "Run only the cases whose name contains this text" },
      { name: "junit", value: "FILE", help: "Write the results as JUnit XML, too" },
      { name: "watch", help: "Run again whenever a file beside a suite changes, until interrupted" },
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
  { name: "no-color", help: "Disable output coloring" },
  { name: "verbose", short: "v", help: "Enable verbose output" },
];
