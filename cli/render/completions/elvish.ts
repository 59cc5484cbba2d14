/** Completions for elvish. */
import { commandTree, spellings } from "../command_tree.ts";

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** The script for the command `program`. */
export function elvishCompletions(program: string): string {
  const cases = commandTree().map(({ path, commands, flags }) => {
    const candidates = [
      ...flags.flatMap((flag) => spellings(flag).map((name) => [name, flag.help] as const)),
      ...commands.map(({ name, about }) => [name, about] as const),
    ].map(([name, about]) => `      cand ${name} ${quoted(about)}\n`).join("");
    return `    &${quoted([program, ...path].join(";"))}= {\n${candidates}    }\n`;
  }).join("");
  return `# Completions of ${program} for elvish: eval this in rc.elv.
use builtin;
use str;
set edit:completion:arg-completer[${program}] = {|@words|
  fn cand {|text desc| edit:complex-candidate $text &display=$text' '$desc }
  var completions = [
${cases}  ]
  var command = ${quoted(program)}
  for word $words[1..-1] {
    var longer = $command';'$word
    if (has-key $completions $longer) { set command = $longer }
  }
  $completions[$command]
}
`;
}
