/** What to evaluate, from flags or from a YAML file (`spec/cli.md §7.2, §7.3`). */
import { oneLine } from "../../program/render/terminal_text.ts";
import { resolve } from "node:path";
import { parseCapabilities } from "../../evaluator/types/host_capabilities.ts";
import { readText } from "../../program/apply/read_text.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import {
  DocumentError,
  type DocumentValue,
  jsonText,
  positionOf,
  requireUniqueKeys,
} from "../../policy_server/types/document.ts";
import { readDocument } from "../../policy_server/types/read_document.ts";
import { readYamlStream } from "../../policy_server/types/yaml_document.ts";
import { definitionsOf, passedOver, repeatedPolicies } from "../render/custom_resource.ts";
import { type KubectlDifference, kubectlDifferences } from "../render/kubectl_difference.ts";
import { located } from "../render/located.ts";
import { type Arguments, CliError, type Context } from "../types/command.ts";
import type { Definition } from "../types/definition.ts";
import { fetchUri, filePathOf, strictUri } from "./resolve.ts";

/** Settings as compact JSON, numbers in the form in which they were written. Throws {@link CliError}. */
export function settingsJson(text: string, failed: string, path?: string): string {
  let value: ReturnType<typeof readDocument>;
  try {
    value = requireUniqueKeys(readDocument(text), text);
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    throw new CliError(`${failed}: ${located(text, error)}`);
  }
  if (value === null || value.kind === "null") return "{}";
  if (value.kind !== "map") {
    throw new CliError(`Invalid settings in CRD, not an object${path === undefined ? "" : `: ${path}`}`);
  }
  return jsonText(value);
}

/** The settings that the flags give. */
export async function settingsFromFlags(context: Context, args: Arguments): Promise<string> {
  const { cwd } = context;
  const path = args.value("settings-path");
  if (path !== undefined) {
    if (args.has("settings-json")) {
      context.log("WARN", `--settings-json is passed over: --settings-path gives settings as well (${path})`);
    }
    let text: string;
    try {
      text = await readText(resolve(cwd, path));
    } catch (error) {
      throw new CliError(`Cannot open settings file ${path}: ${osErrorText(error)}`);
    }
    return settingsJson(text, `Cannot parse settings file ${path}`, path);
  }
  const json = args.value("settings-json");
  if (json === undefined) return "{}";
  try {
    JSON.parse(json);
  } catch (error) {
    throw new CliError(`Cannot parse settings JSON: ${oneLine((error as Error).message)}`);
  }
  return settingsJson(json, "Cannot parse settings JSON");
}

/** Whether a policy argument names a file of custom resources. */
export const isYamlFile = (name: string): boolean =>
  /\.(?:ya?ml|json)$/.test(name) && !/^(https?|registry):\/\//.test(name);

/** Where the documents would be applied as others than they are. */
function differencesOf(documents: readonly DocumentValue[], text: string): readonly KubectlDifference[] {
  try {
    return kubectlDifferences(documents, readYamlStream(text, "kubectl"));
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    return [{ text: `kubectl reads this file otherwise or not at all: ${error.message}`, at: error.at }];
  }
}

async function fromYaml(context: Context, name: string, args: Arguments): Promise<readonly Definition[]> {
  if (args.has("raw")) throw new CliError(`The --raw option cannot be used with a YAML file: ${name}`);
  if (args.has("settings-path") || args.has("settings-json")) {
    context.log("INFO", "The settings flags are ignored: the YAML file has the policies' settings");
  }
  let text: string;
  try {
    text = await readText(resolve(context.cwd, name.startsWith("file://") ? filePathOf(name) : name));
  } catch (error) {
    throw new CliError(`Cannot open YAML file "${name}": ${osErrorText(error)}`);
  }
  try {
    const documents = readYamlStream(text);
    for (const document of documents) requireUniqueKeys(document, text);
    const placeOf = (at: number) => `${name} line ${positionOf(text, at).line}`;
    const definitions = definitionsOf(documents, fetchUri, placeOf);
    for (const { text: what, at } of passedOver(documents)) {
      context.log("WARN", `${oneLine(what)}: passed over, correct or remove it (${placeOf(at)})`);
    }
    for (const { text: what, at } of differencesOf(documents, text)) {
      context.log("WARN", `${oneLine(what)} (${placeOf(at)})`);
    }
    if (definitions.length === 0) {
      throw new CliError(`Cannot parse YAML file "${name}": it defines no policy`);
    }
    for (const { title, firstAt, againAt } of repeatedPolicies(documents)) {
      const [first, again] = [positionOf(text, firstAt), positionOf(text, againAt)];
      context.log(
        "WARN",
        `${
          oneLine(title)
        } is given twice in ${name}, at line ${first.line} column ${first.column} and line ${again.line} ` +
          `column ${again.column}: a cluster keeps the last one, remove one of them`,
      );
    }
    return definitions;
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    throw new CliError(`Cannot parse YAML file "${name}": ${located(text, error)}`);
  }
}

/** What the argument `name` stands for. Throws {@link CliError}. */
export async function readDefinitions(
  context: Context,
  name: string,
  args: Arguments,
): Promise<readonly Definition[]> {
  if (isYamlFile(name)) return await fromYaml(context, name, args);
  const uri = await strictUri(context, name);
  return [{
    kind: "policy",
    id: "policy-from-cli",
    uri,
    settingsJson: await settingsFromFlags(context, args),
    grants: { kind: "metadata", agreed: args.has("allow-context-aware") },
    mode: "protect",
    allowedToMutate: true,
    message: null,
  }];
}

/** The host capabilities that the flags grant; all unless they say otherwise. Throws {@link CliError}. */
export function capabilitiesFromFlags(args: Arguments) {
  const flag = "allowed-host-capabilities";
  const patterns = args.has(flag)
    ? args.values(flag).flatMap((value) => value.split(",")).map((value) => value.trim())
    : ["*"];
  if (patterns.includes("*")) return { kind: "all" } as const;
  const list = parseCapabilities(patterns);
  if (typeof list === "string") throw new CliError(`Invalid host capabilities pattern: ${list}`);
  return list;
}
