import type { loadPolicy, loadPolicyGroup } from "../../mod.ts";

export function verdicts(
  library: { readonly loadPolicy: typeof loadPolicy; readonly loadPolicyGroup: typeof loadPolicyGroup },
  read: (file: string) => Uint8Array | Promise<Uint8Array>,
  threads: number,
): Promise<readonly string[]>;
