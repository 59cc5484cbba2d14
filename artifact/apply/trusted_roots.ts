/** The certificate authorities that every TLS connection of this room trusts. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import tls from "node:tls";
import { certificatesIn } from "../../program/apply/certificates.ts";
import { looseText } from "../../program/types/decoded_text.ts";
import { ArtifactError } from "../types/error.ts";
import type { Environment } from "../types/options.ts";
import { append } from "../../program/types/lists.ts";

/** Certificates in forms that OpenSSL alone knows. */
export const opensslBlocks = (text: string): readonly string[] =>
  text.match(/-----BEGIN (TRUSTED |X509 )CERTIFICATE-----[\s\S]+?-----END \1CERTIFICATE-----/g) ?? [];

function authoritiesIn(file: string): readonly string[] {
  const text = looseText(readFileSync(file));
  return [...certificatesIn(text).certificates, ...opensslBlocks(text)];
}

/** `SSL_CERT_FILE` and `SSL_CERT_DIR`, as OpenSSL and Go understand them: they replace the system's roots. */
function fromEnvironment(env: Environment): readonly string[] | undefined {
  const [file, directories] = [env["SSL_CERT_FILE"], env["SSL_CERT_DIR"]];
  if (!file && !directories) return undefined;
  const found: string[] = [];
  if (file) {
    try {
      append(found, authoritiesIn(file));
    } catch (cause) {
      throw new ArtifactError("config", `SSL_CERT_FILE: cannot read ${file}`, cause);
    }
    if (found.length === 0) {
      throw new ArtifactError("config", `SSL_CERT_FILE: ${file} holds no PEM certificate`);
    }
  }
  for (const directory of (directories ?? "").split(":").filter((name) => name !== "")) {
    let names: readonly string[];
    try {
      names = readdirSync(directory);
    } catch (cause) {
      throw new ArtifactError("config", `SSL_CERT_DIR: cannot list ${directory}`, cause);
    }
    for (const name of names) {
      try {
        append(found, authoritiesIn(join(directory, name)));
      } catch {
        // A directory or an unreadable file among the certificates: OpenSSL passes over it as well.
      }
    }
  }
  return found;
}

/** Read once: the system's store has some hundred files, and the process would have to be started anew for others anyway. */
let systemRoots: readonly string[] | undefined;

/**
 * PEM texts of the roots: `SSL_CERT_FILE`/`SSL_CERT_DIR`, else the operating system's, else those built into the runtime.
 *
 * @throws {ArtifactError} `config` when the environment names something unreadable
 */
export function trustedRoots(env: Environment): readonly string[] {
  const configured = fromEnvironment(env);
  if (configured !== undefined) return [...new Set(configured)];
  systemRoots ??= [...new Set(tls.getCACertificates("system"))];
  return systemRoots.length > 0 ? systemRoots : tls.rootCertificates;
}
