/** Free ports: the usual one, or the next that no other program has. */
import { createServer } from "node:net";

/** How many ports are tried before the user has to name one. */
const MAX_TRIES = 100;

/** The error code with which the port can't be had; undefined: it can. */
function bindError(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(undefined)));
  });
}

/**
 * The first port from `usual` on that no other program has. What keeps it from being bound otherwise (an address that this
 * machine does not have) is found, and said, by whoever binds it. Throws an Error for the user when too many are taken.
 */
export async function freePort(host: string, usual: number, flag: string): Promise<number> {
  for (let port = usual; port < usual + MAX_TRIES; port++) {
    if (await bindError(host, port) !== "EADDRINUSE") return port;
  }
  throw new Error(
    `other programs have the ports ${usual} to ${usual + MAX_TRIES - 1}: choose one with ${flag}`,
  );
}
