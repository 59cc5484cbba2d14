/** Reads `metadata.yml`. */
import { oneLine } from "../../program/render/terminal_text.ts";
import { resolve } from "node:path";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { readText } from "../../program/apply/read_text.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { DocumentError, requireUniqueKeys } from "../../policy_server/types/document.ts";
import { readDocument } from "../../policy_server/types/read_document.ts";
import {
  MetadataDocumentError,
  readMetadataDocument,
  unknownMetadataFields,
} from "../render/metadata_document.ts";
import { located } from "../render/located.ts";
import { CliError, type Context } from "../types/command.ts";

/** The metadata in the file at `path`. Throws {@link CliError}. */
export async function readMetadataFile(context: Context, path: string): Promise<PolicyMetadata> {
  let text: string;
  try {
    text = await readText(resolve(context.cwd, path));
  } catch (error) {
    throw new CliError(`Error opening metadata file: ${osErrorText(error)}: ${path}`);
  }
  try {
    const document = requireUniqueKeys(readDocument(text), text);
    const metadata = readMetadataDocument(document);
    // 1.36 passes them over, too.
    for (const field of unknownMetadataFields(document)) {
      context.log(
        "WARN",
        `${path}: metadata has no field ${oneLine(field)}: it is passed over, correct or remove it`,
      );
    }
    return metadata;
  } catch (error) {
    if (!(error instanceof MetadataDocumentError) && !(error instanceof DocumentError)) throw error;
    throw new CliError(`Error unmarshalling metadata ${located(text, error)} in ${path}`);
  }
}
