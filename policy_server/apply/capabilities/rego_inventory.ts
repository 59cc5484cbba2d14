/** What Rego policies see of the cluster, in the form of their dialect (`spec/evaluator.md §7.3 to §7.5`). */
import {
  gatekeeperInventory,
  InventoryError,
  opaInventory,
} from "../../../evaluator/render/rego_inventory.ts";
import type { InventoryHandler } from "../../../evaluator/types/evaluation.ts";
import type { ClusterSource } from "../kubernetes/cluster.ts";
import { sharedBytes } from "../kubernetes/shared_bytes.ts";
import { inventories } from "../kubernetes/inventory.ts";

const FORMS = { opa: opaInventory, gatekeeper: gatekeeperInventory } as const;

/** Answers Rego policies from the watches that all policies share. */
export function regoInventory(source: ClusterSource): InventoryHandler {
  const get = inventories(
    source,
    (form: keyof typeof FORMS, kinds) => sharedBytes(FORMS[form](kinds)),
  );
  return async ({ form, resources }) => {
    try {
      return { ok: true, ...await get(form, resources) };
    } catch (error) {
      const { message } = error as Error;
      if (error instanceof InventoryError) return { ok: false, error: message };
      return { ok: false, error: `cannot perform a request via callback channel: ${message}` };
    }
  };
}
