/**
 * What the runtime itself takes away from threads that evaluate (`confine.ts` says what they give up themselves).
 *
 * Node's permission model can be turned on for one thread: it may read the files of this program, and no others; it may write
 * none, start no process, no thread and no inspector, load no addon, and on Node 26 (not 24) use no network. V8 can refuse to
 * make code from strings in threads that are started after it was told so; the calling thread is not concerned. Bun and Deno
 * have neither.
 */
import { realpathSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

const onNode = !("bun" in process.versions) && !("deno" in process.versions);

/** The folder that holds a file's bundle, or all sources. */
function codeFolder(file: URL): string {
  return fileURLToPath(new URL(file.href.endsWith(".ts") ? "../../" : "./", file));
}

/** What the code of a thread is read from; nothing where it comes with its URL. */
function codeFolders(worker: URL): readonly string[] {
  if (worker.protocol === "data:") return [];
  const own = new URL(import.meta.url);
  const folders = [codeFolder(worker), codeFolder(own)];
  try {
    // The sources' packages may be linked from elsewhere.
    if (own.href.endsWith(".ts")) folders.push(`${realpathSync(`${codeFolder(own)}node_modules`)}/`);
  } catch {
    // Whoever imports them finds out.
  }
  return [...new Set(folders)];
}

/**
 * The call stack of a thread, in MiB, of which V8 leaves 192 KiB to its own code. With 64 local variables of 8 bytes a guest's
 * function calls itself 29,000 times here, 7,000 times in the 4 MiB that are usual; the original gives up after 15,600. It is address
 * space until it is touched. Unwinding all of it takes 10 ms. Bun's threads have 4 MiB whatever is asked for (1.4.5).
 */
const STACK_MIB = 16;

/** Whether the threads have more call stack than the one that starts them, which has 984 KiB on Node unless it is told otherwise. */
export const DEEP_THREADS: boolean = onNode;

/** Node 24 has no such flag, and leaves every thread the network. */
const ALLOW_NETWORK = "--allow-net";
/** It says on standard error that this flag is new. */
const UNWARNED = "--disable-warning=ExperimentalWarning";

/** How a thread that runs the file `worker` is started. It gets no environment variables, and the network only for `listens`. */
export function threadOptions(worker: URL, listens = false): {
  readonly env: Record<string, string>;
  readonly execArgv?: string[];
  readonly resourceLimits?: { readonly stackSizeMb: number };
} {
  if (!onNode) return { env: {} };
  const network = listens && process.allowedNodeEnvironmentFlags.has(ALLOW_NETWORK)
    ? [ALLOW_NETWORK, UNWARNED]
    : [];
  return {
    env: {},
    resourceLimits: { stackSizeMb: STACK_MIB },
    execArgv: [
      "--permission",
      ...network,
      ...codeFolders(worker).map((folder) => `--allow-fs-read=${folder}*`),
    ],
  };
}

/** V8's flag is the process', and can't be asked for. */
let refused = false;

/**
 * Has V8 refuse code from strings in every thread of this process that is started from now on. For programs of our own: in a
 * process of others, threads of theirs may need it.
 */
export function refuseCodeFromStrings(): void {
  if (!onNode || refused) return;
  refused = true;
  setFlagsFromString("--disallow-code-generation-from-strings");
}
