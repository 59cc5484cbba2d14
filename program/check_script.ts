/** Ends a script of this repository at its first import on a runtime that is not supported. Syntax of 2018. */
import { exitUnlessSupported } from "./apply/require_runtime.ts";

exitUnlessSupported("portreeve");
