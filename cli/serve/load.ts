/** `load`: unpacks an archive of policies into the store; `-` reads it from standard input. */
import { createReadStream } from "node:fs";
import { access } from "node:fs/promises";
import { resolve } from "node:path";
import { Readable } from "node:stream";
import { osErrorText } from "../../policy_server/apply/os_error.ts";
import { unpack } from "../apply/archive.ts";
import { pathsOf } from "../apply/paths.ts";
import { CliError, type Run } from "../types/command.ts";

export const run: Run = async (context, args) => {
  const input = args.value("input")!;
  const { store } = pathsOf(context.env);
  if (input === "-") return await unpack(Readable.from([await context.stdin()]), store, context.signal);
  const path = resolve(context.cwd, input);
  try {
    await access(path);
  } catch (error) {
    throw new CliError(`cannot open file ${input}: ${osErrorText(error)}`);
  }
  await unpack(createReadStream(path), store, context.signal);
};
