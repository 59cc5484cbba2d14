/** What a local module says of itself. */
import { readFile } from "node:fs/promises";
import { readMetadata } from "../../evaluator/apply/prepare.ts";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { CliError } from "../types/command.ts";
import { shownUri } from "./resolve.ts";

/** A module that is there, and its metadata; those are undefined where nobody annotated it. */
export interface LocalModule {
  readonly bytes: Uint8Array;
  readonly metadata: PolicyMetadata | undefined;
}

/** Reads the module at `path`. Throws {@link CliError}. */
export async function readLocalModule(path: string): Promise<LocalModule> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new CliError(`cannot read ${path}: ${osErrorText(error)}`);
  }
  try {
    return { bytes, metadata: readMetadata(bytes) };
  } catch (error) {
    throw new CliError(`${(error as Error).message} (${path})`);
  }
}

/** That a policy would have to be annotated, by its URI. */
export const notAnnotated = (program: string, uri: string): CliError =>
  new CliError(
    `No Kubewarden metadata found inside of '${shownUri(uri)}'.\n` +
      `Policies can be annotated with the \`${program} annotate\` command.`,
  );
