/** `new`: writes the folder of a new policy. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import { shellWord } from "../../program/render/shell_word.ts";
import { cannotWrite } from "../apply/given_files.ts";
import { ownPackage } from "../apply/own_package.ts";
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
  const portreeve = ownPackage();
  try {
    await mkdir(dirname(folder), { recursive: true });
    // Not with the folders above: there Node says of a read-only file system that a folder is absent.
    await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    const [first] = await readdir(folder);
    if (first !== undefined) {
      throw new CliError(`${given} is not empty, it has ${first}: choose another folder`);
    }
    for (const [file, text] of newPolicyFiles(language, { name, portreeve })) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      // Never over what somebody else has just put there.
      await writeFile(join(folder, file), text, { flag: "wx" });
      context.out(`${join(given, file)}\n`);
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw cannotWrite(given, error);
  }
  if (language.annotates && portreeve.note !== undefined) context.err(`note: ${portreeve.note}\n`);
  const enter = `cd ${shellWord(given, process.platform === "win32")}`;
  context.err(`next: ${[enter, ...nextCommands(language, portreeve)].join(" && ")}\n`);
};
