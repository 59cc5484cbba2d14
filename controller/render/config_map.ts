/** The ConfigMap of a PolicyServer: its policies and its sources (spec/controller.md §5.2). */
import { isObject } from "../../program/types/json_object.ts";
import {
  isGroup,
  isNamespaced,
  legacyPolicyId,
  type Policy,
  policyId,
  type PolicyServer,
} from "../../crd/types.ts";
import { fieldErrorText } from "../../crd/render/field_error.ts";
import { checkSettings } from "../../crd/render/settings_limits.ts";
import type { ConfigMap } from "../types/objects.ts";
import type { ControllerSettings } from "../types/settings.ts";
import { compareBytes, orderedJson, sortedJson } from "./json.ts";
import { parseExactly } from "../../kubernetes/render/exact_json.ts";
import { ownedMetadata, POLICY_SERVER_LABEL } from "./names.ts";
import { shareRoom } from "./share_room.ts";

const EVERY_CAPABILITY = ["*"] as const;

type SourceFields = {
  readonly module?: string;
  readonly settings?: unknown;
  readonly timeoutEvalSeconds?: number;
  readonly contextAwareResources?: readonly { readonly apiVersion: string; readonly kind: string }[];
};

function contextAware(fields: SourceFields): string | undefined {
  const resources = fields.contextAwareResources ?? [];
  if (resources.length === 0) return undefined;
  const entries = resources.map(({ apiVersion, kind }) =>
    orderedJson([["apiVersion", sortedJson(apiVersion ?? "")], ["kind", sortedJson(kind ?? "")]])
  );
  return `[${entries.join(",")}]`;
}

const optional = (value: unknown) => value === undefined || value === null ? undefined : sortedJson(value);

function entry(policy: Policy, capabilities: readonly string[]): string {
  const head = [
    [
      "namespacedName",
      orderedJson([
        ["Namespace", sortedJson(policy.metadata.namespace ?? "")],
        ["Name", sortedJson(policy.metadata.name)],
      ]),
    ],
  ] as const;
  const mode = ["policyMode", sortedJson(policy.spec.mode ?? "protect")] as const;
  const hostCapabilities = ["hostCapabilities", sortedJson(capabilities)] as const;
  // What a namespaced policy may not have is left out even where an object stored long ago holds it.
  const readable = (fields: SourceFields) => isNamespaced(policy) ? undefined : contextAware(fields);
  if (isGroup(policy)) {
    const members = Object.entries(policy.spec.policies ?? {}).map(([name, member]) =>
      [
        name,
        orderedJson([
          ["module", sortedJson(member.module ?? "")],
          ["settings", sortedJson(member.settings ?? null)],
          ["contextAwareResources", readable(member)],
          ["timeoutEvalSeconds", optional(member.timeoutEvalSeconds)],
          hostCapabilities,
        ]),
      ] as const
    );
    return orderedJson([
      ...head,
      mode,
      ["policies", byBytes(members)],
      ["expression", sortedJson(policy.spec.expression ?? "")],
      ["message", sortedJson(policy.spec.message ?? "")],
    ]);
  }
  const fields: SourceFields & { readonly mutating?: boolean; readonly message?: string } = policy.spec;
  return orderedJson([
    ...head,
    ["module", sortedJson(fields.module ?? "")],
    mode,
    ["allowedToMutate", sortedJson(fields.mutating ?? false)],
    ["contextAwareResources", readable(fields)],
    ["settings", sortedJson(fields.settings ?? null)],
    ["message", (fields.message ?? "") === "" ? undefined : sortedJson(fields.message)],
    ["timeoutEvalSeconds", optional(fields.timeoutEvalSeconds)],
    hostCapabilities,
  ]);
}

/** Why a policy's definition would keep its server from starting, so that it is left out. */
export function unservable(policy: Policy): string | undefined {
  if (isGroup(policy) && Object.keys(policy.spec.policies ?? {}).length === 0) {
    return "a group without members cannot be served";
  }
  const problem = checkSettings(policy)[0];
  return problem === undefined ? undefined : fieldErrorText(problem);
}

/** Whether a policy can be written into its server's file at all; one that was stored long ago may not have been checked. */
export function isServable(policy: Policy): boolean {
  return unservable(policy) === undefined;
}

function entryOf(server: PolicyServer, policy: Policy): string {
  const granted = server.spec.namespacedPoliciesCapabilities ?? EVERY_CAPABILITY;
  return entry(policy, isNamespaced(policy) ? granted : EVERY_CAPABILITY);
}

/** The entry that a policy is to have, in the canonical form of `ServedPolicy.text`. */
export function wantedEntry(server: PolicyServer, policy: Policy): string {
  return sortedJson(parseExactly(entryOf(server, policy)));
}

function byBytes(entries: Iterable<readonly [string, string]>): string {
  return orderedJson([...entries].sort(([a], [b]) => compareBytes(a, b)));
}

const encoder = new TextEncoder();
const byteLength = (text: string) => encoder.encode(text).length;

/** What `policies.yml` is made of. */
export type PoliciesFile = {
  readonly text: string;
  /** Why policies are not in it, by id. */
  readonly leftOut: ReadonlyMap<string, string>;
};

/** The ids of policies under which those who are upgrading are served besides; see {@link policiesFile}. */
function legacyIds(policies: readonly Policy[], upgrading: ReadonlySet<string>): ReadonlyMap<string, string> {
  const claimants = new Map<string, readonly string[]>();
  for (const policy of policies) {
    const id = policyId(policy);
    const old = legacyPolicyId(policy);
    if (upgrading.has(id)) claimants.set(old, [...claimants.get(old) ?? [], id]);
  }
  return new Map([...claimants].flatMap(([old, ids]) => ids.length === 1 ? [[ids[0]!, old] as const] : []));
}

