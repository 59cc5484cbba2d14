/** Completions for bash; they need nothing beside bash itself. */
import { type CommandNode, commandTree, spellings, valueOf } from "../command_tree.ts";

/** Names of files may hold blanks. */
const FILES = `local IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$cur"))`;

function valueCase(node: CommandNode): string {
  const cases = node.flags.flatMap((flag) => {
    const value = valueOf(flag);
    if (value === undefined) return [];
    const reply = value.kind === "words"
      ? `COMPREPLY=($(compgen -W "${value.words.join(" ")}" -- "$cur"))`
      : value.kind === "files"
      ? FILES
      : "COMPREPLY=()";
    return [`        ${spellings(flag).join("|")}) ${reply}; return ;;`];
  });
  return cases.length === 0 ? "" : `      case "$prev" in\n${cases.join("\n")}\n      esac\n`;
}

function branch(node: CommandNode): string {
  const flags = node.flags.flatMap(spellings).join(" ");
  const commands = node.commands.map(({ name }) => name);
  const words = commands.length > 0 ? [...commands, "help"].join(" ") : "";
  return `    "${node.path.join(" ")}")\n${valueCase(node)}` +
    `      flags="${flags}"\n      words="${words}"\n      ;;\n`;
}

/** The script for the command `program`. */
export function bashCompletions(program: string): string {
  const tree = commandTree();
  const steps = tree.filter(({ path }) => path.length > 0).map(({ path }) =>
    `      "${[path.slice(0, -1).join(" "), path.at(-1)].join(",")}") command="${path.join(" ")}" ;;\n`
  ).join("");
  return `# Completions of ${program} for bash: source this file.
_${program}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" command="" flags="" words="" i
  # bash splits at "=": --flag=value is completed like --flag value.
  if [ "$cur" = "=" ]; then
    cur=""
  elif [ "$prev" = "=" ] && [ "$COMP_CWORD" -gt 1 ]; then
    prev="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command,\${COMP_WORDS[i]}" in
${steps}    esac
  done
  case "$command" in
${tree.map(branch).join("")}  esac
  if [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  else
    ${FILES}
  fi
}
complete -o filenames -o bashdefault -F _${program} ${program}
`;
}
