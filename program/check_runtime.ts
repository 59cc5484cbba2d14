/** Checks the runtime of whoever imports this. What it throws ends the import. Syntax of 2018. */
import { requireRuntime } from "./apply/require_runtime.ts";

requireRuntime("portreeve");
