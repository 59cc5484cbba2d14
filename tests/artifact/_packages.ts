/** Packages that these tests use besides uvu: a development dependency, and X.509 as deps.ts gives it. */
import { loadX509, type X509 } from "../../deps.ts";

export const x509: typeof X509 = await loadX509();
export { fulcioHandler, initializeCA, initializeCTLog, initializeTLog, initializeTSA } from "@sigstore/mock";
