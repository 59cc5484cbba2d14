/** `scaffold vap`: a ClusterAdmissionPolicy from a ValidatingAdmissionPolicy and its binding. */
import { parseReference } from "../../artifact/mod.ts";
import { readYamlFile } from "../apply/yaml_file.ts";
import { convertVap } from "../render/vap.ts";
import { plainValue, yamlText } from "../render/yaml.ts";
import { CliError, type Context, type Run } from "../types/command.ts";

const DEFAULT_MODULE = "ghcr.io/kubewarden/policies/cel-policy:latest";

function warnOfModule(context: Context, module: string): void {
  try {
    const { tag, digest } = parseReference(module.replace(/^registry:\/\//, ""));
    if (digest !== undefined || tag !== "latest") return;
    context.log(
      "WARN",
      "Using the 'latest' version of the CEL policy could lead to unexpected behavior. It is recommended to use a " +
        "specific version to avoid breaking changes.",
    );
  } catch {
    context.log("WARN", "The CEL policy module specified is not a valid OCI reference");
  }
}

async function read(context: Context, path: string, kind: string): Promise<unknown> {
  const document = await readYamlFile(
    context,
    path,
    `cannot open ${path}`,
    `cannot parse ${path}`,
  );
  if (document === null) throw new CliError(`cannot convert given data into a ${kind}: ${path} is empty`);
  return plainValue(document);
}

/** Converts; what can't be converted is told with the files in which it stands. */
function convertNamed(
  files: readonly [policy: string, binding: string],
  ...documents: Parameters<typeof convertVap>
): ReturnType<typeof convertVap> {
  try {
    return convertVap(...documents);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    throw new CliError(`${error.message} (${files.join(", ")})`);
  }
}

export const run: Run = async (context, args) => {
  const module = args.value("cel-policy") ?? DEFAULT_MODULE;
  const files = [args.value("policy")!, args.value("binding")!] as const;
  const policy = await read(context, files[0], "ValidatingAdmissionPolicy");
  const binding = await read(context, files[1], "ValidatingAdmissionPolicyBinding");
  const converted = convertNamed(files, policy, binding, module);
  warnOfModule(context, module);
  for (const warning of converted.warnings) context.log("WARN", warning);
  context.out(yamlText(converted.policy));
};
