// Issue 4, item 2: execution modes `opa` and `gatekeeper` (spec/evaluator.md §7, Sharp edges 7–11) with modules that `opa build` made.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { jsonText, jsonTree, parseRego, regoText } from "../../evaluator/render/rego_text.ts";
import { equalValues, setOf } from "../../evaluator/render/rego_value.ts";
import {
  gatekeeperInventory,
  type InventoryResource,
  opaInventory,
} from "../../evaluator/render/rego_inventory.ts";
import type { RegoValue } from "../../evaluator/types/rego.ts";
import type { Policy, PolicyLogEntry } from "../../mod.ts";
import { loadGuest } from "../load_guest.ts";
import type { PolicyOptions } from "../../mod.ts";
import { parseCapabilities } from "../../evaluator/types/host_capabilities.ts";
import { hostCallHandler } from "../../evaluator/apply/host_calls.ts";
import { recordedForm } from "../tools/record_rego_answers.ts";
import type { InventoryHandler } from "../../evaluator/types/evaluation.ts";

const path = (name: string) => fileURLToPath(new URL(`../policies/${name}/policy.wasm`, import.meta.url));
const load = (name: string, options: PolicyOptions = {}): Promise<Policy> => loadGuest(path(name), options);

/** Runs with the policy in a thread and in the calling one. */
function testBoth(
  title: string,
  policy: string,
  run: (policy: Policy, logged: PolicyLogEntry[]) => Promise<void>,
  options: PolicyOptions = {},
): void {
  for (const threads of [0, 1]) {
    test(`${title} (${threads} threads)`, async () => {
      const logged: PolicyLogEntry[] = [];
      await using loaded = await load(policy, { ...options, threads, onLog: (entry) => logged.push(entry) });
      await run(loaded, logged);
    });
  }
}

const refused = (message: string) => ({
  allowed: false,
  status: { message, code: 500 },
  auditAnnotations: null,
  warnings: null,
});

function service(name: string, type: string, annotations: Record<string, string> = {}, namespace = "shop") {
  return {
    uid: "1",
    kind: { group: "", version: "v1", kind: "Service" },
    resource: { group: "", version: "v1", resource: "services" },
    operation: "CREATE",
    userInfo: {},
    namespace,
    object: { apiVersion: "v1", kind: "Service", metadata: { name, annotations }, spec: { type } },
  };
}

testBoth("an AdmissionResponse is passed on", "rego-answers", async (policy) => {
  const answer = {
    uid: "the policy's own",
    allowed: false,
    patchType: "JSONPatch",
    patch: btoa('[{"op": "add"}]'),
    status: {
      status: "Failure",
      message: "no",
      reason: "Whatever it says",
      code: 403,
      details: { name: "n", causes: [{ field: "f" }], retryAfterSeconds: 3 },
    },
    auditAnnotations: { a: "b" },
    warnings: ["w"],
  };
  assert.equal(await policy.validate({ answer }), {
    allowed: false,
    patch: '[{"op": "add"}]',
    status: {
      status: "Failure",
      message: "no",
      reason: "Whatever it says",
      code: 403,
      details: { name: "n", causes: [{ reason: null, message: null, field: "f" }], retry_after_seconds: 3 },
    },
    auditAnnotations: { a: "b" },
    warnings: ["w"],
  });
  assert.equal(await policy.validate({ answer: { uid: "", allowed: true } }), {
    allowed: true,
    auditAnnotations: null,
    warnings: null,
  });
});

testBoth("what is no AdmissionResponse refuses the request", "rego-answers", async (policy) => {
  const unreadable = refused("internal server error: cannot interpret OPA policy result");
  for (const request of [{}, { do: "text" }, { do: "no-response" }]) {
    assert.equal(await policy.validate(request), unreadable);
  }
  const wrong: readonly (readonly [unknown, string])[] = [
    [{ allowed: true }, "missing field `uid`"],
    [{ uid: "" }, "missing field `allowed`"],
    [{ uid: "", allowed: "yes" }, 'allowed: invalid type: "yes", expected a boolean'],
    [{ uid: 1, allowed: true }, "uid: invalid type: 1, expected a string"],
    [{ uid: "", allowed: true, patch: "%" }, "patch: expected a JSON Patch in base64"],
    [{ uid: "", allowed: true, patch: btoa("{}") }, "patch: expected a JSON Patch in base64"],
    [
      { uid: "", allowed: true, patchType: "Merge" },
      'patchType: invalid type: "Merge", expected one of JSONPatch',
    ],
    [
      { uid: "", allowed: true, status: { code: -1 } },
      "status.code: invalid type: -1, expected an integer from 0 to 65535",
    ],
    [{ uid: "", allowed: true, status: { details: {} } }, "missing field `causes`"],
    [{ uid: "", allowed: true, warnings: [1] }, "warnings[0]: invalid type: 1, expected a string"],
    [[], "response: invalid type: [], expected an object"],
  ];
  for (const [answer, message] of wrong) {
    assert.equal(await policy.validate({ answer }), refused(`internal server error: ${message}`), message);
  }
});

