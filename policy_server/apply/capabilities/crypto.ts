/** `crypto/v1/is_certificate_trusted` (`spec/evaluator.md §5.7`). */
import { rootCertificates } from "node:tls";
import { loadSigstoreCore, type SigstoreCore } from "../../../deps.ts";
import type { Capabilities } from "../../../evaluator/apply/host_calls.ts";
import {
  type CertificateRequest,
  parseRfc3339,
  readCertificateRequest,
  type SentCertificate,
} from "../../render/certificate_request.ts";
import { type Certificate, CertificateError, pemToDer, readCertificate } from "./certificate.ts";
import { type FindAnchors, type PathError, pathError } from "./certificate_path.ts";

/** The answer. */
interface Trust {
  readonly trusted: boolean;
  readonly reason: string;
}

function derOf({ encoding, data }: SentCertificate): Uint8Array {
  if (encoding === "Der") return data;
  try {
    return pemToDer(data);
  } catch (error) {
    throw new Error(`Certificate PEM data is not valid: ${(error as Error).message}`, { cause: error });
  }
}

function readLeaf(core: SigstoreCore, der: Uint8Array): Certificate {
  try {
    return readCertificate(core, der);
  } catch (error) {
    throw new Error(`Certificate is not a valid end-entity certificate: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Parsed once: a hundred and fifty certificates, which never change while the process runs. */
let publicAnchors: ReadonlyMap<string, readonly Certificate[]> | undefined;

/** Mozilla's roots by subject, which the runtime carries. */
function publicRoots(core: SigstoreCore): FindAnchors {
  if (!publicAnchors) {
    const bySubject = new Map<string, Certificate[]>();
    for (const pem of rootCertificates) {
      const root = readCertificate(core, pemToDer(new TextEncoder().encode(pem)), true);
      bySubject.set(root.subject, [...bySubject.get(root.subject) ?? [], root]);
    }
    publicAnchors = bySubject;
  }
  const anchors = publicAnchors;
  return (issuer) => anchors.get(issuer) ?? [];
}

function untrusted(error: PathError): Trust {
  switch (error) {
    case "expired":
      return { trusted: false, reason: "Certificate is being used after its expiration date" };
    case "not yet valid":
      return { trusted: false, reason: "Certificate is being used before its validity date" };
    case "unknown issuer":
      return { trusted: false, reason: "Certificate is not trusted by the provided cert chain" };
    default:
      return { trusted: false, reason: `Certificate not trusted: ${error.other}` };
  }
}

/** Throws Error for what can't be judged; `now` in milliseconds since 1970. */
export async function certificateTrust(
  { certificate, chain, notAfter }: CertificateRequest,
  now: number,
): Promise<Trust> {
  const leafDer = derOf(certificate);
  const chainDer = chain?.map(derOf);
  const at = notAfter === undefined ? now : parseRfc3339(notAfter);
  if (at === undefined) throw new Error("Timestamp not_after is not in RFC3339 format");
  const core = await loadSigstoreCore();
  const leaf = readLeaf(core, leafDer);
  const intermediates: Certificate[] = [];
  let findAnchors: FindAnchors = () => [];
  if (!chainDer) findAnchors = publicRoots(core);
  else if (chainDer.length > 0) {
    try {
      const anchor = readCertificate(core, chainDer.at(-1)!, true);
      findAnchors = (issuer) => issuer === anchor.subject ? [anchor] : [];
    } catch (error) {
      return untrusted({ other: `the last certificate of the chain: ${(error as Error).message}` });
    }
    for (const der of chainDer.slice(0, -1)) {
      try {
        intermediates.push(readCertificate(core, der));
      } catch (error) {
        // What is no certificate can't be part of a path; there may be one without it.
        if (!(error instanceof CertificateError)) throw error;
      }
    }
  }
  const fault = pathError(leaf, intermediates, findAnchors, at);
  return fault ? untrusted(fault) : { trusted: true, reason: "" };
}

/** The capability. */
export function cryptoCapabilities(now: () => number = Date.now): Capabilities {
  return {
    "crypto/v1/is_certificate_trusted": async (payload) => {
      const trust = await certificateTrust(readCertificateRequest(payload), now());
      return new TextEncoder().encode(JSON.stringify(trust));
    },
  };
}
