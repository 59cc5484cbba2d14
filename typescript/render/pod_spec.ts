/** The pods that objects of every workload kind make. */
import { own } from "../../program/types/own.ts";
import type { Container, KubernetesObject, PodSpec } from "../types/workloads.ts";

const TEMPLATE = ["spec", "template", "spec"];
/** Where an object of each kind has what its pods are made of. */
const PATHS: ReadonlyMap<string, readonly string[]> = new Map([
  ["Pod", ["spec"]],
  ["Deployment", TEMPLATE],
  ["ReplicaSet", TEMPLATE],
  ["StatefulSet", TEMPLATE],
  ["DaemonSet", TEMPLATE],
  ["ReplicationController", TEMPLATE],
  ["Job", TEMPLATE],
  ["CronJob", ["spec", "jobTemplate", ...TEMPLATE]],
]);

/**
 * What the pods of `object` are made of: of a Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, Job or
 * CronJob. Undefined for everything else. It is a part of the object: what is changed in it is changed in the object.
 */
export function podSpecOf(object: object | undefined): PodSpec | undefined {
  const path = PATHS.get((object as KubernetesObject | undefined)?.kind ?? "");
  if (path === undefined) return undefined;
  let found: unknown = object;
  for (const name of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = own(found as Readonly<Record<string, unknown>>, name);
  }
  return typeof found === "object" && found !== null && !Array.isArray(found) ? found as PodSpec : undefined;
}

/** All containers of a pod: ordinary, init and ephemeral ones. */
export function containersOf(spec: PodSpec | undefined): readonly Container[] {
  return [spec?.containers, spec?.initContainers, spec?.ephemeralContainers].flatMap((some) => some ?? []);
}
