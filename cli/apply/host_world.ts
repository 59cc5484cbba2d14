/** What policies can ask of the world: registries, resolvers, the cluster of a kubeconfig; or a recording of it. */
import { own } from "../../program/types/own.ts";
import type { ArtifactOptions } from "../../artifact/mod.ts";
import { type Capabilities, noInventory } from "../../evaluator/apply/host_calls.ts";
import type { CapabilityAllowList } from "../../evaluator/types/host_capabilities.ts";
import type { InventoryHandler } from "../../evaluator/types/evaluation.ts";
import type { ContextAwareResource } from "../../evaluator/types/metadata.ts";
import type { Log } from "../../policy_server/apply/log.ts";
import { type Arguments, CliError, type Context } from "../types/command.ts";
import { RECORDED_CAPABILITIES } from "../render/exchange.ts";
import type { Fetching } from "./fetch_policy.ts";
import { kubeconfigOf } from "./paths.ts";
import type { TrustRootOf } from "./verification.ts";

/** The world, for one policy at a time. */
export interface HostWorld {
  /** A definition's evaluation begins: what was prepared for one is prepared anew. `again`: the same one, without remarks. */
  begin(again?: boolean): void;
  /** What a policy that may read `resources` has. */
  forPolicy(resources: readonly ContextAwareResource[]): {
    readonly capabilities: Capabilities;
    readonly inventory: InventoryHandler;
    /** What is granted in this world, if that is not for the user to say. */
    readonly granted?: CapabilityAllowList;
  };
  /** Lets go of connections, and writes what was recorded. */
  close(): Promise<void>;
}

/** What the world is made of; to load that takes longer than to judge most requests, and few policies ask for it. */
async function openWorld({ env, log }: Context, options: ArtifactOptions, trustRoot: TrustRootOf) {
  const [{ allCapabilities }, { regoInventory }, { environmentCluster }] = await Promise.all([
    import("../../policy_server/apply/capabilities/all.ts"),
    import("../../policy_server/apply/capabilities/rego_inventory.ts"),
    import("../../policy_server/apply/kubernetes/cluster.ts"),
  ]);
  const kubeconfig = kubeconfigOf(env);
  const cluster = environmentCluster(
    (message, error) => log("WARN", message, { error: JSON.stringify(error.message) }),
    (error) => log("WARN", `no Kubernetes cluster can be asked: ${error.message}`),
    { configured: kubeconfig !== undefined || Boolean(env["KUBERNETES_SERVICE_HOST"]), kubeconfig },
  );
  const server: Log = {
    trace: () => {},
    debug: () => {},
    info: (message) => log("INFO", message),
    warn: (message) => log("WARN", message),
    error: (message) => log("ERROR", message),
    enabled: () => true,
    flush: () => {},
  };
  const parts = { artifact: options, trustRoot: trustRoot.ifAny, cluster: cluster.source, log: server };
  return { cluster, capabilities: allCapabilities(parts), inventory: regoInventory(cluster.source) };
}

type Opened = Awaited<ReturnType<typeof openWorld>>;

/** The real world, opened when a policy first asks. The cluster is connected only when a policy may read something of it. */
function realWorld(open: () => Promise<Opened>, opened: () => Promise<Opened> | undefined): HostWorld {
  const capabilities: Capabilities = Object.fromEntries(
    RECORDED_CAPABILITIES.map((path) => [
      path,
      async (payload, caller) => await own((await open()).capabilities, path)!(payload, caller),
    ]),
  );
  const withoutCluster = Object.fromEntries(
    Object.entries(capabilities).filter(([path]) => !path.startsWith("kubernetes/")),
  );
  const inventory: InventoryHandler = async (request, policy) =>
    await (await open()).inventory(request, policy);
  return {
    begin: () => {},
    forPolicy: (resources) =>
      resources.length > 0
        ? { capabilities, inventory }
        : { capabilities: withoutCluster, inventory: noInventory },
    async close() {
      (await opened())?.cluster.close();
    },
  };
}

/** The world that the flags ask for: the real one, recorded or not, or a recording. Throws {@link CliError}. */
export async function worldFromFlags(
  context: Context,
  args: Arguments,
  { options, trustRoot }: Fetching,
): Promise<HostWorld> {
  const replay = args.value("replay-host-capabilities-interactions");
  if (replay !== undefined) return await (await import("./recording.ts")).replayingWorld(context, replay);
  let opened: Promise<Opened> | undefined;
  const open = () => opened ??= openWorld(context, options, trustRoot);
  const world = realWorld(open, () => opened);
  const record = args.value("record-host-capabilities-interactions");
  if (record === undefined) return world;
  const { recordingWorld } = await import("./recording.ts");
  return recordingWorld(context, world, record, async ({ apiVersion, kind }) => {
    const connected = await (await open()).cluster.source();
    if (!connected) throw new CliError("kube::Client was not initialized properly");
    return (await connected.discovery(apiVersion, kind)).plural;
  });
}
