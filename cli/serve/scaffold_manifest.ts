/** `scaffold manifest`: a custom resource for a policy. */
import { own } from "../../program/types/own.ts";
import { readDocument } from "../../policy_server/types/read_document.ts";
import { settingsFromFlags } from "../apply/definitions.ts";
import { fetchingFromFlags } from "../apply/fetching.ts";
import { fetchChecked } from "../apply/fetch_policy.ts";
import { notAnnotated, readLocalModule } from "../apply/local_metadata.ts";
import { pathsOf } from "../apply/paths.ts";
import { checkedPath, lenientUri, notFound, shownUri } from "../apply/resolve.ts";
import { isClusterScoped } from "../render/cluster_scoped.ts";
import { metadataObject } from "../render/metadata_document.ts";
import { plainValue, yamlText } from "../render/yaml.ts";
import { type Arguments, CliError, type Context, type Run } from "../types/command.ts";

const PREFIX = "io.kubewarden.policy.";
const NAME = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*$/;
const MAX_NAME = 253;

async function fileOf(context: Context, args: Arguments, uri: string): Promise<string> {
  try {
    return await checkedPath(context, uri);
  } catch (error) {
    if (uri.startsWith("file://") || (error as Error).message !== notFound(uri).message) throw error;
    context.log(
      "INFO",
      `cannot find policy with uri: ${shownUri(uri)}, trying to pull it from remote registry`,
    );
    const destination = { kind: "store", root: pathsOf(context.env).store } as const;
    return (await fetchChecked(context, uri, destination, await fetchingFromFlags(context, args))).path;
  }
}

function warnOfGrants(context: Context, granted: boolean): void {
  const lines = granted
    ? [
      "Policy has been granted access to the Kubernetes resources mentioned by its metadata.",
      "Carefully review the contents of the `contextAwareResources` attribute for abuses.",
    ]
    : [
      "Policy requires access to Kubernetes resources at evaluation time. The access to them is not granted by this manifest.",
      "This can cause the policy to not behave properly.",
      "Carefully review which types of Kubernetes resources the policy needs via the `inspect` command, then run this " +
      "command again with the `--allow-context-aware` flag.",
    ];
  for (const line of lines) context.log("WARN", line);
}

export const run: Run = async (context, args) => {
  const uri = await lenientUri(context, args.word("uri_or_sha_prefix"));
  const settings = await settingsFromFlags(context, args);
  const { metadata } = await readLocalModule(await fileOf(context, args, uri));
  if (metadata === undefined) throw notAnnotated(context.program, uri);
  const { annotations, contextAwareResources } = metadata;
  const title = args.value("title") ?? annotations[`${PREFIX}title`];
  if (title !== undefined && (title.length > MAX_NAME || !NAME.test(title))) {
    throw new CliError(
      `Invalid title '${title}'. Must conform to RFC 1123: use lowercase alphanumeric chars, '-' or '.', and ` +
        "start/end with an alphanumeric character.",
    );
  }
  const kind = args.value("type")!;
  const cluster = kind === "ClusterAdmissionPolicy";
  const granted = args.has("allow-context-aware");
  if (cluster && contextAwareResources.length > 0) warnOfGrants(context, granted);
  if (metadata.policyType === "raw") {
    context.log(
      "WARN",
      "The policy judges raw requests (policyType raw in its metadata), and API servers send none: by this manifest it is asked about " +
        "admission requests, which it does not know. Serve it from a policies.yml, and ask it at /validate_raw/NAME",
    );
  }
  if (!cluster && isClusterScoped(metadata.rules)) {
    context.log(
      "WARN",
      "The policy's rules name resources that belong to no namespace: an AdmissionPolicy is never asked about those",
    );
  }
  const kept = Object.fromEntries(
    ["category", "severity"].flatMap((name) => {
      const value = own(annotations, `${PREFIX}${name}`);
      return value === undefined ? [] : [[`${PREFIX}${name}`, value]];
    }),
  );
  const object = metadataObject(metadata);
  context.out(yamlText({
    apiVersion: "policies.kubewarden.io/v1",
    kind,
    metadata: {
      ...(Object.keys(kept).length > 0 && { annotations: kept }),
      ...(title !== undefined && { name: title }),
    },
    spec: {
      module: uri,
      settings: plainValue(readDocument(settings)!),
      rules: object["rules"],
      mutating: metadata.mutating,
      ...(!metadata.backgroundAudit && { backgroundAudit: false }),
      ...(cluster && granted && contextAwareResources.length > 0 &&
        { contextAwareResources: object["contextAwareResources"] }),
    },
  }));
};
