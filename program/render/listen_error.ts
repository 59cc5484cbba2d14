/** What is said of a listener that could not be opened: where it was to be, why it is not, and what to do. */
import { ListenError, type Listening } from "../types/listen_error.ts";

/** Ports below are reserved for the root user on most systems. */
const UNPRIVILEGED = 1024;

/** `127.0.0.1:8443`, `[::1]:8443`; `port 8443` where it is on every address. */
export function listenAddress(host: string | undefined, port: number): string {
  if (host === undefined) return `port ${port}`;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** A system's reason in the words that people know, and what to do about it. */
function reasonAndRemedy(
  code: unknown,
  message: string,
  { port, portOption, hostOption }: Listening,
): readonly [reason: string, remedy: string] {
  const otherPort = `choose another port with ${portOption}`;
  const otherHost = hostOption === undefined ? "" : `choose another address with ${hostOption}`;
  switch (code) {
    case "EADDRINUSE":
      return [
        "Address already in use (os error 98)",
        `another program listens there: end that one, or ${otherPort}`,
      ];
    case "EACCES":
      return [
        "Permission denied (os error 13)",
        port < UNPRIVILEGED
          ? `ports below ${UNPRIVILEGED} are for root and for programs with CAP_NET_BIND_SERVICE: ${otherPort}`
          : otherPort,
      ];
    case "EADDRNOTAVAIL":
      return [
        "Cannot assign requested address (os error 99)",
        `this machine has no such address: ${otherHost || otherPort}`,
      ];
    case "EAFNOSUPPORT":
      return [
        "Address family not supported (os error 97)",
        `this machine does not speak that version of IP: ${otherHost || otherPort}`,
      ];
    case "ENOTFOUND":
      return ["the name is not known", `check it: ${otherHost || otherPort}`];
    default:
      return [message, otherPort];
  }
}

/**
 * The error of a listener that could not be opened.
 *
 * ```ts
 * server.once("error", (error) => reject(listenError({ what: "probes", host, port, portOption: "--port" }, error)));
 * ```
 */
export function listenError(listening: Listening, cause: unknown): ListenError {
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown };
  const [reason, remedy] = reasonAndRemedy(code, String(message ?? cause), listening);
  const where = listenAddress(listening.host, listening.port);
  return new ListenError(
    `cannot listen on ${where} for ${listening.what}: ${reason}; ${remedy}`,
    listening,
    cause,
  );
}