/**
 * `policies.yml`. A policy whose webhook of before the upgrade still exists is served under its old id too
 * (spec/controller.md §11.3): `upgrading` holds the ids of these policies. Two policies may share an old id, so that only who has
 * such a webhook has a claim to it: a policy that somebody makes after the upgrade takes no other's id away. Two that both have
 * one cannot be told apart by the id, and it is served for neither.
 *
 * Policies of namespaces share `room` bytes, less what cluster-wide ones take: see {@link shareRoom}.
 */
function writePolicies(
  server: PolicyServer,
  policies: readonly Policy[],
  upgrading: ReadonlySet<string>,
  room: number,
): PoliciesFile {
  const leftOut = new Map<string, string>();
  const old = legacyIds(policies, upgrading);
  const entries = policies.flatMap((policy) => {
    const id = policyId(policy);
    const problem = unservable(policy);
    if (problem !== undefined) {
      leftOut.set(id, problem);
      return [];
    }
    const text = entryOf(server, policy);
    const { namespace = "", creationTimestamp = "" } = policy.metadata;
    const names = [id, ...old.has(id) ? [old.get(id)!] : []];
    const bytes = names.reduce((sum, name) => sum + name.length + '"":,'.length, 0) +
      names.length * byteLength(text);
    return [{
      id,
      names,
      text,
      bytes,
      since: creationTimestamp,
      namespace: isNamespaced(policy) ? namespace : undefined,
    }];
  });
  for (const { id, bytes } of shareRoom(entries, room)) {
    leftOut.set(
      id,
      `PolicyServer ${
        JSON.stringify(server.metadata.name)
      } has no room for its definition of ${bytes} bytes: all ` +
        "that it serves must fit into a ConfigMap, and the policies of its namespace claim more of that than others",
    );
  }
  const kept = entries.filter(({ id }) => !leftOut.has(id));
  return {
    text: byBytes(kept.flatMap(({ names, text }) => names.map((name) => [name, text] as const))),
    leftOut,
  };
}

/** `sources.yml`. */
export function sourcesFile({ spec }: PolicyServer): string {
  const insecure = spec.insecureSources ?? [];
  const authorities = Object.entries(spec.sourceAuthorities ?? {}).map(([uri, certificates]) =>
    [
      uri,
      `[${
        (certificates ?? []).map((data) => orderedJson([["type", '"Data"'], ["data", sortedJson(data)]]))
          .join(",")
      }]`,
    ] as const
  );
  return orderedJson([
    ["insecure_sources", insecure.length === 0 ? undefined : sortedJson(insecure)],
    ["source_authorities", authorities.length === 0 ? undefined : byBytes(authorities)],
  ]);
}

/** Whether the server needs `sources.yml` mounted. */
export function hasSources({ spec }: PolicyServer): boolean {
  return (spec.insecureSources ?? []).length > 0 || Object.keys(spec.sourceAuthorities ?? {}).length > 0;
}

/** Kubernetes' limit of a ConfigMap's data, in bytes. */
const MAX_DATA_BYTES = 1024 * 1024;

type RenderedConfigMap = ConfigMap & { readonly data: { readonly [key: string]: string } };

/** The ConfigMap `policy-server-<name>`, and which policies are not in it. */
export function renderConfiguration(
  server: PolicyServer,
  policies: readonly Policy[],
  settings: ControllerSettings,
  upgrading: ReadonlySet<string> = new Set(),
): { readonly configMap: RenderedConfigMap; readonly leftOut: ReadonlyMap<string, string> } {
  const sources = sourcesFile(server);
  const room = MAX_DATA_BYTES - byteLength(sources) - "{}".length;
  const { text, leftOut } = writePolicies(server, policies, upgrading, room);
  const configMap = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      ...ownedMetadata(server, settings.namespace),
      labels: { [POLICY_SERVER_LABEL]: server.metadata.name },
    },
    data: { "policies.yml": text, "sources.yml": sources },
  } as const;
  return { configMap, leftOut };
}

/** What a policy server was told of one policy. */
export type ServedPolicy = {
  readonly namespace: string;
  readonly name: string;
  readonly mode: string;
  /** The whole entry, in one canonical form. */
  readonly text: string;
};

function served(value: unknown): ServedPolicy | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as { [key: string]: unknown };
  const name = fields["namespacedName"] as { [key: string]: unknown } | undefined;
  const hasModule = typeof fields["module"] === "string";
  const hasMembers = typeof fields["policies"] === "object" && fields["policies"] !== null;
  if (hasModule === hasMembers || typeof fields["policyMode"] !== "string") return undefined;
  return {
    namespace: typeof name?.["Namespace"] === "string" ? name["Namespace"] : "",
    name: typeof name?.["Name"] === "string" ? name["Name"] : "",
    mode: fields["policyMode"],
    text: sortedJson(value),
  };
}

/**
 * Reads `policies.yml` back, entry by entry: one that cannot be read hides no other. `undefined` when the ConfigMap has no
 * such file or the file is no JSON object.
 */
export function readPolicies(configMap: ConfigMap): ReadonlyMap<string, ServedPolicy> | undefined {
  const text = configMap.data?.["policies.yml"];
  if (text === undefined) return undefined;
  let file: unknown;
  try {
    file = parseExactly(text);
  } catch {
    return undefined;
  }
  if (!isObject(file)) return undefined;
  const entries = Object.entries(file).flatMap(([id, value]) => {
    const policy = served(value);
    return policy === undefined ? [] : [[id, policy] as const];
  });
  return new Map(entries);
}
