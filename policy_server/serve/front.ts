/**
 * Where reviews arrive: in threads that share the port, or in the main thread, where a process belongs to somebody else, spans or
 * profiles are made (which know of one thread), or the system can't share a port.
 */
import { createServer } from "node:net";
import {
  AT_ONCE,
  type Ending,
  type HttpListener,
  listen,
  type ListenOptions,
  type TlsSettings,
} from "../../http/mod.ts";
import { listenError } from "../../program/render/listen_error.ts";
import { CurrentPolicies } from "../apply/current_policies.ts";
import { logClosed } from "../apply/log_events.ts";
import type { Observers } from "../apply/observers.ts";
import type { PolicySet } from "../apply/policy_set.ts";
import type { ServerOptions } from "../types/options.ts";
import { policyHandler } from "./handler.ts";
import type { ServingThreads } from "./serving_threads.ts";
import type { ServerThreads } from "./threads.ts";

/** Answers reviews. */
export interface Front {
  readonly port: number;
  /** Serves this set from when it resolves on; the former one is disposed of when nobody uses it any more. */
  serve(set: PolicySet): Promise<void>;
  /** New connections get these from when it resolves on. Rejects when they can't be used. */
  setTls(tls: TlsSettings): Promise<void>;
  /** Resolves when all that was counted is in the metrics. */
  counted(): Promise<void>;
  end(ending: Ending): Promise<void>;
}

type FrontOptions = Pick<ServerOptions, "host" | "port" | "maxBodyBytes" | "alwaysAcceptNamespace">;

const NAMES = { what: "admission requests", portOption: "--port (variable KUBEWARDEN_PORT)" };
/** The system can share no port, or not this one. */
const CANNOT_SHARE: ReadonlySet<string | undefined> = new Set([
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOPROTOOPT",
  "EINVAL",
]);

/** Opens a listener. Rejects with a ListenError that says which, where, why, and what to do. */
export async function open(
  options: ListenOptions,
  names: { readonly what: string; readonly portOption: string },
): Promise<HttpListener> {
  try {
    return await listen(options);
  } catch (error) {
    throw refused(options, names, error);
  }
}

const refused = (
  { host, port }: Pick<ListenOptions, "host" | "port">,
  names: { readonly what: string; readonly portOption: string },
  error: unknown,
) => listenError({ ...names, host, port, hostOption: "--addr (variable KUBEWARDEN_BIND_ADDRESS)" }, error);

/** Serves the set from the threads that were started to serve, or from the main thread. Rejects with a ListenError. */
export async function openFront(
  options: FrontOptions,
  tls: TlsSettings | undefined,
  set: PolicySet,
  threads: ServerThreads,
  observers: Observers,
): Promise<Front> {
  const { serving } = threads;
  const front = serving && await threadedFront(options, tls, set, serving, observers);
  if (front !== undefined) return front;
  await serving?.end(AT_ONCE);
  return await mainFront(options, tls, set, threads, observers);
}

/** The main thread. */
async function mainFront(
  { host, port, maxBodyBytes, alwaysAcceptNamespace }: FrontOptions,
  tls: TlsSettings | undefined,
  set: PolicySet,
  { pool, memoryIsShort, limits }: ServerThreads,
  observers: Observers,
): Promise<Front> {
  const policies = new CurrentPolicies(set);
  const listener = await open({
    host,
    port,
    tls,
    handler: policyHandler({ ...observers, pool, alwaysAcceptNamespace, policies, memoryIsShort }),
    maxBodyBytes,
    limits,
    onClosed: logClosed(observers.log, "policies"),
  }, NAMES);
  return {
    port: listener.port,
    serve(next) {
      policies.replace(next, (former) => former.dispose());
      return Promise.resolve();
    },
    setTls: (next) =>
      new Promise((resolve) => {
        listener.setTls(next);
        resolve();
      }),
    counted: () => Promise.resolve(),
    end: (ending) => listener.end(ending),
  };
}

/**
 * Threads that have been started. Undefined: the system shares no port. Whoever has the port already is found by taking it alone
 * first: to share it with a stranger would be to share its requests.
 */
async function threadedFront(
  { host, port: wanted }: FrontOptions,
  tls: TlsSettings | undefined,
  set: PolicySet,
  threads: ServingThreads,
  { log }: Observers,
): Promise<Front | undefined> {
  const held = await holdPort(host, wanted);
  const { port } = held;
  if (!await threads.loaded()) {
    await held.release();
    log.warn("no serving thread can be started, requests are served by the main thread");
    return undefined;
  }
  await threads.serve(set);
  await held.release();
  try {
    await threads.listen(port, tls);
  } catch (error) {
    if (!CANNOT_SHARE.has((error as NodeJS.ErrnoException).code)) throw refused({ host, port }, NAMES, error);
    log.warn("this system lets threads share no port, requests are served by the main thread", {
      error: (error as Error).message,
    });
    return undefined;
  }
  return {
    port,
    serve: (next) => threads.serve(next),
    setTls: (next) => threads.setTls(next),
    counted: () => threads.settled(),
    end: (ending) => threads.end(ending),
  };
}

/** Takes a port alone, and lets nobody connect. Rejects with a ListenError when somebody has it. */
async function holdPort(
  host: string,
  port: number,
): Promise<{ readonly port: number; release(): Promise<void> }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(refused({ host, port }, NAMES, error)));
    server.listen({ host, port, exclusive: true }, () => resolve());
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    release: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}
