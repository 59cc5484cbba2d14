/** What new policies in all languages have in common: they require a label, except in some namespaces. */

/** What the files are made for. */
export interface NewPolicy {
  /** The policy's name, and the folder's. */
  readonly name: string;
  /** Where it gets this package from. */
  readonly portreeve: OwnPackage;
}

/** This package as a dependency of a new policy. */
export interface OwnPackage {
  /** As `package.json` names it: a version, or `file:` and a path. */
  readonly from: string;
  /** The commands that put it there, in the policy's folder. */
  readonly commands: readonly string[];
  /** What its author has to know besides. */
  readonly note?: string;
}

/** What `reeve new` knows of a language. */
export interface PolicyLanguage {
  /** What git passes over. */
  readonly ignored: readonly string[];
  /** Absent: that of the module, waPC. */
  readonly executionMode?: "gatekeeper" | "wasi" | "extism";
  /** What the policy says when a setting is misspelt, as the suite has it in YAML; absent where no settings are refused. */
  readonly typo?: string;
  /** Whether it is built by this package, which puts the metadata into the module as well. */
  readonly annotates?: boolean;
  /** The files that are the language's own, by their paths from the policy's folder. */
  readonly sources: (policy: NewPolicy) => Readonly<Record<string, string>>;
  /** The commands that build it, in its folder, and test it where {@link annotates}. */
  readonly commands: readonly string[];
  /** Why this language can't take a name that all others take; undefined where it can. */
  readonly refusal?: (name: string) => string | undefined;
}

/** The files of a new policy, by their paths from its folder, in their order. */
export function newPolicyFiles(
  language: PolicyLanguage,
  policy: NewPolicy,
): readonly (readonly [string, string])[] {
  const { ignored, executionMode, typo, annotates = false, sources } = language;
  return Object.entries({
    ".gitignore": text(...ignored),
    [METADATA]: metadataFile(policy, executionMode),
    "request.json": REQUEST_FILE,
    "suite.yml": suiteFile(annotates ? MODULE : ANNOTATED, typo),
    ...sources(policy),
  }).sort(([one], [other]) => one < other ? -1 : 1);
}

/** The commands that build and test a new policy, in its folder. */
export function nextCommands(
  { annotates = false, commands }: PolicyLanguage,
  portreeve: OwnPackage,
): readonly string[] {
  return annotates ? [...portreeve.commands, ...commands] : [...commands, ANNOTATE, "reeve test"];
}

/** Lines as a file's text. */
export const text = (...lines: readonly string[]): string => `${lines.join("\n")}\n`;

/** A value as a file of JSON. */
export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

function metadataFile({ name }: NewPolicy, executionMode: PolicyLanguage["executionMode"]): string {
  return `rules:
  - apiGroups: [""]
    apiVersions: [v1]
    resources: [pods]
    operations: [CREATE, UPDATE]
mutating: false
${executionMode === undefined ? "" : `executionMode: ${executionMode}\n`}annotations:
  io.kubewarden.policy.title: ${name}
  io.kubewarden.policy.version: 0.1.0
  io.kubewarden.policy.description: Requires a label
`;
}

function suiteFile(module: string, typo: string | undefined): string {
  const cases = `policy: ${module}
settings: { label: owner }
cases:
  - name: a Pod without the label is rejected
    request: request.json
    allowed: false
    message: the label "owner" is missing

  - name: another namespace may do without
    request: request.json
    settings: { label: owner, except: [default] }
    allowed: true
`;
  return typo === undefined ? cases : `${cases}
  - name: a typo in the settings is refused
    settings: { lable: owner }
    settingsValid: false
    settingsMessage: { contains: ${typo} }
`;
}

/** What a new policy's build makes, and with its metadata in it. */
export const MODULE = "policy.wasm", ANNOTATED = "annotated.wasm", METADATA = "metadata.yml";
/** How a module gets its metadata. */
export const ANNOTATE = `reeve annotate ${MODULE} -m ${METADATA} -o ${ANNOTATED}`;

/** `request.json`: a review of a Pod without labels. */
const REQUEST_FILE = `{
  "apiVersion": "admission.k8s.io/v1",
  "kind": "AdmissionReview",
  "request": {
    "uid": "1299d386-525b-4032-98ae-1949f69f9cfc",
    "kind": { "group": "", "version": "v1", "kind": "Pod" },
    "resource": { "group": "", "version": "v1", "resource": "pods" },
    "operation": "CREATE",
    "namespace": "default",
    "userInfo": { "username": "alice" },
    "object": {
      "apiVersion": "v1",
      "kind": "Pod",
      "metadata": { "name": "web" },
      "spec": { "containers": [{ "name": "web", "image": "registry.example.org/web:1" }] }
    }
  }
}
`;