testBoth("settings are data, numbers keep their form", "rego-answers", async (policy) => {
  assert.equal((await policy.validate({ do: "settings" })).warnings, ["[1.50,12345678901234567890123]"]);
  assert.equal(await policy.validateSettings(), { valid: true });
  const value = '{"z":1.0,"a":[12345678901234567890,1e3,-0.10]}';
  const [echoed] = (await policy.validate(`{"do":"echo","value":${value}}`)).warnings!;
  assert.is(echoed, value);
}, { settings: '{"number":1.50,"text":12345678901234567890123}' });

testBoth(
  "a builtin's error makes the expression undefined, and the log says so",
  "rego-answers",
  async (policy, logged) => {
    assert.equal((await policy.validate({ do: "builtin-error" })).warnings, ["defined"]);
    const [entry] = logged;
    assert.is(entry?.level, "warn");
    assert.match(entry?.message ?? "", /^Builtin error \["time\.parse_rfc3339_ns"\]: .*undefined$/);
  },
);

testBoth(
  "time and random values are the same throughout one evaluation, and others in the next",
  "rego-answers",
  async (policy) => {
    assert.is((await policy.validate({ do: "same-within-one-evaluation" })).allowed, true);
    const first = (await policy.validate({ do: "random" })).warnings;
    const second = (await policy.validate({ do: "random" })).warnings;
    assert.not.equal(first, second);
  },
);

testBoth(
  "what takes too much fails the evaluation; the next one is served",
  "rego-answers",
  async (policy, logged) => {
    assert.match(
      (await policy.validate({ do: "too-much" })).status?.message ?? "",
      /Builtin error \["net\.cidr_expand"\]/,
    );
    assert.is((await policy.validate({ answer: { uid: "", allowed: true } })).allowed, true);
    assert.match(
      (await policy.validate({ do: "conflict", values: [1, 2] })).status?.message ?? "",
      /^internal server error: wasm engine error: error invoking opa_eval function: /,
    );
    assert.ok(logged.some(({ message }) => message.includes("var assignment conflict")));
    assert.is((await policy.validate({ do: "conflict", values: [1] })).allowed, true);
  },
);

testBoth("the deadline stops guest and builtins", "rego-answers", async (policy) => {
  const interrupted = refused("internal server error: guest code interrupted, execution deadline exceeded");
  for (const request of [{ do: "loop" }, { do: "busy-builtin" }, { do: "memory", times: 100000 }]) {
    assert.equal(await policy.validate(request), interrupted, JSON.stringify(request));
    assert.is((await policy.validate({ answer: { uid: "", allowed: true } })).allowed, true);
  }
}, { timeoutMs: 100 });

testBoth("an instance that grew is as good as a new one", "rego-answers", async (policy) => {
  for (const times of [1, 2000, 1, 20000, 5]) {
    const verdict = await policy.validate({ do: "memory", times });
    assert.equal(verdict.warnings, [String(times * 1000)], JSON.stringify(verdict));
  }
}, { timeoutMs: 30_000 });

testBoth("memory has a limit", "rego-answers", async (policy, logged) => {
  const verdict = await policy.validate({ do: "memory", times: 100000 });
  assert.match(verdict.status?.message ?? "", /^internal server error: wasm engine error: /);
  assert.ok(logged.some(({ message }) => message.includes("opa_malloc: failed")), JSON.stringify(logged));
  assert.is((await policy.validate({ answer: { uid: "", allowed: true } })).allowed, true);
}, { memoryMib: 32, timeoutMs: 30_000 });

test("a policy that needs missing builtins is refused with all their names", async () => {
  await using policy = await load("rego-missing");
  const error = await policy.validateSettings().then(() => undefined, (reason: Error) => reason);
  assert.is(
    error?.message,
    "unable to rehydrate rego module: cannot allocate Rego evaluator: cannot build Rego engine: " +
      "Missing Rego builtins: http.send, rego.parse_module",
  );
});

