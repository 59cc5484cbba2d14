/** The only file of these tests that names third-party packages (uvu aside); they are development dependencies. */
import "reflect-metadata";
export * as x509 from "@peculiar/x509";
export { fulcioHandler, initializeCA, initializeCTLog, initializeTLog } from "@sigstore/mock";
