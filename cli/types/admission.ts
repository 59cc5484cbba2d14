/** What a manifest does not say of the request that an API server would make of it. */

export const OPERATIONS = ["CREATE", "UPDATE", "DELETE", "CONNECT"] as const;

export type Operation = (typeof OPERATIONS)[number];

/** Whose request it is and what it does; absent members are those of a test user who creates. */
export interface Admission {
  readonly operation?: Operation | undefined;
  readonly user?: string | undefined;
  readonly groups?: readonly string[] | undefined;
  /** Of objects that name none. */
  readonly namespace?: string | undefined;
  /** What is there before the operation, as JSON text or YAML. Default: the object itself. */
  readonly oldObject?: { readonly text: string; readonly from: string } | undefined;
}
