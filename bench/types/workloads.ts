/** The policies that can be benchmarked. */
import type { Workload } from "./measurement.ts";

function answer(uid: string, rest: string): string {
  return `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"${uid}",${rest}}}`;
}

const accepted = (uid: string) => answer(uid, '"allowed":true,"auditAnnotations":null,"warnings":null');

const PATCHED =
  '"allowed":true,"patchType":"JSONPatch","patch":"W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMvc2VjdXJpdHlDb250ZXh0IiwidmFsdWUiOnsic2VjY29tcFByb2ZpbGUiOnsidHlwZSI6IlJ1bnRpbWVEZWZhdWx0In19fV0=","auditAnnotations":null,"warnings":null';

/** The first one is the default, and the one that the project's goals speak of. */
export const WORKLOADS: readonly Workload[] = [
  {
    policy: "pod-privileged",
    module: "policies/pod-privileged/policy.wasm",
    settings: {},
    allowedToMutate: false,
    request: "policies/pod-privileged/requests/unprivileged-3500-bytes.json",
    expected: accepted,
  },
  {
    policy: "required-labels",
    module: "policies/required-labels/policy.wasm",
    settings: { required: ["owner", "app.kubernetes.io/name"] },
    allowedToMutate: false,
    request: "policies/required-labels/requests/labelled.json",
    expected: accepted,
  },
  {
    policy: "default-seccomp",
    module: "policies/default-seccomp/policy.wasm",
    settings: {},
    allowedToMutate: true,
    request: "policies/default-seccomp/requests/no-context.json",
    expected: (uid) => answer(uid, PATCHED),
  },
  {
    policy: "gatekeeper",
    module: "tests/policies/gatekeeper-load-balancer/policy.wasm",
    settings: { namespaces: ["edge"] },
    allowedToMutate: false,
    request: "policies/pod-privileged/requests/unprivileged-3500-bytes.json",
    expected: accepted,
    goals: { floorShare: 0.45 },
  },
  {
    policy: "opa",
    module: "tests/policies/opa-labels/policy.wasm",
    settings: { required: ["app.kubernetes.io/name"] },
    allowedToMutate: false,
    request: "policies/pod-privileged/requests/unprivileged-3500-bytes.json",
    expected: accepted,
    goals: { floorShare: 0.45 },
  },
  {
    policy: "typescript",
    module: "tests/policies/typescript-privileged/policy.wasm",
    settings: {},
    allowedToMutate: false,
    request: "policies/pod-privileged/requests/unprivileged-3500-bytes.json",
    expected: accepted,
  },
  {
    policy: "wasi-go",
    module: "tests/policies/wasi-go/policy.wasm",
    settings: { forbiddenAnnotations: ["insecure"] },
    allowedToMutate: false,
    request: "policies/pod-privileged/requests/unprivileged-3500-bytes.json",
    expected: accepted,
    goals: { requestsPerSecond: 1000, p50Ms: 1.5 },
  },
];
