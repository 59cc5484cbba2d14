/** What policies can ask of the world: registries, resolvers, the cluster of a kubeconfig; or a recording of it. */
import type { ArtifactOptions } from "../../artifact/mod.ts";
import { type Capabilities, noInventory } from "../../evaluator/apply/host_calls.ts";
import type { InventoryHandler } from "../../evaluator/types/evaluation.ts";
import type { ContextAwareResource } from "../../evaluator/types/metadata.ts";
import { allCapabilities } from "../../policy_server/apply/capabilities/all.ts";
import { regoInventory } from "../../policy_server/apply/capabilities/rego_inventory.ts";
import { environmentCluster } from "../../policy_server/apply/kubernetes/cluster.ts";
import type { Log } from "../../policy_server/apply/log.ts";
import type { Context } from "../types/command.ts";
import type { TrustRootOf } from "./verification.ts";

/** The world, for one policy at a time. */
export interface HostWorld {
  /** What a policy that may read `resources` has. */
  forPolicy(resources: readonly ContextAwareResource[]): {
    readonly capabilities: Capabilities;
    readonly inventory: InventoryHandler;
  };
  /** Lets go of connections, and writes what was recorded. */
  close(): Promise<void>;
}

/** The real world. The cluster is connected only when a policy may read something of it. */
export function realWorld(context: Context, options: ArtifactOptions, trustRoot: TrustRootOf): HostWorld {
  const { log } = context;
  const cluster = environmentCluster(
    (message, error) => log("WARN", message, { error: JSON.stringify(error.message) }),
    (error) => log("WARN", `no Kubernetes cluster can be asked: ${error.message}`),
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
