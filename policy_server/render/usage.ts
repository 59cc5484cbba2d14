/** The policy server's help, version and Markdown page, all from the table of flags. */
import { type Flag, FLAGS } from "../types/flags.ts";

const SUMMARY = "Kubernetes admission webhooks answered by WebAssembly policies";

/** `-V`: one line; `--version`: the Rego builtins too (spec/policy-server.md §1.2). */
export function versionText(version: string, regoBuiltins: readonly string[] | null): string {
  const line = `policy-server ${version}`;
  if (regoBuiltins === null) return line;
  const builtins = [...regoBuiltins].sort().map((name) => `\n  - ${name}`).join("");
  return `${line}\n\nOpen Policy Agent/Gatekeeper implemented builtins:${builtins}`;
}

/** A flag as usage and errors show it, e.g. `--port <PORT>`. */
export function flagUsage(flag: Flag): string {
  return flag.value.kind === "boolean" ? flag.name : `${flag.name} <${flag.value.placeholder}>`;
}

/** What comes after a flag's help text: its choices, default and variable. */
function remarks(flag: Flag): readonly string[] {
  const choices = flag.value.kind === "choice" ? [`possible values: ${flag.value.choices.join(", ")}`] : [];
  const byDefault = flag.defaultText === undefined ? [] : [`default: ${flag.defaultText}`];
  return [`env: ${flag.variable}`, ...byDefault, ...choices];
}

function visibleFlags(): readonly Flag[] {
  return FLAGS.filter((flag) => flag.hidden !== true);
}

/** What `--help` prints. */
export function helpText(): string {
  const entry = (head: string, lines: readonly string[]) =>
    `${head}\n${lines.map((l) => `          ${l}`).join("\n")}`;
  const flags = visibleFlags().map((flag) =>
    entry(`      ${flagUsage(flag)}`, [flag.help, remarks(flag).map((remark) => `[${remark}]`).join(" ")])
  );
  return [
    SUMMARY,
    "Usage: policy-server [OPTIONS] [COMMAND]",
    "Commands:\n  docs  Write this help as Markdown: docs --output <FILE>\n  help  Print this help",
    "Options:",
    ...flags,
    entry("  -h, --help", ["Print this help"]),
    entry("  -V, --version", ["Print the version; --version also lists the Rego builtins"]),
    "Flags without a value also take one: --daemon=false. Variables of such flags take true/false, 1/0, yes/no, on/off.\n" +
    "A flag wins over its variable.",
  ].join("\n\n");
}

/** What `docs --output FILE` writes. */
export function docsMarkdown(): string {
  const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
  const rows = visibleFlags().map((flag) => {
    const choices = flag.value.kind === "choice"
      ? ` (${flag.value.choices.map((c) => `\`${c}\``).join(", ")})`
      : "";
    const byDefault = flag.defaultText === undefined ? "" : `\`${flag.defaultText}\``;
    return `| \`${flagUsage(flag)}\` | \`${flag.variable}\` | ${byDefault} | ${cell(flag.help)}${choices} |`;
  });
  return `# Command-line help for \`policy-server\`

${SUMMARY}

**Usage:** \`policy-server [OPTIONS] [COMMAND]\`

**Commands:** \`docs --output <FILE>\` writes this page, \`help\` prints the help.

A flag wins over its variable. Flags without a value also take one (\`--daemon=false\`); their variables take
\`true\`/\`false\`, \`1\`/\`0\`, \`yes\`/\`no\`, \`on\`/\`off\`.

| Flag | Variable | Default | Meaning |
| --- | --- | --- | --- |
${rows.join("\n")}
| \`-h\`, \`--help\` | | | Print the help |
| \`-V\`, \`--version\` | | | Print the version; \`--version\` also lists the Rego builtins |
`;
}
