/** Puts beside a bundle what `portreeve` serves for a first look. For builds. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { POLICIES, SAMPLES } from "../types/demo.ts";

/** Copies the sample policies of the checkout `root` to `outdir`/samples, where the bundle in `outdir` looks for them. */
export function copySamples(root: string, outdir: string): void {
  const copy = (...path: readonly string[]) =>
    cpSync(join(root, "policies", ...path), join(outdir, "samples", ...path));
  for (const name of Object.keys(POLICIES)) copy(name, "policy.wasm");
  for (const { policy, request } of SAMPLES) copy(policy, "requests", `${request}.json`);
}
