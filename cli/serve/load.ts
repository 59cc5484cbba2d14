/** `load`: unpacks an archive of policies into the store; `-` reads it from standard input. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { resolve } from "node:path";
import { Readable } from "node:stream";
import { osErrorText } from "../../program/render/os_error.ts";
import { unpack } from "../apply/archive.ts";
import { pathsOf } from "../apply/paths.ts";
import { CliError, type Run } from "../types/command.ts";

const HEAD_BYTES = 2;

async function headOf(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const head = new Uint8Array(HEAD_BYTES);
    const { bytesRead } = await file.read(head, 0, HEAD_BYTES, 0);
    return head.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

export const run: Run = async (context, args) => {
  const name = args.value("input")!;
  const { store } = pathsOf(context.env);
  if (name === "-") {
    const bytes = await context.stdin();
    return await unpack({ name, content: Readable.from([bytes]), head: bytes }, store, context.signal);
  }
  const path = resolve(context.cwd, name);
  let head: Uint8Array;
  try {
    head = await headOf(path);
  } catch (error) {
    throw new CliError(`cannot open file ${name}: ${osErrorText(error)}`);
  }
  await unpack({ name, content: createReadStream(path), head }, store, context.signal);
};
