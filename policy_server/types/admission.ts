/** What the server tells requests apart by, and its answers to the audit scanner (`spec/policy-server.md §5`). */

/** Where a request came in. */
export type RequestOrigin = "validate" | "audit" | "raw";

/** Tells in answers to audits for how many policies one review may come. */
export const MANY_HEADER = "portreeve-audit-many";
export const MOST_POLICIES = 32;
/** One JSON value a line. */
export const LINES_TYPE = "application/x-ndjson";
