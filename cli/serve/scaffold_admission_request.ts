/** `scaffold admission-request`: an AdmissionRequest for an object, to try policies with. */
import { readYamlFile } from "../apply/yaml_file.ts";
import { findResource } from "../apply/resource_catalog.ts";
import { admissionRequest, type AdmittedObject } from "../render/admission_request.ts";
import { indentedJson, plainValue } from "../render/yaml.ts";
import { CliError, type Context, type Run } from "../types/command.ts";

async function objectIn(context: Context, path: string): Promise<AdmittedObject> {
  const document = await readYamlFile(
    context,
    path,
    `failed to open object file ${path}`,
    `failed to parse object file ${path}`,
  );
  const value = document === null ? undefined : plainValue(document) as AdmittedObject;
  if (typeof value?.apiVersion !== "string" || typeof value.kind !== "string") {
    throw new CliError(`object defined inside of ${path} is missing types`);
  }
  return value;
}

export const run: Run = async (context, args) => {
  const path = args.value("object");
  if (path === undefined) throw new CliError("CREATE operation requires an object");
  if (args.has("old-object")) throw new CliError("CREATE operation does not require an old_object");
  const object = await objectIn(context, path);
  const { apiVersion, kind } = object;
  const slash = apiVersion.indexOf("/");
  const [group, version] = slash < 0
    ? ["", apiVersion]
    : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
  const resource = await findResource(context, group!, version!, kind);
  if (resource === undefined) {
    context.log(
      "WARN",
      `Could not find information for GroupVersionKind { group: ${JSON.stringify(group)}, version: ${
        JSON.stringify(version)
      }, kind: ${JSON.stringify(kind)} }, some scaffolded data is not going to be accurate.`,
    );
  }
  const request = admissionRequest(object, resource);
  context.out(`${indentedJson(request)}\n`);
};
