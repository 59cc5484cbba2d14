/**
 * Where Portreeve sets something else than Kubewarden 1.36 on purpose. The replays of `tests/vectors/` apply these and nothing
 * else; whatever else differs fails the test.
 */

/** A difference that the replay of the recorded objects has to allow for. */
export const OBJECT_DIFFERENCES = {
  policyIds:
    "spec/decisions.md §3: ids are kw.cap.<name> and so on; with the 1.36 ids one tenant's policy could replace another's",
  envWins: "spec/decisions.md §3: spec.env cannot override the variables that the controller sets",
  appliedReplicas:
    "the annotation kubewarden.io/applied-replicas lets a manual scale or an autoscaler survive while the spec stays",
  inputsDigest:
    "spec/controller.md, sharp edge 17: the annotation kubewarden.io/inputs-digest on the pods rolls a server when its " +
    "verification, trust, pull-secret or client-CA object changes",
  hostNetworkStrategy:
    "spec/controller.md, sharp edge 23: on the host's network a surging pod cannot bind its ports; maxSurge 0, maxUnavailable 1",
  matchLabelsKept:
    "spec/crds.md §15, 7: namespaceSelector.matchLabels of cluster-wide policies are kept beside the exclusion of our namespace",
  sortedKeys:
    "spec/controller.md, sharp edge 11: the tracking annotations list their keys sorted, not in random order",
} as const;

/** A difference in the statuses. */
export const STATUS_DIFFERENCES = {
  settled:
    "spec/crds.md §15, 9: the original says PolicyActive=False of an active policy whose webhook is in force while its " +
    "server rolls (in the recordings on the host's network it rolls for ever); ours says what is",
} as const;

/** A difference in what is stored for a request that both accept. */
export const STORED_DIFFERENCES = {
  minimalPatch:
    "spec/crds.md §8.3: the webhook adds policyServer, finalizers and mutating only; the original's typed rewrite also adds " +
    "settings: null, affinity: {} and securityContexts: {}",
} as const;

/** A request that the original accepts and Portreeve refuses, or the other way round. */
export type AdmissionDifference = { readonly reason: string; readonly field: string };

export const SCHEMA_REQUIRES =
  "spec/crds.md §15, 4: required fields that the original's webhook filled in with zero values are refused by the schema";
export const NAME_TOO_LONG =
  "spec/crds.md §15, 15: names over 38 characters or with dots can never get a Service or labels";
export const GROUPS_CHECKED =
  "spec/decisions.md §3: the checks of namespaced policies look at apiGroups, where the original looks at apiVersions by mistake";
