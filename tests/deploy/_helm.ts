/** Helm for the tests of the charts: renders, and reads what it rendered. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import { parseAllDocuments } from "../../deps.ts";

// deno-lint-ignore no-explicit-any
export type Any = any;

const program = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "portreeve", "bin", "helm");
export const CHARTS_FOLDER = fileURLToPath(new URL("../../deploy/helm/", import.meta.url));
const HOW_TO_GET_HELM = "needs helm: run tests/tools/build_helm.sh (Go 1.26, two minutes)";

/** `test`, or `test.skip` with the way to get Helm where there is none. */
export const helmTest: typeof test = (existsSync(program) ? test : test.skip) as typeof test;
if (!existsSync(program)) test.skip(`charts: ${HOW_TO_GET_HELM}`, () => {});

export type ChartName = "portreeve-crds" | "portreeve-controller" | "portreeve-defaults" | "portreeve";
export const CHART_NAMES: readonly ChartName[] = [
  "portreeve-crds",
  "portreeve-controller",
  "portreeve-defaults",
  "portreeve",
];
/** The charts that have the controller, and the release names that their originals are installed by. */
export const CONTROLLER_CHARTS = [
  { chart: "portreeve-controller", release: "kubewarden-controller", name: "kubewarden-controller" },
  { chart: "portreeve", release: "admission-controller", name: "admission-controller" },
] as const;

export type Outcome = { readonly status: number; readonly stdout: string; readonly stderr: string };

/** Runs Helm; `input` goes to its standard input. */
export function helm(
  args: readonly string[],
  input = "",
  env: { readonly [name: string]: string } = {},
): Outcome {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    input,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, KUBECONFIG: "/nonexistent", ...env },
  });
  if (error !== undefined) throw error;
  return { status: status ?? 1, stdout, stderr };
}

export type Rendering = {
  readonly release?: string;
  readonly namespace?: string;
  readonly values?: Any;
  readonly set?: readonly string[];
  /** Only these templates, by their place below `templates/`. */
  readonly only?: readonly string[];
  /** Another folder than the chart's own. */
  readonly folder?: string;
};

/** `helm template` with what it says when it refuses. */
export function template(chart: ChartName, options: Rendering = {}): Outcome {
  const { release = "release", namespace = "kubewarden", values = {}, set = [], only = [] } = options;
  const folder = options.folder ?? join(CHARTS_FOLDER, chart);
  return helm([
    "template",
    release,
    folder,
    "--namespace",
    namespace,
    "--values",
    "-",
    ...set.flatMap((one) => ["--set", one]),
    ...only.flatMap((one) => ["--show-only", `templates/${one}`]),
    // As JSON: Helm reads YAML 1.1, where `yes` is no text.
  ], JSON.stringify(values));
}

/** The objects in a text of YAML documents. A key that stands twice is an error. */
export function objectsIn(text: string): Any[] {
  return (parseAllDocuments(text, { uniqueKeys: true }) as Any[]).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    const value = document.toJS();
    return value === null ? [] : [value];
  });
}

/** The objects of a chart; throws with Helm's words when it refuses. */
export function render(chart: ChartName, options: Rendering = {}): Any[] {
  const { status, stdout, stderr } = template(chart, options);
  if (status !== 0) throw new Error(`${chart}: ${stderr}`);
  return objectsIn(stdout);
}

/** What Helm says when it refuses values; throws when it accepts them. */
export function refusal(chart: ChartName, options: Rendering = {}): string {
  const { status, stderr } = template(chart, options);
  if (status === 0) throw new Error(`${chart} accepts ${JSON.stringify(options)}`);
  return stderr;
}

/** The one object of this kind (and name). */
export function one(objects: readonly Any[], kind: string, name?: string): Any {
  const found = objects.filter((object) =>
    object.kind === kind && (name === undefined || object.metadata.name === name)
  );
  if (found.length !== 1) throw new Error(`${found.length} of ${kind} ${name ?? ""}`);
  return found[0];
}

export const keyOf = (object: Any): string => `${object.kind}/${object.metadata.name}`;

/** Certificates, keys and what is made from them differ with each rendering. */
export function withoutCertificates(object: Any): Any {
  const copy = structuredClone(object);
  if (copy.kind === "Secret") { for (const key of Object.keys(copy.data)) copy.data[key] = "(certificate)"; }
  for (const webhook of copy.webhooks ?? []) webhook.clientConfig.caBundle = "(certificate)";
  return copy;
}

/** The pod template of a Deployment, Job or CronJob. */
export const podOf = (
  object: Any,
): Any => (object.kind === "CronJob" ? object.spec.jobTemplate.spec.template : object.spec.template);

/** PolicyServer and policies, whichever way the chart carries them. */
export function defaultResources(objects: readonly Any[]): Any[] {
  const carried = objects.filter(({ kind, metadata }) =>
    kind === "ConfigMap" && metadata.name === "kubewarden-defaults"
  );
  return [
    ...objects.filter(({ kind }) => kind === "PolicyServer" || kind === "ClusterAdmissionPolicy"),
    ...carried.flatMap(({ data }) => Object.values(data).flatMap((text) => objectsIn(text as string))),
  ];
}
