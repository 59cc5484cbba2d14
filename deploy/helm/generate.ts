/**
 * Writes the charts: templates that several of them share are copied, CRDs come from `crd/`, roles from `source/rights.ts`,
 * READMEs from the comments on the values. What it writes is committed, and checked by `tests/deploy/generate_test.ts`.
 *
 * usage: generate.ts [--check]      (--check: write nothing, exit 1 when a file is not as it would be written)
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { customResourceDefinitions } from "../../crd/mod.ts";
import { stringifyYaml } from "../../deps.ts";
import { APP_VERSION, type Chart, CHARTS, POLICY_TAGS, VERSION } from "./source/charts.ts";
import { readme } from "./source/readme.ts";
import { REPORT_CRDS } from "./source/report_crds.ts";
import { rightsPage, type Role, ROLES, rules } from "./source/rights.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const repository = fileURLToPath(new URL("../../", import.meta.url));
const HEAD = "Written by deploy/helm/generate.ts";

/** What `helm test` uses in the chart that has no recommended policies; the same text in all charts. */
const PRIVILEGED_MODULE = `kubewarden/policies/pod-privileged:${POLICY_TAGS.unified.podPrivilegedPolicy}`;

type Files = Map<string, string>;

const source = (path: string) => readFileSync(join(here, "source", path), "utf8");
// Each object written out where it stands: anchors are harder to read in a template.
const yaml = (value: unknown) => stringifyYaml(value, { lineWidth: 0, aliasDuplicateObjects: false });

function expand(template: string, from: string): string {
  const text = template.replaceAll("@module:podPrivilegedPolicy@", PRIVILEGED_MODULE);
  return text.replace(/^@rights:(\w+)@$/gm, (_, name: string) => {
    if (!Object.hasOwn(ROLES, name)) throw new Error(`source/templates/${from}: no role is called ${name}`);
    return yaml(rules(ROLES[name as keyof typeof ROLES] as Role)).trimEnd().replace(/^/gm, "  ");
  });
}

function crds(chart: Chart): [string, string][] {
  const unified = chart.layout === "unified";
  const file = (group: string, plural: string) => `templates/${chart.crds}/${group}_${plural}.yaml`;
  const text = (manifest: unknown) => {
    const written = yaml(manifest);
    if (written.includes("{{")) throw new Error("a CRD holds what Helm takes for a template");
    return written;
  };
  const kept = unified ? { "helm.sh/resource-policy": "keep" } : {};
  const own = customResourceDefinitions().map((crd): [string, string] => {
    const [plural, ...group] = crd.metadata.name.split(".");
    const annotations = { ...crd.metadata.annotations, ...kept };
    return [file(group.join("."), plural!), text({ ...crd, metadata: { ...crd.metadata, annotations } })];
  });
  const reports = (["policyreport", "openreports"] as const).flatMap((api) =>
    REPORT_CRDS[api].map((crd): [string, string] => {
      const [plural, ...group] = crd.metadata.name.split(".");
      const open = api === "openreports";
      const annotations = { ...crd.metadata.annotations, ...(open ? {} : kept) };
      const { name } = crd.metadata;
      const head = text({ apiVersion: crd.apiVersion, kind: crd.kind, metadata: { name, annotations } });
      const labels = open
        ? '  labels:\n    {{- include "portreeve.labels" (dict "root" .) | nindent 4 }}\n'
        : "";
      const value = open ? "installOpenReportsCRDs" : "installPolicyReportCRDs";
      return [
        file(group.join("."), plural!),
        `{{- if .Values.${value} }}\n${head}${labels}${text({ spec: crd.spec })}{{- end }}\n`,
      ];
    })
  );
  return [...own, ...reports];
}

function notes(chart: Chart): string {
  const parts = chart.notes.map((name) => `{{ include "portreeve.${name}" . | trim }}\n`);
  const warnings = chart.warnings.map((name) => `(include "portreeve.${name}" . | trim)`);
  if (warnings.length === 0) return parts.join("\n");
  return `${parts.join("\n")}
{{- with list ${warnings.join(" ")} | join "\\n" | trim }}

WARNINGS
{{ . }}
{{- end }}
`;
}

