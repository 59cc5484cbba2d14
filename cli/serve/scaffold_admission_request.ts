/** `scaffold admission-request`: an AdmissionRequest for an object, to try policies with. */
import { readYamlFile } from "../apply/yaml_file.ts";
import { findResource } from "../apply/resource_catalog.ts";
import {
  admissionRequest,
  type AdmittedObject,
  groupVersionKind,
  type Operation,
  operationFault,
} from "../render/admission_request.ts";
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
  const operation = args.value("operation") as Operation;
  const [objectPath, oldPath] = [args.value("object"), args.value("old-object")];
  const fault = operationFault(operation, objectPath !== undefined, oldPath !== undefined);
  if (fault !== undefined) throw new CliError(fault);
  const subjects = {
    ...(objectPath !== undefined && { object: await objectIn(context, objectPath) }),
    ...(oldPath !== undefined && { oldObject: await objectIn(context, oldPath) }),
  };
  const { group, version, kind } = groupVersionKind((subjects.object ?? subjects.oldObject)!);
  const resource = await findResource(context, group, version, kind);
  if (resource === undefined) {
    context.log(
      "WARN",
      `Could not find information for GroupVersionKind { group: ${JSON.stringify(group)}, version: ${
        JSON.stringify(version)
      }, kind: ${JSON.stringify(kind)} }, some scaffolded data is not going to be accurate.`,
    );
  }
  context.out(`${indentedJson(admissionRequest(operation, subjects, resource))}\n`);
};
