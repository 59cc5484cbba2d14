/** `net/v1/dns_lookup_host` (`spec/evaluator.md §5.6`): asks the system's resolver, as every other program on the machine does. */
import { lookup } from "node:dns/promises";
import type { Capabilities } from "../../../evaluator/apply/host_calls.ts";
import { within } from "../../../program/apply/within.ts";
import { asString, readPayload } from "../../render/payload.ts";
import { answerCache } from "./answer_cache.ts";

/** The resolver itself may take half a minute; no policy waits for it that long. */
const LIMIT_MS = 10_000;
/** Lookups hold threads of the process's small pool while they run: slow names must not take all of them. */
const MAX_LOOKUPS = 2;
const MAX_WAITING = 100;
/** A host name has no more characters (RFC 1035); the resolver need not be asked about longer ones. */
const MAX_NAME = 255;
const FAILED = "failed to lookup address information: ";
/** The C library's words for its codes. */
const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: "Name or service not known",
  EAI_NONAME: "Name or service not known",
  EAI_NODATA: "No address associated with hostname",
  ENODATA: "No address associated with hostname",
  EAI_AGAIN: "Temporary failure in name resolution",
  EAI_FAIL: "Non-recoverable failure in name resolution",
  EAI_MEMORY: "Memory allocation failure",
};

function reasonOf(code: string): string | undefined {
  const name = code.replace(/^DNS_/, "");
  return Object.hasOwn(REASONS, name) ? REASONS[name] : undefined;
}

type Addresses = readonly { readonly address: string }[];

/** Lookups share the runtime's four threads with all that reads files, whichever policy asks: so they are counted for the process. */
let running = 0;
const waiting: (() => void)[] = [];

async function inTurn<T>(task: () => Promise<T>): Promise<T> {
  if (running < MAX_LOOKUPS) running++;
  else {
    if (waiting.length >= MAX_WAITING) throw new Error(`${FAILED}${MAX_WAITING} lookups wait already`);
    // Who ends hands its turn over.
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  try {
    return await task();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

async function resolve(host: string): Promise<Addresses> {
  // Neither runtime hands these on to the resolver, which would say this.
  // deno-lint-ignore no-control-regex
  if (host === "" || host.length > MAX_NAME || /\u0000/.test(host)) {
    throw new Error(`${FAILED}${REASONS["ENOTFOUND"]}`);
  }
  try {
    return await lookup(host, { all: true, order: "verbatim" });
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new Error(`${FAILED}${reasonOf(code) ?? message}`, { cause: error });
  }
}

/** The capability. Found addresses are kept for a minute, as the original documents. */
export function netCapabilities(): Capabilities {
  const cache = answerCache({ ttlMs: 60_000, maxEntries: 1_000, maxBytes: 1024 * 1024 });
  return {
    "net/v1/dns_lookup_host": (payload) => {
      const host = asString(readPayload(payload));
      const found = cache(host, async () => {
        const addresses = await inTurn(() => resolve(host));
        return new TextEncoder().encode(JSON.stringify({ ips: addresses.map(({ address }) => address) }));
      });
      return within(LIMIT_MS, found, () => {
        throw new Error(`${FAILED}no answer for ${host.slice(0, MAX_NAME)} within ${LIMIT_MS / 1000} s`);
      });
    },
  };
}
