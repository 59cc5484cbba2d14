// Issue 19, item 5: what a Rego policy made of its view of the cluster is kept until that changes, and nothing else is.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Deadline } from "../../evaluator/apply/deadline.ts";
import { Engine } from "../../evaluator/apply/engine.ts";
import { wholeMemory } from "../../evaluator/apply/guest_memory.ts";
import { prepareModule } from "../../evaluator/apply/prepare.ts";
import { filledPages, Seal } from "../../evaluator/apply/seal.ts";
import {
  gatekeeperInventory,
  type InventoryResource,
  opaInventory,
} from "../../evaluator/render/rego_inventory.ts";
import type { HostCallAnswer } from "../../evaluator/types/evaluation.ts";
import type { PreparedModule } from "../../evaluator/types/module.ts";
import type { ThreadMemory } from "../../evaluator/types/protocol.ts";
import { loadGuest } from "../load_guest.ts";
import { PAGE, policyOf, probingGuest, REGO_MODES } from "./probing_guest.ts";

const MIB = 1024 * 1024;
const FORMS = { opa: opaInventory, gatekeeper: gatekeeperInventory };
type Form = keyof typeof FORMS;
const encoder = new TextEncoder();
const prepared = new Map<Form, PreparedModule>();

/** Policies of one module that refuse a Service whose name another namespace has, and what each is given as its view. */
async function policies(form: Form, views: Record<number, HostCallAnswer>, memory?: ThreadMemory) {
  let module = prepared.get(form);
  if (!module) {
    const path = fileURLToPath(new URL(`../policies/${form}-context/policy.wasm`, import.meta.url));
    prepared.set(form, module = await prepareModule(readFileSync(path), { memoryMib: 256 }));
  }
  const host = { call: (policy: number) => views[policy]!, log() {}, sleep() {} };
  const engine = new Engine(host, new Deadline(), memory);
  engine.addModule(1, module);
  const add = (policy: number) =>
    engine.addPolicy(policy, {
      id: `policy-${policy}`,
      module: 1,
      settings: encoder.encode("{}"),
      limitMs: 60_000,
      contextAwareResources: [{ apiVersion: "v1", kind: "Service" }],
    });
  for (const policy of Object.keys(views)) add(Number(policy));
  const outcome = async (policy: number, name: string, padding = 0) => {
    const object = { metadata: { name, annotations: { padding: "x".repeat(padding) } } };
    const json = encoder.encode(JSON.stringify({ uid: "u", namespace: "shop", object }));
    const outcome = await engine.run(policy, "validate", {
      json,
      object: [json.indexOf(123, 1), json.length - 1],
    });
    while (engine.tidy() === 0) await engine.collect();
    return outcome;
  };
  /** Whether the policy refuses the name. */
  const refuses = async (policy: number, name: string, padding?: number) => {
    const found = await outcome(policy, name, padding);
    if (found.kind !== "verdict" || found.verdict.status?.code === 500) {
      throw new Error(JSON.stringify(found));
    }
    return !found.verdict.allowed;
  };
  return { engine, add, outcome, refuses };
}

/** What a policy sees when namespace `web` has these services, with so much more that memory must grow for it. */
function view(
  form: Form,
  names: readonly string[],
  version: number | undefined,
  padding = 0,
): HostCallAnswer {
  const resources: InventoryResource[] = [
    {
      resource: { apiVersion: "v1", kind: "Namespace" },
      plural: "namespaces",
      objects: [{
        name: "web",
        namespace: undefined,
        json: JSON.stringify({ padding: "x".repeat(padding) }),
      }],
    },
    {
      resource: { apiVersion: "v1", kind: "Service" },
      plural: "services",
      objects: names.map((name) => ({ name, namespace: "web", json: "{}" })),
    },
  ];
  const payload = encoder.encode(FORMS[form](resources));
  return { ok: true, payload, ...(version !== undefined && { version }) };
}

