/** The cluster as policies see it, connected when one of them first needs it. */
import { type ApiTransport, connect } from "../../../kubernetes/apply/api_transport.ts";
import { findKubeconfig } from "../../../kubernetes/apply/kubeconfig.ts";
import { type ClusterApi, clusterApi } from "./api.ts";
import { type Discovery, discoveryOf } from "./discovery.ts";
import { FollowedLists, type ListLimits, type ListNotices } from "./followed_lists.ts";

/** A cluster to ask. */
export interface Cluster {
  readonly api: ClusterApi;
  readonly discovery: Discovery;
  readonly lists: FollowedLists;
  close(): void;
}

/** Gives the cluster; undefined where there is none. */
export type ClusterSource = () => Promise<Cluster | undefined>;

/** A cluster behind a transport. */
export function openCluster(transport: ApiTransport, onTrouble: ListNotices, limits?: ListLimits): Cluster {
  const api = clusterApi(transport);
  const discovery = discoveryOf(api);
  const lists = new FollowedLists(api, discovery, onTrouble, limits);
  return {
    api,
    discovery,
    lists,
    close() {
      lists.close();
      transport.close();
    },
  };
}

/** Where a cluster is to be looked for. */
export interface ClusterPlace {
  readonly configured: boolean;
  /** A kubeconfig file; without one, where Kubernetes' own tools look. */
  readonly kubeconfig?: string | undefined;
}

/**
 * The cluster that the environment tells of: a kubeconfig or the pod's service account. `onAbsent` hears once that there is
 * none, or why it can't be used.
 */
export function environmentCluster(
  onTrouble: ListNotices,
  onAbsent: (error: Error) => void,
  place: ClusterPlace = { configured: findKubeconfig() !== undefined },
): { readonly source: ClusterSource; close(): void } {
  let cluster: Promise<Cluster | undefined> | undefined;
  let closed = false;
  const open = async () => {
    try {
      if (!place.configured) {
        throw new Error("there is neither a kubeconfig nor a service account");
      }
      const opened = openCluster(await connect({ kubeconfig: place.kubeconfig }), onTrouble);
      if (closed) opened.close();
      return opened;
    } catch (error) {
      onAbsent(error as Error);
      return undefined;
    }
  };
  return {
    source: () => cluster ??= open(),
    close() {
      closed = true;
      void cluster?.then((opened) => opened?.close());
    },
  };
}
