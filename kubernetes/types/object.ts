/** What all objects of the API have in common. */
import type { ObjectMeta } from "../../crd/types.ts";

export type KubeObject = {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
};
