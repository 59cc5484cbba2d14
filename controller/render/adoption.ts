/**
 * Taking over what Kubewarden 1.36 made: it wrote its objects by plain updates, and server-side apply takes away only what was
 * applied. Handing its record of fields over to us lets later applies remove what is no longer wanted.
 */
import type { ManagedFields } from "../../crd/types.ts";
import type { KubeObject } from "../../kubernetes/types/object.ts";
import { ownEntry } from "./differences.ts";
import { FIELD_MANAGER } from "./names.ts";

/** Names under which the original's controller wrote. */
export const ORIGINAL_MANAGERS: readonly string[] = ["controller", "manager", "kubewarden-controller"];

const isOriginal = ({ manager = "", operation, subresource = "" }: ManagedFields) =>
  operation === "Update" && subresource === "" && ORIGINAL_MANAGERS.includes(manager);

/** Whether the object was written by the original and not yet by us. `live` may lack the managers of others. */
export function isOriginals(live: KubeObject): boolean {
  return ownEntry(live) === undefined && (live.metadata.managedFields ?? []).some(isOriginal);
}

/** The patch that makes the original's fields ours; `live` must be complete. */
export function adoptionPatch(
  live: KubeObject,
): readonly { readonly op: string; readonly path: string; readonly value: unknown }[] {
  const entries = live.metadata.managedFields ?? [];
  const first = entries.findIndex(isOriginal);
  return [
    { op: "test", path: "/metadata/resourceVersion", value: live.metadata.resourceVersion },
    {
      op: "replace",
      path: "/metadata/managedFields",
      value: entries.map((entry, index) =>
        index === first ? { ...entry, manager: FIELD_MANAGER, operation: "Apply" } : entry
      ),
    },
  ];
}
