/** Policies as tests of guests load them: what a guest says of its settings, or does instead, is what the test asks. */
import { loadPolicy, type Policy, type PolicyOptions } from "../mod.ts";

/** As `loadPolicy`, which asks no guest anything yet. */
export const loadGuest = (source: Uint8Array | string | URL, options: PolicyOptions = {}): Promise<Policy> =>
  loadPolicy(source, { validateSettings: false, ...options });
