/** Sessions: what policies asked of the world, recorded, or played back instead of it (`spec/cli.md §8`). */
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { own } from "../../program/types/own.ts";
import type { Capabilities, Capability } from "../../evaluator/apply/host_calls.ts";
import { gatekeeperInventory, InventoryError, opaInventory } from "../../evaluator/render/rego_inventory.ts";
import { HostCallError, type InventoryHandler } from "../../evaluator/types/evaluation.ts";
import type { ContextAwareResource } from "../../evaluator/types/metadata.ts";
import { requireGrant } from "../../policy_server/apply/capabilities/kubernetes.ts";
import { readText } from "../../program/apply/read_text.ts";
import { osErrorText, writeErrorText } from "../../program/render/os_error.ts";
import {
  exchangeRequest,
  listAllRequest,
  pluralNameRequest,
  readSession,
  RECORDED_CAPABILITIES,
  requestText,
  sameRequest,
  sessionText,
} from "../render/exchange.ts";
import { exchangesDebug } from "../render/exchange_debug.ts";
import { CliError, type Context } from "../types/command.ts";
import type { Exchange, ExchangeRequest } from "../types/exchange.ts";
import type { HostWorld } from "./host_world.ts";

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true });

/** Gives the payload that answers a request, or throws what the policy is told. */
type Answer = (
  request: ExchangeRequest,
  forward: () => Promise<Uint8Array>,
) => Promise<Uint8Array> | Uint8Array;

type Grantable = { readonly apiVersion: string; readonly kind: string };

function grantOf({ fields }: ExchangeRequest): Grantable {
  return { apiVersion: String(fields["api_version"]), kind: String(fields["kind"]) };
}

/** Objects of a `List` as JSON text. */
function objectsOf(payload: Uint8Array) {
  const { items } = JSON.parse(strict.decode(payload)) as {
    readonly items?: readonly {
      readonly metadata?: { readonly name?: string; readonly namespace?: string };
    }[];
  };
  return (items ?? []).map((item) => ({
    name: item.metadata?.name,
    namespace: item.metadata?.namespace,
    json: JSON.stringify(item),
  }));
}

/** How the API calls a kind in paths. */
export type PluralOf = (resource: ContextAwareResource) => Promise<string>;

/** What an answer is forwarded to. */
interface RealWorld {
  readonly forPolicy: HostWorld["forPolicy"];
  readonly plural: PluralOf;
}

/** A world whose every answer goes through `answer`. Without `real` nothing is forwarded, and all capabilities are there. */
function through(answer: Answer, real?: RealWorld): HostWorld["forPolicy"] {
  return (resources) => {
    const world = real?.forPolicy(resources);
    const offered = RECORDED_CAPABILITIES.filter((path) =>
      world === undefined || own(world.capabilities, path) !== undefined
    );
    const list = async (resource: ContextAwareResource, policy: string) =>
      await answer(
        listAllRequest(resource),
        async () =>
          await world!.capabilities["kubernetes/list_resources_all"]!(
            encoder.encode(JSON.stringify({ api_version: resource.apiVersion, kind: resource.kind })),
            { policy, contextAwareResources: resources },
          ),
      );
    const plural = async (resource: ContextAwareResource) =>
      await answer(
        pluralNameRequest(resource),
        async () => encoder.encode(JSON.stringify(await real!.plural(resource))),
      );
    return {
      capabilities: Object.fromEntries(
        offered.map((path) => [path, capabilityThrough(answer, path, world?.capabilities)]),
      ),
      inventory: inventoryOf(list, plural),
    };
  };
}

/** Not async: where `answer` gives no promise, there is none. */
function capabilityThrough(answer: Answer, path: string, real: Capabilities | undefined): Capability {
  return (payload, caller) => {
    let request: ExchangeRequest;
    try {
      request = exchangeRequest(path, payload);
    } catch (error) {
      throw new HostCallError(`the payload is no JSON: ${(error as Error).message}`);
    }
    if (path.startsWith("kubernetes/") && path !== "kubernetes/can_i") requireGrant(caller, grantOf(request));
    return answer(request, async () => await own(real!, path)!(payload, caller));
  };
}

