/** How objects are cut out of the API server's bytes (`spec/evaluator.md §5.8`). */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { maskTree } from "../../../policy_server/render/field_masks.ts";
import {
  type ObjectForm,
  readListPage,
  readObject,
  readWatchEvent,
} from "../../../policy_server/render/kubernetes_object.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const form = (masks: readonly string[] = [], trimmed = false): ObjectForm => ({
  apiVersion: "v1",
  kind: "Pod",
  masks: maskTree(masks),
  trimmed,
});

/** What is left of an object besides its type. */
function masked(object: unknown, ...masks: string[]): unknown {
  const { json } = readObject(bytes(JSON.stringify(object)), 0, form(masks));
  const { apiVersion, kind, ...rest } = JSON.parse(json);
  assert.equal([apiVersion, kind], ["v1", "Pod"]);
  return rest;
}

test("masks keep what they name, at every depth", () => {
  const object = { a: { b: 1, c: 2 }, d: { x: 1 }, e: 3 };
  assert.equal(masked(object, "a.b", "d"), { a: { b: 1 }, d: { x: 1 } });
  assert.equal(masked(object, "absent"), {});
  assert.equal(masked(object, "a.b.c"), { a: { b: 1 } });
  assert.equal(masked(object), object);
});

test("the deeper of two masks wins", () => {
  for (const masks of [["a", "a.b"], ["a.b", "a"]]) {
    assert.equal(masked({ a: { b: 1, c: 2 } }, ...masks), { a: { b: 1 } });
  }
});

test("arrays are passed through, scalars kept as they are", () => {
  const object = { spec: { containers: [{ image: "i", name: "n" }, "odd", [{ image: "j", x: 1 }]], n: 5 } };
  assert.equal(masked(object, "spec.containers.image"), {
    spec: { containers: [{ image: "i" }, "odd", [{ image: "j" }]] },
  });
  assert.equal(masked(object, "spec.n.deeper"), { spec: { n: 5 } });
  assert.equal(masked({ a: null, b: [] }, "a.x", "b.x"), { a: null, b: [] });
});

test("metadata is always whole", () => {
  const object = { metadata: { name: "n", labels: { a: "b" } }, spec: 1 };
  assert.equal(masked(object, "metadata.name"), { metadata: object.metadata });
  assert.equal(masked(object, "spec"), object);
});

test("trimming empties the managed fields and removes the last-applied annotation only", () => {
  const trimmed = (metadata: unknown) => {
    const object = bytes(JSON.stringify({ metadata, spec: {} }));
    return JSON.parse(readObject(object, 0, form([], true)).json).metadata;
  };
  const annotations = { "kubectl.kubernetes.io/last-applied-configuration": "{}", keep: "me" };
  assert.equal(trimmed({ name: "n", managedFields: [{ manager: "m" }], annotations }), {
    name: "n",
    annotations: { keep: "me" },
    managedFields: [],
  });
  assert.equal(trimmed({}), { managedFields: [], annotations: {} });
  assert.equal(trimmed({ annotations: null }), { managedFields: [], annotations: {} });
  assert.equal(trimmed({ unknown: 1, name: "n" }).unknown, undefined);
  assert.equal(JSON.parse(readObject(bytes("{}"), 0, form([], true)).json), {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { managedFields: [], annotations: {} },
  });
});

test("numbers and text keep what they are", () => {
  const text = '{"metadata":{"name":"é😀"},"n":12345678901234567890,"f":1.0,"s":"\\u00e9\\n","ü":[1e3]}';
  const { json, name } = readObject(bytes(text), 0, form());
  assert.is(name, "é😀");
  assert.is(json, text.replace("{", '{"apiVersion":"v1","kind":"Pod",'));
});

test("what an object is comes from the question, as items of lists don't say", () => {
  const { json } = readObject(bytes('{"kind":"Odd","apiVersion":"v9","spec":1}'), 0, form());
  assert.is(json, '{"apiVersion":"v1","kind":"Pod","spec":1}');
});

test("pages of lists", () => {
  const page = readListPage(
    bytes(
      '{"kind":"PodList","metadata":{"resourceVersion":"7","continue":"c"},"items":[{"metadata":{"name":"a"}},{}]}',
    ),
    form(),
  );
  assert.is(page.resourceVersion, "7");
  assert.is(page.next, "c");
  assert.equal(page.objects.map(({ name }) => name), ["a", undefined]);
  const last = readListPage(bytes('{"items":null,"metadata":{"resourceVersion":"8","continue":""}}'), form());
  assert.equal([last.objects.length, last.next], [0, undefined]);
  for (const text of ["", "[]", "{", '{"items":[}', "<html>"]) {
    assert.throws(() => readListPage(bytes(text), form()), undefined, text);
  }
});

test("events of watches", () => {
  const event = (value: unknown) => readWatchEvent(bytes(JSON.stringify(value)), form());
  const object = { metadata: { name: "a", namespace: "n", resourceVersion: "5" } };
  for (const [type, kind] of [["ADDED", "changed"], ["MODIFIED", "changed"], ["DELETED", "deleted"]]) {
    const read = event({ type, object });
    assert.is(read.kind, kind);
    if (read.kind !== "changed" && read.kind !== "deleted") throw new Error(read.kind);
    assert.equal([read.object.name, read.object.namespace, read.object.resourceVersion], ["a", "n", "5"]);
  }
  assert.equal(event({ object, type: "BOOKMARK" }), { kind: "bookmark", resourceVersion: "5" });
  assert.equal(event({ type: "ERROR", object: { code: 410, message: "too old" } }), {
    kind: "error",
    code: 410,
    message: "too old",
  });
  assert.is(event({ type: "ADDED" }).kind, "error");
  assert.is(event({ type: "NEW", object }).kind, "error");
});

test("what is nested without end is refused, not followed", () => {
  const deep = `{"spec":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  assert.throws(() => readObject(bytes(deep), 0, form()), /nested/);
  assert.throws(() => readObject(bytes(deep), 0, form(["spec.a.b"])), /nested/);
});

test.run();