test("Rego policies know no protocol version", async () => {
  await using policy = await load("rego-answers");
  const error = await policy.protocolVersion().then(() => undefined, (reason: Error) => reason);
  assert.is(error?.message, "protocol_version is only applicable to a Kubewarden policy");
});

testBoth("Gatekeeper: violations refuse, none allows", "gatekeeper-answers", async (policy) => {
  const denied = (message: string) => ({
    allowed: false,
    status: { message },
    auditAnnotations: null,
    warnings: null,
  });
  const judge = (told: string) => policy.validate(service("a", "ClusterIP", { do: told }));
  assert.equal(await judge("nothing"), { allowed: true, auditAnnotations: null, warnings: null });
  assert.equal(await judge("one"), denied("no"));
  // The order is the one in which the module holds its set.
  assert.equal(await judge("two"), denied("b, a"));
  assert.equal(await judge("no-msg"), denied(""));
  assert.equal(await judge("null-msg"), denied(""));
  assert.equal(await judge("parameters"), denied('{"list":[1.0]}'));
  assert.is((await judge("data")).allowed, true, "without context-aware resources there is no inventory");
  assert.is((await judge("undefined")).allowed, true);
}, { settings: '{"list":[1.0]}' });

for (
  const [policy, told] of [
    ["gatekeeper-answers", "number-msg"],
    ["gatekeeper-answers", "text"],
    ["gatekeeper-shape", "object"],
    ["gatekeeper-shape", "text"],
    ["gatekeeper-shape", "nothing"],
  ] as const
) {
  test(`Gatekeeper: a result that can't be read is refused, not allowed: ${policy}, ${told}`, async () => {
    await using loaded = await load(policy);
    const { allowed, status } = await loaded.validate(service("a", "ClusterIP", { do: told }));
    assert.is(allowed, false);
    assert.is(status?.code, 500);
    assert.match(
      status?.message ?? "",
      /^internal server error: cannot interpret Gatekeeper policy result: /,
    );
  });
}

test("Gatekeeper takes no raw requests", async () => {
  const bytes = new Uint8Array(readFileSync(path("gatekeeper-answers")));
  const { EvaluatorPool, wholeRequest } = await import("../../evaluator/apply/pool.ts");
  const { prepareModule } = await import("../../evaluator/apply/prepare.ts");
  const { WORKER_URL } = await import("../../evaluator/apply/worker_url.ts");
  const pool = new EvaluatorPool({ worker: WORKER_URL, threads: 1 });
  const encoder = new TextEncoder();
  const module = pool.addModule(await prepareModule(bytes, { memoryMib: 64 }));
  const allowed = parseCapabilities([]);
  if (typeof allowed === "string") throw new Error(allowed);
  const definition = { id: "raw", module, settings: encoder.encode("{}"), limitMs: 5000 };
  const number = pool.addPolicy(
    definition,
    hostCallHandler({ policy: "raw", contextAwareResources: [] }, allowed, {}),
  );
  const json = encoder.encode('{"uid":"1"}');
  const outcome = await pool.validate(number, wholeRequest({ json, object: [0, json.length] }));
  await pool.close();
  assert.equal(outcome, {
    kind: "verdict",
    verdict: refused("internal server error: Gatekeeper does not support raw validation requests"),
  });
});

test("the load balancer policy, as its users know it", async () => {
  await using policy = await load("gatekeeper-load-balancer", {
    settings: { namespaces: ["edge-{[a-z]+}"] },
  });
  assert.is((await policy.validate(service("a", "ClusterIP"))).allowed, true);
  assert.is((await policy.validate(service("a", "LoadBalancer", {}, "edge-eu"))).allowed, true);
  assert.equal((await policy.validate(service("a", "LoadBalancer"))).status, {
    message: 'Service of type LoadBalancer are not allowed in namespace shop, only in ["edge-{[a-z]+}"]',
  });
});

test("the label policy denies with causes and patches", async () => {
  await using policy = await load("opa-labels", {
    settings: { required: ["owner", "team"], add: { name: "checked", value: "yes" } },
  });
  const denied = await policy.validate(service("a", "ClusterIP"));
  assert.is(denied.status?.message, "2 of 2 labels are missing: owner, team");
  assert.is(denied.status?.code, 422);
  assert.equal(denied.status?.details?.causes?.map(({ field }) => field), [
    'metadata.labels["owner"]',
    'metadata.labels["team"]',
  ]);
  const request = service("a", "ClusterIP");
  const labelled = {
    ...request,
    object: { ...request.object, metadata: { name: "a", labels: { owner: "me", team: "us" } } },
  };
  const patched = await policy.validate(labelled);
  assert.is(patched.allowed, true);
  assert.equal(JSON.parse(patched.patch!), [{ op: "add", path: "/metadata/labels/checked", value: "yes" }]);
});

