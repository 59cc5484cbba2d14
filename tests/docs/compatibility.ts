/** The page on compatibility, from the lists by which the replays of the original's recordings are judged. */
import { REPORT_DIFFERENCES } from "../audit/deliberate_differences.ts";
import { DELIBERATE } from "../cli/deliberate_differences.ts";
import {
  GROUPS_CHECKED,
  NAME_TOO_LONG,
  OBJECT_DIFFERENCES,
  SCHEMA_REQUIRES,
  STATUS_DIFFERENCES,
  STORED_DIFFERENCES,
} from "../controller/deliberate_differences.ts";
import { ANSWER_DIFFERENCES } from "../policy_server/deliberate_differences.ts";

/** The reasons begin with where the rule is found, which says nothing to a reader of the page. */
const plain = (reason: string) =>
  reason.replace(/^spec\/[^:]*: /, "")
    .replaceAll("<", "&lt;");

const cell = (text: string) => plain(text).replaceAll("|", "\\|").replaceAll("\n", " ");

function table(heads: readonly [string, string], rows: readonly (readonly [string, string])[]): string {
  return [heads, ["---", "---"], ...rows].map(([left, right]) => `| ${cell(left)} | ${cell(right)} |`).join(
    "\n",
  );
}

const list = (reasons: readonly string[]) => reasons.map((reason) => `- ${plain(reason)}`).join("\n");

/** The page's Markdown. */
export function compatibilityPage(): string {
  return `# Compatibility with Kubewarden 1.36

<!-- Written by \`npm run build:docs\` from the lists in the tests: edit those. -->

Custom resources, policies, \`policies.yml\`, \`sources.yml\`, verification files, flags, variables, endpoints, metrics, labels,
annotations, finalizers and object names are those of Kubewarden 1.36. The original's answers were recorded; tests replay the
recordings, and whatever differs fails them unless it is on a list with its reason. These are the lists.

What moving takes: [moving_from_kubewarden.md](moving_from_kubewarden.md). Values of charts that differ:
[helm.md](helm.md#with-values-written-for-kubewarden).

## Policy server

${
    table(
      ["Instead of the original's answer", "Why"],
      ANSWER_DIFFERENCES.map(({ name, reason }) => [name, reason]),
    )
  }

Besides: a server without a reachable Kubernetes API serves all policies that ask nothing of it; \`GET /metrics\` needs no
collector; SIGHUP and \`--watch-policies\` take new policies without a restart; why a policy could not be loaded stands in the
container's termination message and in the policy's status. An answer of a policy, and the patch that is made of it, have 4 MiB at
most; no API server takes more. A signature in a verification file that no image can have (an empty issuer, an owner with a slash) is
refused when the file is read, instead of being missed in each image.

## Controller and custom resources

${
    list([
      ...Object.values(OBJECT_DIFFERENCES),
      ...Object.values(STATUS_DIFFERENCES),
      ...Object.values(STORED_DIFFERENCES),
      SCHEMA_REQUIRES,
      NAME_TOO_LONG,
      GROUPS_CHECKED,
    ])
  }

## Audit scanner

${table(["In reports", "Why it differs"], REPORT_DIFFERENCES.map(({ name, reason }) => [name, reason]))}

## Command line

${
    table(
      ["Words", "Why the answer differs"],
      Object.entries(DELIBERATE).map(([words, { reason }]) => [`\`kwctl ${words}\``, reason]),
    )
  }

More of it: [reeve.md](reeve.md#other-than-kwctl-136).

## What the original does not have

Policies as [Extism plug-ins](extism_policies.md), \`reeve explain\`, suites with \`reeve test\`, profiles of threads, one chart for
everything, Bun as a runtime.
`;
}
