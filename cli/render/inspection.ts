/** What `inspect` tells of a policy's metadata, for people (`spec/cli.md §10`). */
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { CliError } from "../types/command.ts";
import { markdownText } from "./markdown.ts";
import { metadataObject } from "./metadata_document.ts";
import { yamlText } from "./yaml.ts";

/** Annotations with a row of their own. */
const DETAILS = ["title", "description", "author", "url", "source", "license"] as const;
const PREFIX = "io.kubewarden.policy.";
const USAGE = `${PREFIX}usage`;

function details(metadata: PolicyMetadata): (readonly [string, string])[] {
  const { annotations, executionMode, protocolVersion, minimumKubewardenVersion } = metadata;
  if (executionMode === "kubewarden-wapc" && protocolVersion === null) {
    throw new CliError("Invalid policy: protocol_version not defined");
  }
  return [
    ...DETAILS.flatMap((name) => {
      const value = annotations[`${PREFIX}${name}`];
      return value === undefined ? [] : [[`${name}:`, value] as const];
    }),
    ["mutating:", String(metadata.mutating)],
    ["background audit support:", String(metadata.backgroundAudit)],
    ["context aware:", String(metadata.contextAwareResources.length > 0)],
    ["policy type:", metadata.policyType],
    ["execution mode:", executionMode],
    ...(executionMode === "kubewarden-wapc"
      ? [["protocol version:", protocolVersion === "v1" ? "1" : String(protocolVersion)] as const]
      : []),
    ...(minimumKubewardenVersion === undefined
      ? []
      : [["minimum kubewarden version:", minimumKubewardenVersion] as const]),
  ];
}

/** How wide and how coloured. */
export interface Look {
  readonly columns: number;
  readonly colour: boolean;
}

const title = (text: string, { colour }: Look) => colour ? `\u001b[1;32m${text}\u001b[0m` : text;

/** Everything but the signatures. Throws {@link CliError} for metadata that no annotate wrote. */
export function inspectionText(metadata: PolicyMetadata, look: Look): string {
  const { annotations } = metadata;
  const own = details(metadata);
  const shown = new Set<string>([USAGE, ...DETAILS.map((name) => `${PREFIX}${name}`)]);
  const others = Object.entries(annotations).filter(([name]) => !shown.has(name)).sort((
    [a],
    [b],
  ) => (a < b ? -1 : 1));
  const width = Math.max(...[...own, ...others].map(([name]) => name.length));
  const rows = (entries: readonly (readonly [string, string])[]) =>
    entries.map(([name, value]) => `${name.padEnd(width)} ${value}\n`).join("");
  const { rules, contextAwareResources } = metadataObject(metadata);
  return [
    `${title("Details", look)}\n${rows(own)}`,
    others.length === 0 ? "" : `\n${title("Annotations", look)}\n${rows(others)}`,
    `\n${title("Rules", look)}\n${yamlText(rules)}`,
    metadata.contextAwareResources.length === 0 ? "" : [
      `\n${title("Context Aware", look)}\n`,
      "The policy requires access to the following Kubernetes resources at evaluation time:\n",
      yamlText(contextAwareResources),
      "To avoid abuses, review carefully what the policy requires access to.\n",
    ].join(""),
    annotations[USAGE] === undefined
      ? ""
      : `\n${title("Usage", look)}\n${markdownText(annotations[USAGE], look.columns, look.colour)}`,
    "\n",
  ].join("");
}
