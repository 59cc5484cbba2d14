/** The reference of all commands in Markdown (`spec/cli.md §19`). */
import type { CommandDescription, Flag } from "../types/command.ts";
import { type CommandNode, commandTree, spellings } from "./command_tree.ts";
import { positionalText, usageLine } from "./help.ts";

const anchor = (words: readonly string[]) => words.join("-").toLowerCase();
/** Text that Markdown must not take for something else. */
const escaped = (text: string) => text.replaceAll("<", "\\<").replaceAll("*", "\\*");

function flagItem(flag: Flag): string {
  const value = flag.value === undefined ? "" : ` <${flag.value}>`;
  const names = spellings(flag).map((name) => `\`${name}${value}\``).join(", ");
  const notes = [
    ...(flag.required ? ["  Required"] : []),
    ...(flag.repeatable || flag.greedy ? ["  Can be given several times"] : []),
    ...(flag.preset === undefined ? [] : [`  Default value: \`${flag.preset}\``]),
    ...(flag.choices === undefined
      ? []
      : [`  Possible values: ${flag.choices.map((one) => `\`${one}\``).join(", ")}`]),
    ...(flag.conflicts === undefined
      ? []
      : [`  Not together with ${flag.conflicts.map((name) => `\`--${name}\``).join(", ")}`]),
  ];
  return [`- ${names} — ${escaped(flag.help)}`, ...notes].join("\n\n");
}

function list(title: string, items: readonly string[]): string {
  return items.length === 0 ? "" : `###### **${title}:**\n\n${items.join("\n")}\n\n`;
}

function section(program: string, node: CommandNode): string {
  const { path, about, command, commands, flags } = node;
  const subcommands = commands.map((one: CommandDescription) => `- \`${one.name}\` — ${escaped(one.about)}`);
  const positionals = command?.positionals ?? [];
  return [
    `## \`${[program, ...path].join(" ")}\`\n\n`,
    `${escaped(about)}\n\n`,
    command?.details === undefined ? "" : `${escaped(command.details)}\n\n`,
    `**Usage:** \`${usageLine([program, ...path], command)}\`\n\n`,
    list("Subcommands", subcommands),
    list("Arguments", positionals.map((one) => `- \`${positionalText(one)}\` — ${escaped(one.help)}`)),
    list("Options", flags.map(flagItem)),
  ].join("");
}

/** The whole reference of `program`. */
export function referenceText(program: string): string {
  const tree = commandTree();
  const overview = tree.map(({ path }) => {
    const words = [program, ...path];
    return `- [\`${words.join(" ")}\`↴](#${anchor(words)})`;
  });
  return [
    `# Command-Line Help for \`${program}\`\n\n`,
    `This document contains the help content for the \`${program}\` command-line program.\n\n`,
    `**Command Overview:**\n\n${overview.join("\n")}\n\n`,
    tree.map((node) => section(program, node)).join(""),
  ].join("").trimEnd() + "\n";
}
