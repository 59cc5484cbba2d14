/** Completions for PowerShell. */
import { commandTree, spellings } from "../command_tree.ts";

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** The script for the command `program`. */
export function powershellCompletions(program: string): string {
  const cases = commandTree().map(({ path, commands, flags }) => {
    const candidates = [
      ...flags.flatMap((flag) => spellings(flag).map((name) => [name, "ParameterName", flag.help] as const)),
      ...commands.map(({ name, about }) => [name, "ParameterValue", about] as const),
    ].map(([name, kind, about]) =>
      `      [CompletionResult]::new(${quoted(name)}, ${quoted(name)}, [CompletionResultType]::${kind}, ${
        quoted(about)
      })\n`
    ).join("");
    return `    ${quoted([program, ...path].join(";"))} {\n${candidates}      break\n    }\n`;
  }).join("");
  return `# Completions of ${program} for PowerShell: add this to $PROFILE.
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName ${quoted(program)} -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $known = @(${commandTree().map(({ path }) => quoted([program, ...path].join(";"))).join(", ")})
  $command = ${quoted(program)}
  foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
    $longer = "$command;$($element.Extent.Text)"
    if ($known -contains $longer) { $command = $longer }
  }
  $completions = @(switch ($command) {
${cases}  })
  $completions.Where{ $_.CompletionText -like "$wordToComplete*" } | Sort-Object -Property ListItemText
}
`;
}
