/** Says in one line why the API server could not be asked, and what to do about it. */

/** What went wrong, as far as it is known: an error of the network, or an answer that is no success. */
interface Failure {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly cause?: unknown;
  readonly status?: unknown;
  readonly message?: unknown;
}

const UNREACHABLE: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "nothing listens there"],
  ["ConnectionRefused", "nothing listens there"],
  ["ENOTFOUND", "its name is unknown"],
  ["EAI_AGAIN", "its name could not be looked up"],
  ["ECONNRESET", "the connection was reset"],
  ["ConnectionClosed", "the connection was closed"],
  ["ETIMEDOUT", "it does not answer"],
  ["EHOSTUNREACH", "there is no route to it"],
  ["ENETUNREACH", "there is no route to it"],
  ["TimeoutError", "it does not answer"],
]);
const UNTRUSTED: ReadonlySet<string> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_SIGNATURE_FAILURE",
]);
const MAX_LENGTH = 500;

function codeOf(error: Failure): string | undefined {
  if (error.name === "TimeoutError") return error.name;
  if (typeof error.code === "string") return error.code;
  return typeof error.cause === "object" && error.cause !== null ? codeOf(error.cause as Failure) : undefined;
}

/**
 * One line about an error of a request to `server`; `origin` is what told of that server, such as a kubeconfig's context.
 * What is not known here is said in its own words.
 */
export function describeApiFailure(error: unknown, server: string, origin: string): string {
  const failure = (typeof error === "object" && error !== null ? error : { message: error }) as Failure;
  const message = String(failure.message ?? error);
  const code = codeOf(failure);
  const text = () => {
    if (code !== undefined && UNREACHABLE.has(code)) {
      return `the API server ${server} cannot be reached: ${
        UNREACHABLE.get(code)
      } (${code}); check the server of ${origin}`;
    }
    if (code !== undefined && UNTRUSTED.has(code)) {
      return `the certificate of the API server ${server} is not signed by the authority of ${origin} (${code}): ` +
        "correct its certificate-authority-data";
    }
    if (code === "CERT_HAS_EXPIRED") return `the certificate of the API server ${server} has expired`;
    if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
      return `the certificate of the API server ${server} is for another name (${code}): set tls-server-name in ${origin}`;
    }
    if (failure.status === 401) {
      return `the API server ${server} does not accept the credentials of ${origin}: renew them (${message})`;
    }
    if (failure.status === 403) {
      return `not allowed by the API server: ${message}; grant it to the user of ${origin}`;
    }
    if (failure.status === 404 && message.includes("404 page not found")) {
      const [, plural] = /policies\.kubewarden\.io\/[^/]+\/(?:namespaces\/[^/]+\/)?([a-z]+)/.exec(message) ??
        [];
      return plural !== undefined
        ? `the custom resource definition ${plural}.policies.kubewarden.io is not installed on ${server}: install the ` +
          "portreeve-crds chart"
        : `the API server ${server} does not know ${message.split(":")[0]}`;
    }
    return message;
  };
  return text().replace(/\s+/g, " ").slice(0, MAX_LENGTH);
}
