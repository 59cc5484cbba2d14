/** `artifacthub-pkg.yml` from a policy's metadata (`spec/cli.md §16.4`). */
import { own } from "../../program/types/own.ts";
import type { PolicyMetadata } from "../../evaluator/types/metadata.ts";
import { CliError } from "../types/command.ts";
import { isSemver, metadataObject } from "./metadata_document.ts";
import { yamlText } from "./yaml.ts";

const KW = "io.kubewarden.policy.";
const HUB = "io.artifacthub.";
const TAG = "com.github.release.tag";

/** The list's items; blanks around them don't count. */
function keywordsOf(text: string): readonly string[] {
  const items = text.split(",").map((item) => item.trim());
  if (items.includes("")) {
    throw new CliError(
      `malformed csv in annotation "${HUB}keywords": ${JSON.stringify(text)} has an empty item`,
    );
  }
  return items;
}

function urlOf(text: string, key: string): string {
  try {
    new URL(text);
    return text;
  } catch {
    throw new CliError(`annotation "${key}" must be a URL: ${JSON.stringify(text)}`);
  }
}

/** Addresses of RFC 5322: `Name <user@host>` or `user@host`, with commas between them; a name may be quoted. */
export function addressesOf(text: string): readonly { readonly name: string; readonly email: string }[] {
  const parts = [...text.matchAll(/\s*((?:"(?:[^"\\]|\\.)*"|[^",])+)\s*(?:,|$)/g)].map((match) =>
    match[1]!.trim()
  );
  const addresses = parts.map((part) => {
    const match = /^(?:(.*?)\s*<([^<>\s@]+@[^<>\s@]+)>|([^<>\s@]+@[^<>\s@]+))$/.exec(part);
    if (!match) {
      throw new CliError(
        `annotation "${KW}author" must hold addresses as RFC 5322 has them: ${JSON.stringify(part)}`,
      );
    }
    const email = match[2] ?? match[3]!;
    const name = (match[1] ?? "").replace(/^"(.*)"$/, "$1").replace(/\\(.)/g, "$1");
    return { name: name === "" ? email : name, email };
  });
  if (addresses.length === 0) throw new CliError(`annotation "${KW}author" holds no address`);
  return addresses;
}

function linksOf(source: string, version: string, tag: string | undefined) {
  const url = urlOf(source, `${KW}source`);
  const links = [{ name: "source", url }];
  if (new URL(url).hostname !== "github.com") return links;
  const release = encodeURIComponent(tag ?? `v${version}`);
  return [
    { name: "policy", url: `${url.replace(/\/$/, "")}/releases/download/${release}/policy.wasm` },
    ...links,
  ];
}

const HEADER = `# Kubewarden Artifacthub Package config
#
# Use this config to submit the policy to https://artifacthub.io.
#
# This config can be saved to its default location with:
#   PROGRAM scaffold artifacthub > artifacthub-pkg.yml
`;

const installText = (image: string): string =>
  [
    `The policy can be obtained using [kwctl](https://docs.kubewarden.io/howtos/install-kwctl):`,
    "```console",
    `kwctl pull ${image}`,
    "```",
    "Then, generate the policy manifest and tune it to your liking. For example:",
    "```console",
    `kwctl scaffold manifest -t ClusterAdmissionPolicy registry://${image}`,
    "```",
    "",
  ].join("\n");

const present = (object: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

/** What Artifact Hub shows of Kubewarden's own. */
function hubAnnotations(metadata: PolicyMetadata, questions: string | undefined) {
  const { annotations, contextAwareResources, mutating } = metadata;
  const object = metadataObject(metadata);
  return present({
    "kubewarden/contextAwareResources": contextAwareResources.length === 0
      ? undefined
      : yamlText(object["contextAwareResources"]),
    "kubewarden/hidden-ui": annotations["io.kubewarden.hidden-ui"],
    "kubewarden/mutation": String(mutating),
    "kubewarden/questions-ui": questions,
    "kubewarden/resources": annotations[`${HUB}resources`],
    "kubewarden/rules": yamlText(object["rules"]),
  });
}

/** The file. `questions` is the text of the questions file; `createdAt` is in RFC 3339. Throws {@link CliError}. */
export function artifacthubText(
  metadata: PolicyMetadata,
  questions: string | undefined,
  createdAt: string,
  program: string,
): string {
  const { annotations } = metadata;
  if (Object.keys(annotations).length === 0) {
    throw new CliError("no annotations in policy metadata. policy metadata must specify annotations");
  }
  if (questions !== undefined && questions.trim() === "") {
    throw new CliError("questions-ui content cannot be empty");
  }
  const required = (key: string): string => {
    const value = own(annotations, key);
    if (value === undefined) throw new CliError(`policy metadata must specify "${key}" in annotations`);
    return value;
  };
  const optional = <T>(key: string, read: (value: string) => T): T | undefined => {
    const value = own(annotations, key);
    return value === undefined ? undefined : read(value);
  };
  const version = required(`${KW}version`);
  if (!isSemver(version)) {
    throw new CliError(`policy version must be in semver: ${JSON.stringify(version)} is no semantic version`);
  }
  const image = `${required(`${KW}ociUrl`)}:v${version}`;
  const homeURL = optional(`${KW}url`, (value) => urlOf(value, `${KW}url`));
  const keywords = optional(`${HUB}keywords`, keywordsOf);
  const links = optional(`${KW}source`, (value) => linksOf(value, version, annotations[TAG]));
  const maintainers = optional(`${KW}author`, addressesOf);
  const document = {
    version,
    name: required(`${KW}title`),
    displayName: required(`${HUB}displayName`),
    createdAt,
    description: required(`${KW}description`),
    license: annotations[`${KW}license`],
    homeURL,
    containersImages: [{ name: "policy", image }],
    keywords,
    links,
    install: installText(image),
    maintainers,
    provider: { name: "kubewarden" },
    recommendations: [{ url: "https://artifacthub.io/packages/helm/kubewarden/kubewarden-controller" }],
    annotations: hubAnnotations(metadata, questions),
  };
  return `${HEADER.replace("PROGRAM", program)}${yamlText(present(document))}\n`;
}
