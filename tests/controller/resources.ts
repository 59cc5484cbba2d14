/** Resources as users write them, and what to do with them and wait for through the API server. */
import * as assert from "uvu/assert";
import { customResource, type Kind } from "../../crd/types.ts";
import type { Resource } from "../../kubernetes/types/resource.ts";
import { type Any, type Harness, NAMESPACE, until } from "./harness.ts";

export const V1 = "policies.kubewarden.io/v1";
export const RULES = [{ apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] }];

export const server = (name: string, spec: Any = {}) => ({
  apiVersion: V1,
  kind: "PolicyServer",
  metadata: { name },
  spec: { image: "i:1", replicas: 1, ...spec },
});
export const cap = (name: string, spec: Any = {}) => ({
  apiVersion: V1,
  kind: "ClusterAdmissionPolicy",
  metadata: { name },
  spec: { module: "registry://example.org/p:v1", mutating: false, rules: RULES, ...spec },
});
export const ap = (name: string, spec: Any = {}) => ({
  ...cap(name, spec),
  kind: "AdmissionPolicy",
  metadata: { name, namespace: "default" },
});

export async function create(harness: Harness, ...objects: Any[]): Promise<void> {
  for (const object of objects) {
    const answer = await harness.create(object);
    assert.is(answer.kind, object.kind, answer.message);
  }
}

export const condition = (object: Any, type: string) =>
  (object.status?.conditions ?? []).find((entry: Any) => entry.type === type);

/** Waits until an object of ours looks as wanted; its last look is in the failure's message. */
export async function when(
  harness: Harness,
  object: Any,
  what: string,
  holds: (found: Any) => unknown,
): Promise<Any> {
  let seen: Any;
  try {
    return await until(`${object.kind} ${object.metadata.name} ${what}`, async () => {
      seen = await harness.read(object);
      return holds(seen) ? seen : undefined;
    }, { limitMs: 20_000 });
  } catch (error) {
    throw new Error(`${(error as Error).message}; status ${JSON.stringify(seen.status ?? seen.message)}`);
  }
}

export const isStatus = (wanted: string) => (found: Any) => found.status?.policyStatus === wanted;
export const active = (harness: Harness, object: Any) =>
  when(harness, object, "is active", isStatus("active"));

export const get = ({ client }: Harness, resource: Resource, name: string): Promise<Any | undefined> =>
  client.get<Any>(resource, resource.namespaced ? NAMESPACE : undefined, name).catch(() => undefined);

export async function patch(
  { client }: Harness,
  object: Any,
  body: Any,
  type: "merge" | "json" = "merge",
): Promise<Any> {
  return await client.patch<Any>(
    customResource(object.kind as Kind),
    object.metadata.namespace,
    object.metadata.name,
    type,
    body,
  );
}

export async function remove({ client }: Harness, object: Any): Promise<void> {
  await client.remove(customResource(object.kind as Kind), object.metadata.namespace, object.metadata.name);
}

export const gone = (harness: Harness, object: Any) =>
  when(harness, object, "is gone", (found) => found.code === 404);
