/** Image references as text. */
import type { Reference } from "../types/reference.ts";

/** `<registry>/<repository>[:tag][@digest]` (`spec/fetch-verify.md §1.2`). */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  return `${reference.registry}/${reference.repository}${tag}${digest}`;
}

/** `<registry>/<repository>@<digest>`: the tag is dropped. */
export function immutableReference(reference: Reference, digest: string): string {
  return `${reference.registry}/${reference.repository}@${digest}`;
}

/** What goes into the URL of a manifest: the digest if there is one, else the tag. */
export function manifestName(reference: Reference): string {
  return reference.digest ?? reference.tag ?? "latest";
}

/** The host that is spoken to for `host[:port]` of a reference: Docker Hub's API lives on another name than its references. */
export function apiHost(registry: string): string {
  return registry === "docker.io" ? "index.docker.io" : registry;
}

/** The host that is spoken to for a reference. */
export function registryHost(reference: Reference): string {
  return apiHost(reference.registry);
}

/**
 * Whether the reference may name something else tomorrow and is pulled at every start (`spec/fetch-verify.md §2.2`).
 * A digest makes it immutable whatever its tag says.
 */
export function isLatest(reference: Reference): boolean {
  return reference.digest === undefined && reference.tag === "latest";
}
