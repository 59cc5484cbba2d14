/** `scaffold admission-request`: an AdmissionRequest for an object, to try policies with. */
import { readYamlFile } from "../apply/yaml_file.ts";
import { findResource } from "../apply/resource_catalog.ts";
import { admissionRequest, type AdmittedObject, groupVersion } from "../render/admission_request.ts";
import { indentedJson, plainValue } from "../render/yaml.ts";
import type { Operation } from "../types/admission.ts";
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

/** Which of the two objects an operation has. */
const OBJECTS: Readonly<Record<Operation, { readonly object: boolean; readonly oldObject: boolean }>> = {
  CREATE: { object: true, oldObject: false },
  UPDATE: { object: true, oldObject: true },
  DELETE: { object: false, oldObject: true },
  CONNECT: { object: true, oldObject: false },
};

export const run: Run = async (context, args) => {
  const operation = args.value("operation") as Operation;
  const wanted = OBJECTS[operation];
  for (
    const [flag, name, needed] of [["object", "object", wanted.object], [
      "old-object",
      "old_object",
      wanted.oldObject,
    ]] as const
  ) {
    const article = `an ${name}`;
    if (needed && !args.has(flag)) throw new CliError(`${operation} operation requires ${article}`);
    if (!needed && args.has(flag)) throw new CliError(`${operation} operation does not require ${article}`);
  }
  const read = async (flag: string) =>
    args.has(flag) ? await objectIn(context, args.value(flag)!) : undefined;
  const object = await read("object");
  const oldObject = await read("old-object");
  const { apiVersion, kind } = (object ?? oldObject)!;
  const { group, version } = groupVersion(apiVersion);
  const resource = await findResource(context, group, version, kind);
  if (resource === undefined) {
    context.log(
      "WARN",
      `Could not find information for GroupVersionKind { group: ${JSON.stringify(group)}, version: ${
        JSON.stringify(version)
      }, kind: ${JSON.stringify(kind)} }, some scaffolded data is not going to be accurate.`,
    );
  }
  context.out(`${indentedJson(admissionRequest({ object, oldObject }, { operation, resource }))}\n`);
};