function values(chart: Chart): string {
  const text = chart.values.map((part) => source(`values/${part}.yaml`)).join("");
  const tags: { readonly [policy: string]: string } = POLICY_TAGS[chart.layout];
  return text.replace(/@tag:(\w+)@/g, (_, policy: string) => {
    if (!Object.hasOwn(tags, policy)) throw new Error(`no tag for policy ${policy}`);
    return tags[policy]!;
  });
}

function chartFiles(chart: Chart): Files {
  const files: Files = new Map();
  files.set(
    "Chart.yaml",
    `# ${HEAD}.\n${
      yaml({
        apiVersion: "v2",
        name: chart.name,
        description: chart.description,
        type: "application",
        version: VERSION,
        appVersion: APP_VERSION,
        kubeVersion: ">= 1.19.0-0",
        annotations: chart.annotations,
      })
    }`,
  );
  const text = values(chart);
  files.set("values.yaml", `# ${HEAD} from deploy/helm/source/values/.\n${text}`);
  files.set("values.schema.json", `${JSON.stringify(chart.schema, null, 2)}\n`);
  files.set("README.md", readme(chart, text));
  if (chart.questions.length > 0) {
    const parts = chart.questions.map((part) => source(`questions/${part}.yaml`));
    files.set(
      "questions.yaml",
      `# ${HEAD} from deploy/helm/source/questions/.\nquestions:\n${parts.join("")}`,
    );
  }
  files.set("templates/NOTES.txt", notes(chart));
  files.set(
    "templates/_chart.tpl",
    `{{- /* ${HEAD}: how this chart differs from the others that share its templates. */ -}}
{{- define "portreeve.layout" -}}${chart.layout}{{- end -}}
{{- define "portreeve.originalName" -}}${chart.original}{{- end -}}
`,
  );
  for (const [target, from] of Object.entries(chart.templates)) {
    const written = expand(source(`templates/${from}`), from);
    files.set(
      `templates/${target}`,
      `{{- /* ${HEAD} from deploy/helm/source/templates/${from}. */ -}}\n${written}`,
    );
  }
  if (chart.crds !== undefined) { for (const [path, written] of crds(chart)) files.set(path, written); }
  return files;
}

/** Every file that is written, by its path in the repository. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const files: Files = new Map();
  for (const chart of CHARTS) {
    for (const [path, text] of chartFiles(chart)) files.set(`deploy/helm/${chart.name}/${path}`, text);
  }
  files.set("docs/rights.md", rightsPage());
  return files;
}

function filesBelow(folder: string): string[] {
  if (!existsSync(join(repository, folder))) return [];
  return readdirSync(join(repository, folder), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(`${folder}/${entry.name}`) : [`${folder}/${entry.name}`]
  );
}

/** What of the repository is not as it would be written, one line each. */
export function outdatedFiles(): readonly string[] {
  const wanted = generatedFiles();
  const outdated = [...wanted].flatMap(([path, text]) => {
    const file = join(repository, path);
    if (!existsSync(file)) return [`${path} is missing`];
    return readFileSync(file, "utf8") === text ? [] : [`${path} is outdated`];
  });
  const stale = CHARTS.flatMap(({ name }) => filesBelow(`deploy/helm/${name}`))
    .filter((path) => !wanted.has(path)).map((path) => `${path} is written no more`);
  return [...outdated, ...stale];
}

function write(): void {
  const wanted = generatedFiles();
  for (const { name } of CHARTS) {
    for (const path of filesBelow(`deploy/helm/${name}`)) {
      if (!wanted.has(path)) rmSync(join(repository, path));
    }
  }
  for (const [path, text] of wanted) {
    mkdirSync(dirname(join(repository, path)), { recursive: true });
    writeFileSync(join(repository, path), text);
  }
}

if (import.meta.main) {
  if (process.argv.includes("--check")) {
    const outdated = outdatedFiles();
    if (outdated.length > 0) {
      console.error(`${outdated.join("\n")}\nRun: node deploy/helm/generate.ts`);
      process.exitCode = 1;
    }
  } else write();
}
