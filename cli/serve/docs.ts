/** `docs`: the reference of all commands as a Markdown file. */
import { resolve } from "node:path";
import { writeErrorText } from "../../program/render/os_error.ts";
import { writeWhole } from "../apply/write_whole.ts";
import { referenceText } from "../render/reference.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const output = args.value("output")!;
  try {
    await writeWhole(resolve(context.cwd, output), referenceText(context.program));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const what = code === "ENOSPC" || code === "EIO" ? "cannot write to" : "cannot create";
    throw new CliError(`${what} file ${output}: ${writeErrorText(error)}`);
  }
};
