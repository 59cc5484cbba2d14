/** What `inspect` tells of a policy's metadata, for people (`spec/cli.md §10`). */
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { oneLine, styled, text } from "../../program/render/terminal_text.ts";
import type { Text } from "../../program/types/text.ts";
import { CliError } from "../types/command.ts";
import { markdownText } from "./markdown.ts";
import { metadataObject } from "./metadata_document.ts";
import { yamlText } from "./yaml.ts";
import { greatest } from "../../program/types/lists.ts";

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
      const value = Object.hasOwn(annotations, `${PREFIX}${name}`)
        ? annotations[`${PREFIX}${name}`]
        : undefined;
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

const title = (name: string) => styled("1;32", name);

/**
 * Everything but the signatures, for a terminal of so many columns. Throws {@link CliError} for metadata that no annotate wrote.
 */
export function inspectionText(metadata: PolicyMetadata, columns: number): Text {
  const { annotations } = metadata;
  const usage = Object.hasOwn(annotations, USAGE) ? annotations[USAGE] : undefined;
  const own = details(metadata);
  const shown = new Set<string>([USAGE, ...DETAILS.map((name) => `${PREFIX}${name}`)]);
  const others = Object.entries(annotations).filter(([name]) => !shown.has(name)).sort((
    [a],
    [b],
  ) => (a < b ? -1 : 1));
  // Names and values are the policy's: further lines are indented, so that none of them looks like a row.
  const width = greatest([...own, ...others].map(([name]) => oneLine(name).length));
  const rows = (entries: readonly (readonly [string, string])[]) =>
    entries.map(([name, value]) =>
      `${oneLine(name).padEnd(width)} ${value.replaceAll("\n", `\n${" ".repeat(width + 1)}`)}\n`
    ).join("");
  const { rules, contextAwareResources } = metadataObject(metadata);
  return [
    text`${title("Details")}\n${rows(own)}`,
    others.length === 0 ? "" : text`\n${title("Annotations")}\n${rows(others)}`,
    text`\n${title("Rules")}\n${yamlText(rules)}`,
    metadata.contextAwareResources.length === 0 ? "" : [
      text`\n${title("Context Aware")}\n`,
      "The policy requires access to the following Kubernetes resources at evaluation time:\n",
      yamlText(contextAwareResources),
      "To avoid abuses, review carefully what the policy requires access to.\n",
    ],
    usage === undefined ? "" : text`\n${title("Usage")}\n${markdownText(usage, columns)}`,
    "\n",
  ];
}
