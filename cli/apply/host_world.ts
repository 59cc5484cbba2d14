/** What policies can ask of the world: registries, resolvers, the cluster of a kubeconfig; or a recording of it. */
import type { ArtifactOptions } from "../../artifact/mod.ts";
import { type Capabilities, noInventory } from "../../evaluator/apply/host_calls.ts";
import type { CapabilityAllowList } from "../../evaluator/types/host_capabilities.ts";
import type { InventoryHandler } from "../../evaluator/types/evaluation.ts";
import type { ContextAwareResource } from "../../evaluator/types/metadata.ts";
import { allCapabilities } from "../../policy_server/apply/capabilities/all.ts";
import { regoInventory } from "../../policy_server/apply/capabilities/rego_inventory.ts";
import { type ClusterSource, environmentCluster } from "../../policy_server/apply/kubernetes/cluster.ts";
import type { Log } from "../../policy_server/apply/log.ts";
import { type Arguments, CliError, type Context } from "../types/command.ts";
import { recordingWorld, replayingWorld } from "./recording.ts";
import { kubeconfigOf } from "./resource_catalog.ts";
import type { TrustRootOf } from "./verification.ts";

/** The world, for one policy at a time. */
export interface HostWorld {
  /** A definition's evaluation begins: what was prepared for one is prepared anew. */
  begin(): void;
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

function clusterOf({ env, log }: Context): { readonly source: ClusterSource; close(): void } {
  return environmentCluster(
    (message, error) => log("WARN", message, { error: JSON.stringify(error.message) }),
    (error) => log("WARN", `no Kubernetes cluster can be asked: ${error.message}`),
    {
      configured: kubeconfigOf(env) !== undefined || Boolean(env["KUBERNETES_SERVICE_HOST"]),
      kubeconfig: kubeconfigOf(env),
    },
  );
}

/** The real world. The cluster is connected only when a policy may read something of it. */
function realWorld(
  { log }: Context,
  options: ArtifactOptions,
  trustRoot: TrustRootOf,
  cluster: ReturnType<typeof clusterOf>,
): HostWorld {
  const server: Log = {
    trace: () => {},
    debug: () => {},
    info: (message) => log("INFO", message),
    warn: (message) => log("WARN", message),
    error: (message) => log("ERROR", message),
    enabled: () => true,
    flush: () => {},
  };
  const capabilities = allCapabilities({
    artifact: options,
    trustRoot: trustRoot.ifAny,
    cluster: cluster.source,
    log: server,
  });
  const withoutCluster = Object.fromEntries(
    Object.entries(capabilities).filter(([path]) => !path.startsWith("kubernetes/")),
  );
  const inventory = regoInventory(cluster.source);
  return {
    begin: () => {},
    forPolicy: (resources) =>
      resources.length > 0
        ? { capabilities, inventory }
        : { capabilities: withoutCluster, inventory: noInventory },
    close() {
      cluster.close();
      return Promise.resolve();
    },
  };
}

/** The world that the flags ask for: the real one, recorded or not, or a recording. Throws {@link CliError}. */
export async function worldFromFlags(
  context: Context,
  args: Arguments,
  options: ArtifactOptions,
  trustRoot: TrustRootOf,
): Promise<HostWorld> {
  const replay = args.value("replay-host-capabilities-interactions");
  if (replay !== undefined) return await replayingWorld(context, replay);
  const cluster = clusterOf(context);
  const world = realWorld(context, options, trustRoot, cluster);
  const record = args.value("record-host-capabilities-interactions");
  if (record === undefined) return world;
  return recordingWorld(context, world, record, async ({ apiVersion, kind }) => {
    const connected = await cluster.source();
    if (!connected) throw new CliError("kube::Client was not initialized properly");
    return (await connected.discovery(apiVersion, kind)).plural;
  });
}
