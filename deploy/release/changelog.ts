/** What changed since a release, from the commits. */

/** A commit: its abbreviated hash, its subject, and the files that it touched. */
export interface Commit {
  readonly hash: string;
  readonly subject: string;
  readonly files: readonly string[];
}

/** `git log` writes commits in this form. */
export const LOG_FORMAT = "--format=%x00%h%x09%s";

/** Reads what `git log --name-only` with {@link LOG_FORMAT} printed. */
export function parseLog(text: string): readonly Commit[] {
  return text.split("\0").slice(1).map((part) => {
    const [head = "", ...files] = part.split("\n").filter((line) => line !== "");
    const [hash = "", ...subject] = head.split("\t");
    return { hash, subject: subject.join("\t"), files };
  });
}

/** Headings by the folder that a commit touched most, in their order on the page. */
const HEADINGS: ReadonlyMap<string, string> = new Map([
  ["policy_server", "Policy server"],
  ["controller", "Controller"],
  ["audit", "Audit scanner"],
  ["cli", "Command line"],
  ["mod.ts", "Library"],
  ["evaluator", "Evaluation"],
  ["artifact", "Registries and signatures"],
  ["crd", "Custom resources"],
  ["kubernetes", "Kubernetes client"],
  ["telemetry", "Telemetry"],
  ["deploy", "Charts and images"],
  ["policies", "Sample policies"],
  ["docs", "Documentation"],
]);
const REST = "Tests, benchmarks and the build";

/** Where most of the files lie that a commit touched; what only follows from the change (tests, docs) counts last. */
function headingOf({ files }: Commit): string {
  const counts = new Map<string, number>();
  for (const file of files) {
    const heading = HEADINGS.get(file.split("/")[0]!);
    if (heading !== undefined) counts.set(heading, (counts.get(heading) ?? 0) + 1);
  }
  const found = [...counts].sort(([, a], [, b]) => b - a).map(([heading]) => heading);
  return found.find((heading) => heading !== "Documentation") ?? found[0] ?? REST;
}

/** Subjects are words of others: nothing in them becomes a link, a tag or a heading. */
const plain = (subject: string) => subject.replace(/[\\`*_{}[\]<>#|]/g, "\\$&");

/** The changelog's Markdown; `since` is the tag of the release before, undefined for the first. */
export function changelog(version: string, since: string | undefined, commits: readonly Commit[]): string {
  const sections = [...new Set(HEADINGS.values()), REST].flatMap((heading) => {
    const own = commits.filter((commit) => headingOf(commit) === heading);
    if (own.length === 0) return [];
    return [
      `## ${heading}\n\n${own.map(({ subject, hash }) => `- ${plain(subject)} (${hash})`).join("\n")}\n`,
    ];
  });
  const from = since === undefined ? "The first release." : `Since ${since}.`;
  return [`# Portreeve ${version}\n\n${from} ${commits.length} commits.\n`, ...sections].join("\n");
}
