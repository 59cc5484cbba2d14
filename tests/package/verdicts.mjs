// What every consumer of the package runs: policies of each execution mode, and their verdicts as lines. Plain JavaScript that
// every runtime and bundler takes as it is. The caller hands in the library and a way to read the repository's modules.

const request = (kind, resource, object, more = {}) => ({
  uid: "1",
  kind: { group: "", version: "v1", kind },
  resource: { group: "", version: "v1", resource },
  operation: "CREATE",
  userInfo: { username: "alice" },
  object,
  ...more,
});
const pod = (object, more) => request("Pod", "pods", { apiVersion: "v1", kind: "Pod", ...object }, more);
const labelled = (labels) => pod({ metadata: { name: "web", labels } });
const unsafe = pod({
  metadata: { name: "web" },
  spec: { containers: [{ name: "a", image: "docker.io/nginx" }] },
});

/** Module, options, requests. */
const CASES = [
  ["policies/required-labels", { settings: { required: ["owner"] } }, [
    labelled({}),
    labelled({ owner: "me" }),
  ]],
  ["policies/default-seccomp", {}, [unsafe]],
  ["policies/pod-privileged", {}, [
    unsafe,
    pod({ spec: { containers: [{ securityContext: { privileged: true } }] } }),
  ]],
  ["policies/raw-quota", { settings: { quotas: { "team-shop": { "gpu-hours": 10 } } } }, [
    { uid: "u", tenant: "team-shop", resource: "gpu-hours", amount: 3 },
    { uid: "u", tenant: "team-shop", resource: "gpu-hours", amount: 300 },
  ]],
  ["tests/policies/opa-labels", { settings: { required: ["owner"], add: { name: "x", value: "y" } } }, [
    labelled({}),
    labelled({ owner: "me" }),
  ]],
  ["tests/policies/gatekeeper-shape", {}, [
    pod({ metadata: { annotations: { do: "object" } } }),
    pod({ metadata: { annotations: { do: "text" } } }),
    pod({ metadata: {} }),
  ]],
  ["tests/policies/extism-rust", {}, [unsafe]],
  ["tests/policies/extism-assemblyscript", {}, [unsafe]],
  ["tests/policies/wasi-probe", {}, [{ uid: "u", do: [] }, { uid: "u", do: ["trap"] }, {
    uid: "u",
    do: [{ sleepMs: 30 }],
  }]],
  ["tests/policies/rego-builtins", {}, [{
    calls: [
      { name: "crypto.md5", operands: ["a"] },
      { name: "crypto.sha1", operands: ["ä"] },
      { name: "crypto.sha256", operands: ["lorem ipsum ".repeat(10_000)] },
      { name: "crypto.hmac.md5", operands: ["text", "key"] },
      { name: "crypto.hmac.sha256", operands: ["text", "k".repeat(200)] },
      { name: "crypto.hmac.sha512", operands: ["text", "k".repeat(200)] },
      { name: "crypto.hmac.equal", operands: ["same", "same"] },
      { name: "crypto.hmac.equal", operands: ["same", "other"] },
      { name: "regex.match", operands: ["^a+$", "aaa"] },
      { name: "yaml.unmarshal", operands: ["a: [1, 2.50]\n"] },
      { name: "sprintf", operands: ["%05.2f %q", [3.14159, "x"]] },
    ],
  }]],
  ["tests/policies/wasi-probe", { timeoutMs: 300 }, [{ uid: "u", do: ["spin"] }]],
];

const GROUP = {
  labels: ["policies/required-labels", { settings: { required: ["owner"] } }],
  unprivileged: ["policies/pod-privileged", {}],
};

/** The verdicts as text, one line each, the same for every number of threads. */
export async function verdicts({ loadPolicy, loadPolicyGroup }, read, threads) {
  const lines = [];
  for (const [name, options, requests] of CASES) {
    const policy = await loadPolicy(await read(`${name}/policy.wasm`), {
      timeoutMs: 20_000,
      // Asked below: some refuse theirs.
      validateSettings: false,
      ...options,
      name,
      threads,
    });
    lines.push(`${name} settings ${JSON.stringify(await policy.validateSettings())}`);
    for (const one of requests) lines.push(`${name} ${JSON.stringify(await policy.validate(one))}`);
    const whole = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: requests[0] };
    lines.push(`${name} review ${JSON.stringify(await policy.review(JSON.stringify(whole)))}`);
    await policy.close();
  }
  const members = {};
  for (const [name, [folder, options]] of Object.entries(GROUP)) {
    members[name] = { ...options, policy: await read(`${folder}/policy.wasm`) };
  }
  const group = await loadPolicyGroup(members, {
    expression: "labels() && unprivileged()",
    message: "neither",
    threads,
    timeoutMs: 20_000,
  });
  for (const labels of [{}, { owner: "me" }]) {
    lines.push(`group ${JSON.stringify(await group.review(labelled(labels)))}`);
  }
  await group.close();
  return lines;
}
