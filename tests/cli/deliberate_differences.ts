/** Where the command line answers otherwise than kwctl 1.36 on purpose: the replay allows these and nothing else. */

export interface Difference {
  readonly instead: { readonly exit?: number; readonly stdout?: string; readonly stderr?: string | RegExp };
  readonly reason: string;
}

const WRONG_MODE =
  "The policy has not been created with Rego, the policy execution mode specified via CLI flag is wrong";

/** The request that is made of the recordings' pod. */
function podRequest(operation: string, objects: readonly string[]): string {
  const kind = { group: "", version: "v1", kind: "Pod" };
  const resource = {
    group: "",
    version: "v1",
    resource:
      "this-is-the-plural-name-of-the-resource-this-information-is-not-used-by-policies-and-requires-a-" +
      "connection-to-an-api-server-to-be-obtained",
  };
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "nginx", namespace: "web" },
    spec: { containers: [{ image: "nginx", name: "c" }] },
  };
  return JSON.stringify({
    uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
    kind,
    resource,
    requestKind: kind,
    requestResource: resource,
    name: "nginx",
    namespace: "web",
    operation,
    userInfo: { groups: ["system:masters"], username: "test-user" },
    ...Object.fromEntries(objects.map((name) => [name, pod])),
  });
}

/** By the words of the command line. */
export const DELIBERATE: Readonly<Record<string, Difference>> = {
  "run plain.wasm -e kubewarden-wapc -r ok.json": {
    instead: {
      exit: 0,
      stdout: '{"uid":"u-1","allowed":true,"auditAnnotations":null,"warnings":["w"]}\n',
      stderr: "",
    },
    reason: "spec/cli.md, sharp edge 3: both spellings of the mode are accepted; in 1.36 neither works",
  },
  "run plain.wasm -e opa -r ok.json": {
    instead: {
      stderr:
        `Error: ${WRONG_MODE}; the module exports __guest_call, so its execution mode is kubewarden-wapc, not opa: ` +
        "correct executionMode in its metadata (reeve annotate), or the flag --execution-mode",
    },
    reason:
      "spec/cli.md, sharp edge 4: the mode is compared with the module before it is run; it is told which one it is",
  },
  "annotate -m meta-bad-mode.yml -o x.wasm plain.wasm": {
    instead: {
      stderr:
        "Error: Error unmarshalling metadata executionMode: unknown variant `nonsense`, expected one of " +
        "`kubewarden-wapc`, `opa`, `gatekeeper`, `wasi`, `extism` at line 8 column 16 in meta-bad-mode.yml",
    },
    reason: "there is one execution mode more; every error names its file",
  },
  "annotate -m meta-raw.yml -o raw.wasm plain.wasm": {
    instead: { stderr: "Error: Error unmarshalling metadata missing field `rules` in meta-raw.yml" },
    reason: "every error names its file",
  },
  "annotate -m absent.yml -o x.wasm plain.wasm": {
    instead: {
      stderr: "Error: Error opening metadata file: No such file or directory (os error 2): absent.yml",
    },
    reason: "every error names its file",
  },
  "annotate -m meta.yml -o x.wasm absent.wasm": {
    instead: {
      stderr: "Error: Error reading wasm file: No such file or directory (os error 2): absent.wasm",
    },
    reason: "every error names its file",
  },
  "annotate -m meta.yml -u absent.md -o x.wasm plain.wasm": {
    instead: { stderr: "Error: Error reading usage file: No such file or directory (os error 2): absent.md" },
    reason: "every error names its file",
  },
  "scaffold artifacthub -m meta-full.yml -q absent.yml": {
    instead: {
      stderr: "Error: Error reading questions file: No such file or directory (os error 2): absent.yml",
    },
    reason: "every error names its file",
  },
  "annotate -m meta-star.yml -o x.wasm plain.wasm": {
    instead: {
      stderr:
        "Error: Metadata is invalid: rules[0].apiGroups: No other elements can be defined when '*' is used; " +
        "rules[0].apiVersions: No other elements can be defined when '*' is used; rules[0].resources: if '*' is " +
        "present, must not specify other resources without subresources",
    },
    reason: "1.36 prints its validator's data structures; ours begins alike and names each fault",
  },
  "annotate -m meta.yml -o x.wasm bad.wasm": {
    instead: {
      stderr:
        "Error: Error parsing wasm module: bad.wasm: not a WebAssembly module: it does not begin with the bytes 00 61 73 6d",
    },
    reason: "the parser's own words behind the same beginning",
  },
  "scaffold admission-request --operation DELETE --old-object pod.yml": {
    instead: { exit: 0, stdout: podRequest("DELETE", ["oldObject"]), stderr: "" },
    reason: "every operation of the API server is known",
  },
  "scaffold admission-request --operation UPDATE --object pod.yml --old-object pod.yml": {
    instead: { exit: 0, stdout: podRequest("UPDATE", ["object", "oldObject"]), stderr: "" },
    reason: "every operation of the API server is known",
  },
  "scaffold admission-request --operation UPDATE --object pod.yml": {
    instead: { exit: 1, stderr: "Error: UPDATE operation requires an old_object" },
    reason: "every operation of the API server is known",
  },
  "scaffold vap -p pod.yml -b binding.yml": {
    instead: {
      stderr:
        'Error: cannot convert given data into a ValidatingAdmissionPolicy: invalid value: string "v1", expected ' +
        "admissionregistration.k8s.io/v1 (pod.yml, binding.yml)",
    },
    reason: "spec/cli.md, sharp edge 22: the text loses its stray #; every error names its files",
  },
  "push out2.wasm registry://localhost:1/x:v1": {
    instead: { stderr: /^Error: Fail to interact with OCI registry: cannot reach https:\/\/localhost:1: / },
    reason: "the HTTP library's own words behind the same beginning; ours say why",
  },
};
