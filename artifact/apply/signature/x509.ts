/**
 * The library that reads certificates, loaded when the first signature is to be checked: processes that verify nothing never
 * pay for it. Whoever enters this folder from outside awaits `loadX509` first.
 */
import { loadSigstoreCore, type SigstoreCore, type X509Certificate } from "../../../deps.ts";

let core: SigstoreCore | undefined;

export async function loadX509(): Promise<void> {
  core ??= await loadSigstoreCore();
}

/** The library. */
export function x509(): SigstoreCore {
  if (core === undefined) throw new Error("X.509 is not loaded: await loadX509() first");
  return core;
}

/** @throws {Error} not a certificate */
export function certificateFromDer(der: Uint8Array): X509Certificate {
  return x509().X509Certificate.parse(Buffer.from(der));
}