/** The inventory of Rego policies, made of one answer for each list, and for OPA of one more for each plural. */
function inventoryOf(
  list: (resource: ContextAwareResource, policy: string) => Promise<Uint8Array>,
  plural: (resource: ContextAwareResource) => Promise<Uint8Array>,
): InventoryHandler {
  return async ({ form, resources }, policy) => {
    try {
      const kinds = [];
      for (const resource of resources) {
        kinds.push({
          resource,
          plural: undefined as string | undefined,
          objects: objectsOf(await list(resource, policy)),
        });
      }
      if (form === "opa") {
        for (const kind of kinds) {
          kind.plural = JSON.parse(strict.decode(await plural(kind.resource))) as string;
        }
      }
      const inventory = form === "opa" ? opaInventory(kinds) : gatekeeperInventory(kinds);
      return { ok: true, payload: encoder.encode(inventory) };
    } catch (error) {
      const { message } = error as Error;
      return {
        ok: false,
        error: error instanceof InventoryError
          ? message
          : `cannot perform a request via callback channel: ${message}`,
      };
    }
  };
}

/** Records everything that policies ask of `world` into the file at `path`, written when all is done. */
export function recordingWorld(
  context: Context,
  world: HostWorld,
  path: string,
  plural: PluralOf,
): HostWorld {
  context.log("INFO", "host capabilities proxy enabled with record mode", {
    session_file: JSON.stringify(path),
  });
  const exchanges: Exchange[] = [];
  let spoilt = false;
  const answer: Answer = async (request, forward) => {
    let payload: Uint8Array;
    try {
      payload = await forward();
    } catch (error) {
      exchanges.push({ request, response: { type: "Error", message: (error as Error).message } });
      throw error;
    }
    try {
      exchanges.push({ request, response: { type: "Success", payload: strict.decode(payload) } });
    } catch {
      spoilt = true;
    }
    return payload;
  };
  return {
    begin: (again) => world.begin(again),
    forPolicy: through(answer, { forPolicy: (resources) => world.forPolicy(resources), plural }),
    async close() {
      await world.close();
      if (spoilt) {
        context.log(
          "ERROR",
          "Cannot record communication between host and policy, something went wrong while capturing the exchange",
        );
        return;
      }
      try {
        await writeFile(resolve(context.cwd, path), sessionText(exchanges));
      } catch (error) {
        throw new CliError(`Cannot write the session file ${path}: ${writeErrorText(error)}`);
      }
      context.log("INFO", "Context aware session saved to file", { destination: JSON.stringify(path) });
    },
  };
}

/** Answers from what `next` gives, without a promise: there is no waiting for one in the guest's own thread. */
const replaying = (next: () => Exchange | undefined): Answer => (request) => {
  const exchange = next();
  if (exchange === undefined) throw new Error("the list of recorded responses is empty");
  if (!sameRequest(exchange.request, request)) {
    throw new Error(
      `Replay error: unexpected request. Was expecting ${requestText(exchange.request)}, got ${
        requestText(request)
      } instead`,
    );
  }
  const { response } = exchange;
  if (response.type === "Success") return encoder.encode(response.payload);
  throw new Error(response.message);
};

/** What a policy has that finds the exchanges of a session, in order, and nothing else (`mod.ts`). */
export function replayedHost(session: readonly Exchange[]): ReturnType<HostWorld["forPolicy"]> {
  const left = [...session];
  return through(replaying(() => left.shift()))([]);
}

/** Answers from the exchanges of a session, in order; the world is left alone. */
export function replayedWorld(context: Context, session: readonly Exchange[]): HostWorld {
  let left: Exchange[] = [];
  const finish = () => {
    if (left.length > 0) {
      context.log("WARN", "Some of the recorded exchanges have not been replayed", {
        leftovers: exchangesDebug(left),
      });
    }
    left = [];
  };
  const answer = replaying(() => left.shift());
  return {
    begin(again) {
      if (again !== true) finish();
      left = [...session];
    },
    forPolicy: through(answer),
    close() {
      finish();
      return Promise.resolve();
    },
  };
}

/** A world in which policies find what `answer` says. */
export function answeringWorld(answer: (request: ExchangeRequest) => string): HostWorld {
  return {
    begin: () => {},
    // Whatever goes wrong is what the policy is told.
    forPolicy: through((request) =>
      Promise.resolve(request).then(answer).then((text) => encoder.encode(text))
    ),
    close: () => Promise.resolve(),
  };
}

/** Reads a session file and plays it back. Throws {@link CliError} for a file that can't be used. */
export async function replayingWorld(context: Context, path: string): Promise<HostWorld> {
  let text: string;
  try {
    text = await readText(resolve(context.cwd, path));
  } catch (error) {
    throw new CliError(`Cannot open the session file ${path}: ${osErrorText(error)}`);
  }
  const session = readSession(text, path);
  context.log("INFO", "host capabilities proxy enabled with replay mode", {
    session_file: JSON.stringify(path),
  });
  return replayedWorld(context, session);
}
