/** Reads a YAML or JSON file of one object, as kubectl does. */
import { resolve } from "node:path";
import { readText } from "../../program/apply/read_text.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { DocumentError, type DocumentValue, requireUniqueKeys } from "../../policy_server/types/document.ts";
import { readYamlStream } from "../../policy_server/types/yaml_document.ts";
import { located } from "../render/located.ts";
import { CliError, type Context } from "../types/command.ts";

/** The document; null if the file holds none. What can't be read is told after `opening` or `parsing`. */
export async function readYamlFile(
  { cwd }: Context,
  path: string,
  opening: string,
  parsing: string,
): Promise<DocumentValue | null> {
  let text: string;
  try {
    text = await readText(resolve(cwd, path));
  } catch (error) {
    throw new CliError(`${opening}: ${osErrorText(error)}`);
  }
  try {
    const [document, second] = readYamlStream(text, "kubectl");
    if (second !== undefined) throw new DocumentError("more than one document, expected one", second.at);
    return requireUniqueKeys(document ?? null, text);
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    throw new CliError(`${parsing}: ${located(text, error)}`);
  }
}
