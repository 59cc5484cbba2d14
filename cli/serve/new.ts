/** `new`: writes the folder of a new policy. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { writeErrorText } from "../../program/render/os_error.ts";
import { VERSION } from "../../policy_server/types/version.ts";
import { newPolicyFiles, nextCommands } from "../render/new_policy/common.ts";
import { POLICY_LANGUAGES } from "../render/new_policy/languages.ts";
import { CliError, type Run } from "../types/command.ts";

/** What npm, registries and Kubernetes all take as a name. */
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export const run: Run = async (context, args) => {
  const given = args.word("name");
  const folder = resolve(context.cwd, given);
  const name = basename(folder);
  if (!NAME.test(name)) {
    throw new CliError(
      `${JSON.stringify(name)} can't be a policy's name: use up to 63 lower case letters, digits and dashes`,
    );
  }
  const language = POLICY_LANGUAGES.get(args.value("lang") ?? "ts")!;
  const refusal = language.refusal?.(name);
  if (refusal !== undefined) {
    throw new CliError(`${JSON.stringify(name)} can't be this policy's name: ${refusal}`);
  }
  try {
    await mkdir(folder, { recursive: true });
    const [first] = await readdir(folder);
    if (first !== undefined) {
      throw new CliError(`${given} is not empty, it has ${first}: choose another folder`);
    }
    for (const [file, text] of newPolicyFiles(language, { name, version: VERSION })) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      // Never over what somebody else has just put there.
      await writeFile(join(folder, file), text, { flag: "wx" });
      context.out(`${join(given, file)}\n`);
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`cannot write ${given}: ${writeErrorText(error)}`);
  }
  context.err(`next: ${[`cd ${given}`, ...nextCommands(language)].join(" && ")}\n`);
};
