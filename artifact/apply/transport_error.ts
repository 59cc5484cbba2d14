/** From the errors of either runtime to one that a person can do something about. */
import { ArtifactError, messageOf } from "../types/error.ts";

/** What a certificate that was refused is called, by the codes of OpenSSL (Node) and BoringSSL (Bun). */
const TLS_ADVICE: readonly (readonly [RegExp, string])[] = [
  [/CERT_HAS_EXPIRED/, "the server's certificate has expired: renew it"],
  [/CERT_NOT_YET_VALID/, "the server's certificate is not valid yet: check both clocks"],
  [/ALTNAME|HOSTNAME_MISMATCH/, "the server's certificate was issued for another name"],
  [
    /SELF_SIGNED|UNABLE_TO_(?:GET_ISSUER|VERIFY)|UNKNOWN_ISSUER|CERT_UNTRUSTED|CERT_SIGNATURE|INVALID_CA/,
    "the server's certificate comes from an unknown authority: add that authority to source_authorities in sources.yml",
  ],
  [
    /ERR_SSL|WRONG_VERSION|EPROTO|ERR_TLS|CRYPTO|KEY_TOO_SMALL|MD_TOO_WEAK|PEM/,
    "no TLS session: the server speaks plain HTTP or its TLS settings do not fit " +
    "(for plain HTTP list the host in insecure_sources)",
  ],
];

/** Bun asks back where Node says what it tried; the code that stands before it is the same. */
const BUN_ASKS = "Unable to connect. Is the computer able to access the url?";

/** The error and what caused it, outermost first; aggregated attempts (IPv4, IPv6) included. */
function chainOf(error: unknown, depth = 0): readonly Error[] {
  if (!(error instanceof Error) || depth > 5) return [];
  const parts = error instanceof AggregateError
    ? error.errors.flatMap((part) => chainOf(part, depth + 1))
    : [];
  return [error, ...parts, ...chainOf(error.cause, depth + 1)];
}

/** What a failed exchange is called: which host, through which proxy, why, and what to do. */
export function transportError(url: URL, error: unknown, proxy: string | undefined): ArtifactError {
  const chain = chainOf(error);
  const codes = chain.map((part) => (part as Error & { code?: unknown }).code).filter((code) =>
    typeof code === "string"
  );
  const text = [...codes, ...chain.map((part) => part.message)].join(" ");
  const via = proxy === undefined ? "" : ` through the proxy ${new URL(proxy).host}`;
  const advice = url.protocol === "https:" ? TLS_ADVICE.find(([pattern]) => pattern.test(text)) : undefined;
  if (advice !== undefined) {
    const code = codes[0] ?? messageOf(error);
    return new ArtifactError("tls", `cannot reach ${url.origin}${via}: ${advice[1]} (${code})`, error);
  }
  const detail = [...new Set(chain.map((part) => part.message.replace(BUN_ASKS, "connection refused")))]
    .filter((message) => !/^(fetch failed)?$/i.test(message)).join(
      ": ",
    );
  return new ArtifactError(
    "connect",
    `cannot reach ${url.origin}${via}: ${detail || codes[0] || messageOf(error)}`,
    error,
  );
}
