/** Completions for fish. */
import type { Flag } from "../../types/command.ts";
import { type CommandNode, commandTree, valueOf } from "../command_tree.ts";

const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

/** When the words so far lead to this command and no further. */
function condition({ path, commands }: CommandNode): string {
  const seen = path.map((name) => `__fish_seen_subcommand_from ${name}`);
  const names = commands.map(({ name }) => name).join(" ");
  const notYet = commands.length === 0 ? [] : [`not __fish_seen_subcommand_from ${names}`];
  return quoted([...seen, ...notYet].join("; and "));
}

function flagLine(program: string, node: CommandNode, flag: Flag): string {
  const value = valueOf(flag);
  const wanted = value === undefined
    ? ""
    : value.kind === "words"
    ? ` -x -a ${quoted(value.words.join(" "))}`
    : value.kind === "files"
    ? " -r -F"
    : " -x";
  const short = flag.short === undefined ? "" : ` -s ${flag.short}`;
  return `complete -c ${program} -n ${condition(node)}${short} -l ${flag.name}${wanted} -d ${
    quoted(flag.help)
  }\n`;
}

/** The script for the command `program`. */
export function fishCompletions(program: string): string {
  const lines = commandTree().flatMap((node) => [
    ...node.commands.map(({ name, about }) =>
      `complete -c ${program} -n ${condition(node)} -f -a ${name} -d ${quoted(about)}\n`
    ),
    ...node.flags.map((flag) => flagLine(program, node, flag)),
  ]);
  return `# Completions of ${program} for fish: save this as ${program}.fish in ~/.config/fish/completions.\n${
    lines.join("")
  }`;
}
