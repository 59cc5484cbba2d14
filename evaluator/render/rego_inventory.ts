/** What Rego policies see of the cluster, as JSON text built from the objects' own JSON (`spec/evaluator.md §7.3, §7.4`). */
import type { ContextAwareResource } from "../types/metadata.ts";

/** An object of the cluster. */
export interface InventoryObject {
  /** Undefined for an object without a name, which is an error. */
  readonly name: string | undefined;
  /** Undefined for an object that belongs to no namespace. */
  readonly namespace: string | undefined;
  /** The object as JSON text. */
  readonly json: string;
}

/** All objects of one kind. */
export interface InventoryResource {
  readonly resource: ContextAwareResource;
  /** How the API calls the kind in paths (`services`); only OPA's form needs it. */
  readonly plural: string | undefined;
  readonly objects: readonly InventoryObject[];
}

/** Raised when objects don't fit; the message is what the request is refused with. */
export class InventoryError extends Error {
  override readonly name = "InventoryError";
}

type Tree = Map<string, Tree | string>;

function branch(tree: Tree, key: string): Tree {
  let child = tree.get(key);
  if (!(child instanceof Map)) tree.set(key, child = new Map());
  return child;
}

function nameOf({ name }: InventoryObject): string {
  if (name === undefined) throw new InventoryError("DynamicObject does not have a name");
  return name;
}

/** Joined once at the end: texts of the branches would be so much garbage again for each level. */
function write(tree: Tree | string, pieces: string[]): void {
  if (typeof tree === "string") return void pieces.push(tree);
  let before = "{";
  for (const [key, child] of tree) {
    pieces.push(before, JSON.stringify(key), ":");
    write(child, pieces);
    before = ",";
  }
  pieces.push(tree.size === 0 ? "{}" : "}");
}

function text(tree: Tree): string {
  const pieces: string[] = [];
  write(tree, pieces);
  return pieces.join("");
}

/** `<plural>.<name>`, or `<plural>.<namespace>.<name>`. Throws {@link InventoryError}. */
export function opaInventory(resources: readonly InventoryResource[]): string {
  const root: Tree = new Map();
  const namespaced = new Map<string, boolean>();
  for (const { resource, plural, objects } of resources) {
    if (plural === undefined) {
      const { apiVersion, kind } = resource;
      throw new InventoryError(
        `cannot find plural name for resource ContextAwareResource { api_version: "${apiVersion}", kind: "${kind}" }`,
      );
    }
    for (const object of objects) {
      const name = nameOf(object);
      const within = object.namespace !== undefined;
      if ((namespaced.get(plural) ?? within) !== within) {
        throw new InventoryError(
          within
            ? "trying to add a namespaced resource to a list of clusterwide resources"
            : "trying to add a clusterwide resource to a list of namespaced resources",
        );
      }
      namespaced.set(plural, within);
      const list = branch(root, plural);
      (object.namespace === undefined ? list : branch(list, object.namespace)).set(name, object.json);
    }
  }
  return text(root);
}

/** `cluster[<apiVersion>][<Kind>][<name>]` and `namespace[<ns>][<apiVersion>][<Kind>][<name>]`. Throws {@link InventoryError}. */
export function gatekeeperInventory(resources: readonly InventoryResource[]): string {
  const cluster: Tree = new Map();
  const namespace: Tree = new Map();
  for (const { resource: { apiVersion, kind }, objects } of resources) {
    for (const object of objects) {
      const name = nameOf(object);
      const scope = object.namespace === undefined ? cluster : branch(namespace, object.namespace);
      branch(branch(scope, apiVersion), kind).set(name, object.json);
    }
  }
  return text(new Map([["cluster", cluster], ["namespace", namespace]]));
}
