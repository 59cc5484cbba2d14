/** What users write: the five kinds, their fields and their identities. */
export * from "./types/kinds.ts";
export * from "./types/core_fields.ts";
export * from "./types/policy_fields.ts";
export * from "./types/policy_server_fields.ts";
export type { Infer, Json, Schema } from "./types/schema.ts";
