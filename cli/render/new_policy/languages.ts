/** The languages of `reeve new`. */
import { ASSEMBLYSCRIPT } from "./assemblyscript.ts";
import type { PolicyLanguage } from "./common.ts";
import { GO } from "./go.ts";
import { REGO } from "./rego.ts";
import { RUST } from "./rust.ts";
import { TYPESCRIPT } from "./typescript.ts";

/** By the values of `--lang`. */
export const POLICY_LANGUAGES: ReadonlyMap<string, PolicyLanguage> = new Map([
  ["ts", TYPESCRIPT],
  ["rust", RUST],
  ["rego", REGO],
  ["go", GO],
  ["as", ASSEMBLYSCRIPT],
]);