const cluster: readonly InventoryResource[] = [
  {
    resource: { apiVersion: "v1", kind: "Namespace" },
    plural: "namespaces",
    objects: [{ name: "shop", namespace: undefined, json: "{}" }, {
      name: "web",
      namespace: undefined,
      json: "{}",
    }],
  },
  {
    resource: { apiVersion: "v1", kind: "Service" },
    plural: "services",
    objects: [{ name: "taken", namespace: "web", json: '{"spec":{}}' }],
  },
];

for (const form of ["opa", "gatekeeper"] as const) {
  test(`${form}: the inventory is what the host answers`, async () => {
    const asked: unknown[] = [];
    await using policy = await load(`${form}-context`, {
      onHostCall: (call) => {
        asked.push(call.inventory);
        const text = form === "opa" ? opaInventory(cluster) : gatekeeperInventory(cluster);
        return { ok: true, payload: new TextEncoder().encode(text) };
      },
      settings: { kubernetes: { services: {} }, other: 1 },
    });
    assert.is((await policy.validate(service("free", "ClusterIP"))).allowed, true);
    const taken = await policy.validate(service("taken", "ClusterIP"));
    assert.is(taken.allowed, false);
    assert.is(
      taken.status?.message,
      form === "opa" ? '{"web"} of 2 namespaces' : "taken in web, one of 2 namespaces",
    );
    assert.equal(asked[0], {
      form,
      resources: [{ apiVersion: "v1", kind: "Namespace" }, { apiVersion: "v1", kind: "Service" }],
    });
  });

  test(`${form}: the inventory counts against the limit of its own request, not of an earlier one`, async () => {
    let answer = true;
    await using policy = await load(`${form}-context`, {
      timeoutMs: 300,
      onHostCall: () => {
        const text = form === "opa" ? opaInventory(cluster) : gatekeeperInventory(cluster);
        return answer ? { ok: true, payload: new TextEncoder().encode(text) } : new Promise(() => {});
      },
    });
    const judge = () => policy.validate(service("free", "ClusterIP"));
    // How long the first takes depends on the machine: it makes the guest.
    await judge();
    // Until the limit of the earlier requests is over.
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.is((await judge()).allowed, true);
    answer = false;
    assert.equal(
      await judge(),
      refused("internal server error: guest code interrupted, execution deadline exceeded"),
    );
    answer = true;
    assert.is((await judge()).allowed, true);
  });

  test(`${form}: without a host that watches the cluster the request is refused`, async () => {
    await using policy = await load(`${form}-context`);
    assert.equal(
      await policy.validate(service("a", "ClusterIP")),
      refused("cannot build Rego context aware data: callback channel is not set"),
    );
  });

  test(`${form}: an error of the host is the answer, as it is`, async () => {
    await using policy = await load(`${form}-context`, {
      onHostCall: () => ({ ok: false, error: "cannot: it broke" }),
    });
    assert.equal(await policy.validate(service("a", "ClusterIP")), refused("cannot: it broke"));
  });
}

test("without the capability to list all objects there is no inventory, and that is reported", async () => {
  const inventory: InventoryHandler = () => ({
    ok: true,
    payload: new TextEncoder().encode(gatekeeperInventory([])),
  });
  const asked = (form: "opa" | "gatekeeper") => ({
    namespace: "rego",
    operation: "inventory",
    payload: new Uint8Array(0),
    inventory: { form, resources: [{ apiVersion: "v1", kind: "Service" }] },
  });
  const answer = async (patterns: readonly string[], form: "opa" | "gatekeeper") => {
    const violations: string[] = [];
    const allowed = parseCapabilities(patterns);
    if (typeof allowed === "string") throw new Error(allowed);
    const caller = { policy: "rego", contextAwareResources: [] };
    const report = (...violation: string[]) => void violations.push(violation.join(" "));
    const found = await hostCallHandler(caller, allowed, {}, report, inventory)(asked(form));
    return { ok: found.ok, error: found.ok ? undefined : found.error, violations };
  };
  for (const form of ["opa", "gatekeeper"] as const) {
    for (const patterns of [["*"], ["kubernetes/*"], ["kubernetes/list_resources_all"]]) {
      assert.equal(await answer(patterns, form), { ok: true, error: undefined, violations: [] });
    }
    for (const patterns of [[], ["oci/*"], ["kubernetes/can_i", "kubernetes/list_resources_by_namespace"]]) {
      assert.equal(await answer(patterns, form), {
        ok: false,
        error: "Policy has not been granted access to the 'kubernetes/list_resources_all' host capability. " +
          "The violation has been reported.",
        violations: [`rego kubernetes/list_resources_all [${patterns.join(", ")}]`],
      });
    }
  }
});

