/** `completions`: a script that teaches a shell this command line. */
import { own } from "../../program/types/own.ts";
import { bashCompletions } from "../render/completions/bash.ts";
import { elvishCompletions } from "../render/completions/elvish.ts";
import { fishCompletions } from "../render/completions/fish.ts";
import { powershellCompletions } from "../render/completions/powershell.ts";
import { zshCompletions } from "../render/completions/zsh.ts";
import type { Run } from "../types/command.ts";

const SHELLS: Readonly<Record<string, (program: string) => string>> = {
  bash: bashCompletions,
  elvish: elvishCompletions,
  fish: fishCompletions,
  powershell: powershellCompletions,
  zsh: zshCompletions,
};

export const run: Run = (context, args) => {
  context.out(own(SHELLS, args.value("shell")!)!(context.program));
  return Promise.resolve();
};