for (const form of ["opa", "gatekeeper"] as const) {
  // In the room that every guest has, and beyond it.
  for (const padding of [0, 5 * MIB]) {
    test(`${form}: the request after a change sees it (${padding} bytes)`, async () => {
      const views = { 1: view(form, ["taken"], 1, padding) };
      const { refuses } = await policies(form, views);
      for (const _ of [1, 2, 3]) {
        assert.is(await refuses(1, "taken"), true);
        assert.is(await refuses(1, "free"), false);
      }
      views[1] = view(form, ["free"], 2, padding / 2);
      assert.is(await refuses(1, "taken"), false);
      assert.is(await refuses(1, "free"), true);
      views[1] = view(form, ["taken", "free"], 3, padding * 2);
      assert.is(await refuses(1, "taken"), true);
      assert.is(await refuses(1, "free"), true);
      views[1] = view(form, [], 4);
      assert.is(await refuses(1, "taken"), false);
    });

    test(`${form}: what does not change is read once, what has no version each time (${padding} bytes)`, async () => {
      const views = { 1: view(form, ["taken"], 1, padding), 2: view(form, ["taken"], undefined, padding) };
      const { refuses } = await policies(form, views);
      for (const policy of [1, 2]) assert.is(await refuses(policy, "taken"), true);
      views[1] = view(form, [], 1, padding);
      views[2] = view(form, [], undefined, padding);
      for (const _ of [1, 2]) {
        assert.is(await refuses(1, "taken"), true, "as it was read");
        assert.is(await refuses(2, "taken"), false, "as it is given");
      }
      // From a version to none, and back to another.
      views[1] = view(form, [], undefined, padding);
      assert.is(await refuses(1, "taken"), false);
      views[1] = view(form, ["other"], 2, padding);
      assert.is(await refuses(1, "other"), true);
    });

    test(`${form}: policies of one module never see what another may (${padding} bytes)`, async () => {
      // Not even when the host gave both views the same number.
      const views = { 1: view(form, ["secret"], 1, padding), 2: view(form, [], 1, padding) };
      const { refuses, engine, add } = await policies(form, views);
      for (const _ of [1, 2, 3]) {
        assert.is(await refuses(1, "secret"), true);
        assert.is(await refuses(2, "secret"), false);
      }
      engine.remove([1], []);
      views[1] = view(form, [], 1, padding);
      add(1);
      assert.is(await refuses(1, "secret"), false, "a policy of the same number is another one");
    });
  }

  test(`${form}: a request that can't have its view is refused, and leaves the view that was read`, async () => {
    const views: Record<number, HostCallAnswer> = { 1: view(form, ["taken"], 1, MIB) };
    const { refuses, outcome } = await policies(form, views);
    assert.is(await refuses(1, "taken"), true);
    const before = views[1]!;
    views[1] = { ok: false, error: "the API server is gone" };
    const found = await outcome(1, "free");
    assert.is(found.kind === "verdict" && found.verdict.status?.message, "the API server is gone");
    views[1] = view(form, [], 1, MIB);
    assert.is(await refuses(1, "taken"), true, "as it was read");
    views[1] = before;
    // Of any length, also where it outgrows the room that its guest has.
    for (const length of [0, 20_000, 300_000, 3_000_000]) {
      assert.is(await refuses(1, "taken", length), true, `${length}`);
      assert.is(await refuses(1, "free", length), false, `${length}`);
    }
  });

  test(`${form}: no more is kept than a thread may`, async () => {
    const kept = 24 * MIB;
    const padded = (policy: number, size: number, names: readonly string[]) =>
      view(form, names, policy, size);
    const given = (names: readonly string[], size: number) => ({
      1: padded(1, size, names),
      2: padded(2, size, names),
      3: padded(3, size, names),
    });
    const views: Record<number, HostCallAnswer> = given(["taken"], 4 * MIB);
    const { refuses } = await policies(form, views, { kept, abandoned: MIB });
    for (const policy of [1, 2, 3]) assert.is(await refuses(policy, "taken"), true);
    Object.assign(views, given([], 4 * MIB));
    // Two of the guests fit: the one that was used longest ago was dropped.
    for (const policy of [3, 2]) assert.is(await refuses(policy, "taken"), true, `${policy} is kept`);
    assert.is(await refuses(1, "taken"), false, "1 was dropped");

    const large: Record<number, HostCallAnswer> = given(["taken"], kept);
    const other = await policies(form, large, { kept, abandoned: MIB });
    assert.is(await other.refuses(1, "taken"), true);
    Object.assign(large, given([], kept));
    assert.is(await other.refuses(1, "taken"), false, "what is larger than that is not kept");
  });
}

