/** What new policies in all languages have in common: they require a label, except in some namespaces. */

/** What the files are made for. */
export interface NewPolicy {
  /** The policy's name, and the folder's. */
  readonly name: string;
  /** The version of this package. */
  readonly version: string;
}

/** What `reeve new` knows of a language. */
export interface PolicyLanguage {
  /** The files of a new policy, by their paths from its folder. */
  readonly files: (policy: NewPolicy) => ReadonlyMap<string, string>;
  /** The commands that build and test it, in its folder. */
  readonly next: readonly string[];
  /** Why this language can't take a name that all others take; undefined where it can. */
  readonly refusal?: (name: string) => string | undefined;
}

/** Lines as a file's text. */
export const text = (...lines: readonly string[]): string => `${lines.join("\n")}\n`;

/** A value as a file of JSON. */
export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** `metadata.yml`; without an execution mode, it is that of the module. */
export function metadataFile({ name }: NewPolicy, executionMode?: "gatekeeper" | "wasi" | "extism"): string {
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

/** `suite.yml` for a module in the same folder. `typo` is what the policy says, in YAML, when a setting is misspelt. */
export function suiteFile(module: string, typo: string | undefined): string {
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

/** How a module gets its metadata, and is tested with them. */
export const ANNOTATE_AND_TEST: readonly string[] = [
  "reeve annotate policy.wasm -m metadata.yml -o annotated.wasm",
  "reeve test",
];

/** `request.json`: a review of a Pod without labels. */
export const REQUEST_FILE = `{
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
