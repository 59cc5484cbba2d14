/** Completions for zsh. */
import type { Flag } from "../../types/command.ts";
import { type CommandNode, commandTree, spellings, valueOf } from "../command_tree.ts";

/** Text between the brackets of an `_arguments` specification, inside of single quotes. */
function described(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("'", "'\\''").replaceAll("[", "\\[").replaceAll("]", "\\]")
    .replaceAll(":", "\\:");
}

function flagSpec(flag: Flag): string {
  const value = valueOf(flag);
  const action = value === undefined
    ? ""
    : `:${described(flag.value ?? "")}:${
      value.kind === "words" ? `(${value.words.join(" ")})` : value.kind === "files" ? "_files" : " "
    }`;
  const names = spellings(flag);
  const again = flag.repeatable || flag.greedy ? "*" : "";
  const exclusive = again === "" ? `(${names.join(" ")})` : "";
  // "--flag=" is completed with the value behind the sign or as the next word, "-f+" likewise without the sign.
  return names.map((name) => {
    const attached = value === undefined ? "" : name.startsWith("--") ? "=" : "+";
    return `    '${exclusive}${again}${name}${attached}[${described(flag.help)}]${action}' \\`;
  }).join("\n");
}

const functionName = (program: string, { path }: Pick<CommandNode, "path">) =>
  ["", program, ...path].join("_").replaceAll("-", "_");

function leaf(program: string, node: CommandNode): string {
  const rest = (node.command?.positionals ?? []).length > 0 ? "    '*:policy:_files'" : "    ':: :'";
  return `${functionName(program, node)}() {
  _arguments -s -S \\
${node.flags.map(flagSpec).join("\n")}
${rest}
}
`;
}

function group(program: string, node: CommandNode): string {
  const commands = node.commands.map(({ name, about }) => `    '${name}:${described(about)}'`).join("\n");
  const cases = node.commands.map(({ name }) =>
    `      ${name}) ${functionName(program, { path: [...node.path, name] })} ;;`
  ).join("\n");
  return `${functionName(program, node)}() {
  local curcontext="$curcontext" state line
  local -a commands
  commands=(
${commands}
    'help:Print this message or the help of a command'
  )
  _arguments -C -s -S \\
${node.flags.map(flagSpec).join("\n")}
    '1: :->command' \\
    '*:: :->rest'
  case "$state" in
    command) _describe -t commands command commands ;;
    rest)
      case "$line[1]" in
${cases}
      esac
      ;;
  esac
}
`;
}

/** The script for the command `program`. */
export function zshCompletions(program: string): string {
  const functions = commandTree().map((node) =>
    node.commands.length > 0 ? group(program, node) : leaf(program, node)
  );
  return `#compdef ${program}
# Completions of ${program} for zsh: save this as _${program} in a folder of $fpath, or source it after compinit.
${functions.join("\n")}
if [ "$funcstack[1]" = "_${program}" ]; then
  _${program} "$@"
else
  compdef _${program} ${program}
fi
`;
}