for (const form of ["opa", "gatekeeper"] as const) {
  for (const threads of [0, 1]) {
    test(`${form}: what the host says of its view reaches the guest (${threads} threads)`, async () => {
      let given = view(form, ["taken"], 1);
      const path = fileURLToPath(new URL(`../policies/${form}-context/policy.wasm`, import.meta.url));
      await using policy = await loadGuest(path, { threads, onHostCall: () => given });
      const refuses = async (name: string) => {
        const object = { apiVersion: "v1", kind: "Service", metadata: { name } };
        const request = {
          uid: "u",
          kind: { group: "", version: "v1", kind: "Service" },
          resource: { group: "", version: "v1", resource: "services" },
          operation: "CREATE",
          userInfo: {},
          namespace: "shop",
          object,
        };
        const { allowed, status } = await policy.validate(request);
        if (status?.code === 500) throw new Error(status.message);
        return !allowed;
      };
      for (const _ of [1, 2]) assert.is(await refuses("taken"), true);
      given = view(form, [], 1);
      assert.is(await refuses("taken"), true, "the same number");
      given = view(form, ["other"], 2);
      assert.is(await refuses("taken"), false, "another");
      assert.is(await refuses("other"), true);
    });
  }
}

/** Reading it fills pages 2 to 8 of the guest's, though with zeros where it leaves something. */
const PAYLOAD = new Uint8Array(8 * PAGE).map((_, at) => at % 4096 === 0 ? 1 : 0);
const PROBES = [
  ...[0, 1, 2, 3, 5, 9, 10, 11, 12, 15, 17, 18, 19, 20, 21, 30].map((page) => `@L${page * PAGE + 65_001};`),
  ...[1, 3, 9, 10, 11, 18, 19, 30].map((page) => `@H${page * PAGE + 101};`),
  ...[2, 10, 11, 12, 18].map((pages) => `@S${pages};`),
  ...[1, 31, 900, 995, 1000].map((pages) => `@R${pages};`),
];
/** Grown memory, and bytes in its own variables, in what reading has filled, at its end and beyond. */
const LEAVING = [
  ...["@G1;", "@G6;", "@G40;", "@W60001;"],
  ...[2, 3, 9, 10, 11, 15].map((page) => `@W${page * PAGE + 65_001};`),
];

for (const mode of REGO_MODES) {
  test(`${mode}: nothing tells a guest that has read its view from a new one`, async () => {
    const module = await prepareModule(probingGuest(mode), { memoryMib: 64 });
    assert.ok(module.restorable);
    const give = () => ({ ok: true as const, payload: PAYLOAD, version: 1 });
    const expected = new Map<string, string>();
    for (const told of PROBES) expected.set(told, await policyOf(module, give)(told));
    const answers = [...expected.values()];
    assert.ok(answers.includes("yes") && answers.some((answer) => answer !== "yes"), answers.join());
    for (const before of LEAVING) {
      const ask = policyOf(module, give);
      for (const told of PROBES) {
        assert.is(await ask(before), "yes", before);
        assert.is(await ask(told), expected.get(told), `${told} after ${before}`);
      }
    }
  });
}

test("a seal shows every change, wherever it is", () => {
  const memory = new WebAssembly.Memory({ initial: 6, maximum: 20 });
  const bytes = wholeMemory(memory);
  assert.is(filledPages(bytes, PAGE), undefined, "nothing is filled");
  bytes.fill(7, 0, 4 * PAGE + 10);
  assert.equal(filledPages(bytes, PAGE), { start: PAGE, end: 4 * PAGE }, "not what is still being filled");
  assert.is(filledPages(bytes, 4 * PAGE), undefined);
  const seal = new Seal(bytes, { start: PAGE, end: 4 * PAGE });
  assert.ok(seal.holds());
  for (const at of [PAGE, PAGE + 1, 2 * PAGE, 4 * PAGE - 1]) {
    bytes[at]! ^= 1;
    assert.not.ok(seal.holds(), `${at}`);
    bytes[at]! ^= 1;
    assert.ok(seal.holds(), `${at}`);
  }
  bytes.fill(1, 0, PAGE);
  bytes.fill(1, 4 * PAGE);
  assert.ok(seal.holds(), "what is beside it does not matter");
  memory.grow(1);
  assert.not.ok(seal.holds(), "a memory that has grown");
});

test.run();