test("inventories have the forms of spec/evaluator.md §7.3, §7.4", () => {
  assert.equal(JSON.parse(opaInventory(cluster)), {
    namespaces: { shop: {}, web: {} },
    services: { web: { taken: { spec: {} } } },
  });
  assert.equal(JSON.parse(gatekeeperInventory(cluster)), {
    cluster: { v1: { Namespace: { shop: {}, web: {} } } },
    namespace: { web: { v1: { Service: { taken: { spec: {} } } } } },
  });
  assert.is(opaInventory([{ ...cluster[0]!, objects: [] }]), "{}", "a kind without objects yields no key");
  assert.is(gatekeeperInventory([]), '{"cluster":{},"namespace":{}}');
  const one = (name: string | undefined, namespace: string | undefined) => ({ name, namespace, json: "{}" });
  const mixed = (...objects: ReturnType<typeof one>[]) => () => opaInventory([{ ...cluster[0]!, objects }]);
  const message = (text: string) => (error: Error) => error.message === text;
  assert.throws(mixed(one(undefined, "a")), message("DynamicObject does not have a name"));
  assert.throws(
    mixed(one("a", undefined), one("b", "x")),
    message("trying to add a namespaced resource to a list of clusterwide resources"),
  );
  assert.throws(
    mixed(one("b", "x"), one("a", undefined)),
    message("trying to add a clusterwide resource to a list of namespaced resources"),
  );
  assert.throws(
    () => opaInventory([{ ...cluster[0]!, plural: undefined }]),
    message(
      'cannot find plural name for resource ContextAwareResource { api_version: "v1", kind: "Namespace" }',
    ),
  );
});

/** A `[type, value]` whose value is in order when it is a set, which a module writes in an order of its own. */
function ordered(answer: RegoValue): RegoValue {
  const [type, value] = answer as readonly [string, RegoValue];
  return [type, type === "set" ? setOf(value as readonly RegoValue[]) : value];
}

/** Puts recorded calls through real modules: arguments and answers cross the guest's memory. */
async function throughWasm(policy: string, wanted: (name: string) => boolean): Promise<number> {
  const lines = readFileSync(new URL("rego_answers.txt", import.meta.url), "utf8").trimEnd().split("\n")
    .map((line) => line.split("\t") as [string, string])
    // No request may hold a number that no double can.
    .filter(([call]) => wanted(JSON.parse(call)[0]) && !call.includes("1e400"));
  await using loaded = await load(policy, { timeoutMs: 60_000, onLog: () => {} });
  // In portions: a guest's dump of all answers at once is large.
  for (let from = 0; from < lines.length; from += 200) {
    const portion = lines.slice(from, from + 200);
    const calls = portion.map(([call]) =>
      `{"name":${call.slice(1, call.indexOf(",["))},"operands":${call.slice(call.indexOf(",[") + 1, -1)}}`
    );
    const verdict = await loaded.validate(`{"calls":[${calls.join(",")}]}`);
    assert.is(verdict.status, undefined, verdict.status?.message);
    const answers = new Map(
      (parseRego(verdict.warnings![0]!) as readonly (readonly RegoValue[])[])
        .map(([index, ...answer]) => [Number((index as { text: string }).text), answer as RegoValue]),
    );
    for (const [at, [call, expected]] of portion.entries()) {
      const found = answers.get(at);
      const same = found === undefined
        ? expected === "undefined"
        : expected.startsWith("sha256:")
        ? recordedForm(jsonText(jsonTree(found))) === expected
        : expected !== "undefined" && equalValues(ordered(found), ordered(parseRego(expected)));
      const shown = found === undefined ? "undefined" : regoText(found);
      assert.ok(same, `${call}\n  here: ${shown}\n  OPA:  ${expected}`);
    }
  }
  return lines.length;
}

test("all recorded answers of OPA come out of a module too", async () => {
  const casts = (name: string) => name.startsWith("cast_");
  assert.ok(await throughWasm("rego-casts", casts) > 30);
  assert.ok(await throughWasm("rego-builtins", (name) => !casts(name)) > 3000);
});

test.run();
