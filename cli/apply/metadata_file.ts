/** Reads `metadata.yml`. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { DocumentError, requireUniqueKeys } from "../../policy_server/types/document.ts";
import { readDocument } from "../../policy_server/types/read_document.ts";
import { MetadataDocumentError, readMetadataDocument } from "../render/metadata_document.ts";
import { located } from "../render/located.ts";
import { CliError, type Context } from "../types/command.ts";

/** The metadata in the file at `path`. Throws {@link CliError}. */
export async function readMetadataFile({ cwd }: Context, path: string): Promise<PolicyMetadata> {
  let text: string;
  try {
    text = await readFile(resolve(cwd, path), "utf8");
  } catch (error) {
    throw new CliError(`Error opening metadata file: ${osErrorText(error)}: ${path}`);
  }
  try {
    return readMetadataDocument(requireUniqueKeys(readDocument(text), text));
  } catch (error) {
    if (!(error instanceof MetadataDocumentError) && !(error instanceof DocumentError)) throw error;
    throw new CliError(`Error unmarshalling metadata ${located(text, error)} in ${path}`);
  }
}
