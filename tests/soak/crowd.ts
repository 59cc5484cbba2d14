/** Thousands of clients that hold on to what they have or waste it. */
import { fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { descriptorLimit } from "../../http/apply/descriptor_limit.ts";

/** What the clients of a crowd came to. */
export type CrowdCounts = {
  /** Connections that were made, and how many of them have shaken hands. */
  connections: number;
  handshakes: number;
  /** Connections that were open at once, at most. */
  atOnce: number;
};

export type CrowdResult = Readonly<CrowdCounts> & { readonly clients: number };

/** What a process needs besides its connections. */
const OTHER_DESCRIPTORS = 100;

/**
 * Lets so many clients at a port of this machine until `ms` are over, whatever the server does with them; then they vanish at once.
 *
 * @throws when they can't be, or end before
 */
export async function crowd(port: number, clients: number, ms: number): Promise<CrowdResult> {
  const limit = descriptorLimit();
  if (limit < clients + OTHER_DESCRIPTORS) {
    throw new Error(`a process may have ${limit} descriptors, too few for --crowd ${clients}: see ulimit -n`);
  }
  let counts: CrowdCounts = { connections: 0, handshakes: 0, atOnce: 0 };
  const child = fork(
    fileURLToPath(new URL("crowd_clients.ts", import.meta.url)),
    [port, clients].map(String),
  );
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  child.on("message", (message: CrowdCounts) => counts = message);
  const timer = setTimeout(kill, ms);
  const [code, signal] = await once(child, "exit");
  clearTimeout(timer);
  process.off("exit", kill);
  if (signal !== "SIGKILL") {
    throw new Error(`the clients of the crowd ended by themselves, with ${signal ?? code}`);
  }
  return { ...counts, clients };
}
