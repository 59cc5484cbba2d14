/** The world for programs that embed policies: what the server's host capabilities are made of, put together without a server. */
import {
  type ArtifactOptions,
  loadTrustRoot,
  type TrustRoot,
  type TrustRootSource,
} from "../../artifact/mod.ts";
import { checkArtifactOptions, checkTrustRootSource } from "../../artifact/apply/check_options.ts";
import type { Host } from "../../admission/types/options.ts";
import { PolicyError } from "../../admission/types/policy_error.ts";
import { FUNCTION, OBJECT, optionFault, type OptionRules, ruled } from "../../program/types/option_rules.ts";
import { allCapabilities } from "./capabilities/all.ts";
import { regoInventory } from "./capabilities/rego_inventory.ts";
import { environmentCluster } from "./kubernetes/cluster.ts";
import type { Log } from "./log.ts";

/** What a policy may reach, besides what it is granted. */
export interface HostOptions {
  /**
   * The cluster: a kubeconfig's path, or `true` for where kubectl looks (`KUBECONFIG`, the home folder, a pod's service account).
   * Unless given, there is none.
   */
  readonly kubeconfig?: string | true;
  /** How registries are asked: sources, credentials, limits. Public registries over TLS unless given. */
  readonly registry?: ArtifactOptions;
  /** Whom keyless signatures may come from, or where that is to be read. Unless given, nobody. */
  readonly trustRoot?: TrustRoot | TrustRootSource;
  /** Gets what goes wrong behind the scenes, such as a watch that breaks off. */
  readonly onWarning?: (message: string) => void;
}

/** A world that was opened. Close it when no policy needs it any more: what it follows of a cluster keeps the process alive. */
export interface OpenHost extends Host, Disposable {
  /** Lets go of the cluster. */
  close(): void;
}

const HOST: OptionRules<HostOptions> = {
  kubeconfig: ruled("a kubeconfig's path, or true", (value) => typeof value === "string" || value === true),
  registry: OBJECT,
  trustRoot: OBJECT,
  onWarning: FUNCTION,
};

const isSource = (root: TrustRoot | TrustRootSource): root is TrustRootSource => "kind" in root;

/**
 * Opens the world. Nothing is connected before a policy asks.
 *
 * @throws {PolicyError} or {ArtifactError} `invalid_options`
 */
export function openHost(options: HostOptions): OpenHost {
  const fault = optionFault(options, HOST);
  if (fault !== undefined) throw new PolicyError("invalid_options", fault);
  const { kubeconfig, registry = {}, trustRoot, onWarning = () => {} } = options;
  checkArtifactOptions(registry);
  if (trustRoot !== undefined && isSource(trustRoot)) checkTrustRootSource(trustRoot);
  const warn = (message: string, fields?: { readonly error?: unknown }) =>
    onWarning(fields?.error === undefined ? message : `${message}: ${String(fields.error)}`);
  const log: Log = {
    trace: () => {},
    debug: () => {},
    info: () => {},
    warn: (message, fields) => warn(message, fields),
    error: (message, fields) => warn(message, fields),
    enabled: (level) => level === "warn" || level === "error",
    flush: () => {},
  };
  const cluster = environmentCluster(
    (message, error) => warn(message, { error: error.message }),
    (error) => warn("no Kubernetes cluster can be asked", { error: error.message }),
    {
      configured: kubeconfig !== undefined,
      kubeconfig: kubeconfig === true ? undefined : kubeconfig,
    },
  );
  let root: Promise<TrustRoot | undefined> | undefined;
  const loaded = async (): Promise<TrustRoot | undefined> => {
    if (trustRoot === undefined || !isSource(trustRoot)) return trustRoot;
    try {
      return await loadTrustRoot(trustRoot, registry);
    } catch (error) {
      root = undefined;
      warn("the trust root cannot be read", { error: (error as Error).message });
      return undefined;
    }
  };
  const close = () => cluster.close();
  return {
    capabilities: allCapabilities({
      artifact: registry,
      trustRoot: () => root ??= loaded(),
      cluster: cluster.source,
      log,
    }),
    inventory: regoInventory(cluster.source),
    close,
    [Symbol.dispose]: close,
  };
}
