// What deploy/helm/generate.ts writes is committed: charts, their READMEs, and docs/rights.md.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { generatedFiles, outdatedFiles } from "../../deploy/helm/generate.ts";
import { CHARTS } from "../../deploy/helm/source/charts.ts";
import { documentedValues } from "../../deploy/helm/source/readme.ts";
import { parseDocument } from "../../deps.ts";
import { readdirSync } from "node:fs";
import { CHARTS_FOLDER, helm, helmTest } from "./_helm.ts";

const files = generatedFiles();

test("every generated file is committed as it would be written", () => {
  assert.equal(outdatedFiles(), [], "run: node deploy/helm/generate.ts");
});

test("every source template is used by a chart, and those of several charts are the same in all", () => {
  const used = new Set(CHARTS.flatMap(({ templates }) => Object.values(templates)));
  const sources = ["shared", "controller", "defaults"].flatMap((folder) =>
    readdirSync(`${CHARTS_FOLDER}source/templates/${folder}`).map((file) => `${folder}/${file}`)
  );
  assert.equal([...used].sort(), sources.sort());
  for (const from of used) {
    const copies = CHARTS.flatMap(({ name, templates }) =>
      Object.entries(templates).filter(([, source]) => source === from)
        .map(([target]) => files.get(`deploy/helm/${name}/templates/${target}`))
    );
    assert.is(new Set(copies).size, 1, from);
  }
});

test("every value has its line in the README, or stands below one that has", () => {
  for (const { name } of CHARTS) {
    const yaml = files.get(`deploy/helm/${name}/values.yaml`)!;
    const documented = documentedValues(yaml).map(({ path }) => path);
    const leaves = (value: unknown, path: string): string[] =>
      typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
        ? Object.entries(value).flatMap(([key, below]) => leaves(below, path === "" ? key : `${path}.${key}`))
        : [path];
    const missing = leaves(parseDocument(yaml).toJS(), "").filter((leaf) =>
      !documented.some((path) => leaf === path || leaf.startsWith(`${path}.`))
    );
    assert.equal(missing, [], name);
    const text = files.get(`deploy/helm/${name}/README.md`)!;
    for (const path of documented) assert.ok(text.includes(`| \`${path}\` |`), `${name}: ${path}`);
  }
});

test("the schema knows every value, so that a wrong type of any is refused", () => {
  for (const { name, schema } of CHARTS) {
    const walk = (value: unknown, at: Record<string, unknown>, path: string): string[] => {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
      const properties = at["properties"] as Record<string, Record<string, unknown>> | undefined;
      if (properties === undefined) return [];
      return Object.entries(value).flatMap(([key, below]) => {
        const next = properties[key];
        return next === undefined ? [`${path}${key}`] : walk(below, next, `${path}${key}.`);
      });
    };
    const values = parseDocument(files.get(`deploy/helm/${name}/values.yaml`)!).toJS();
    assert.equal(walk(values, schema, ""), [], name);
  }
});

test("every question of Rancher's form asks for a value that there is, and proposes its default", () => {
  // Where the form proposes what the values leave open.
  const proposals = new Set([
    "telemetry.sidecar.tracing.jaeger.endpoint",
    "telemetry.sidecar.tracing.jaeger.tls.insecure",
  ]);
  let asked = 0;
  for (const { name } of CHARTS) {
    const form = files.get(`deploy/helm/${name}/questions.yaml`);
    if (form === undefined) continue;
    const values = parseDocument(files.get(`deploy/helm/${name}/values.yaml`)!);
    type Question = {
      readonly variable: string;
      readonly default?: unknown;
      readonly subquestions?: Question[];
    };
    const { questions } = parseDocument(form).toJS() as { readonly questions: readonly Question[] };
    for (const question of questions.flatMap((one) => [one, ...(one.subquestions ?? [])])) {
      asked += 1;
      if (proposals.has(question.variable)) continue;
      const path = question.variable.split(".");
      assert.ok(values.hasIn(path), `${name}: ${question.variable}`);
      if (question.default !== undefined) {
        // Its numbers are texts.
        assert.is(String(values.getIn(path)), String(question.default), `${name}: ${question.variable}`);
      }
    }
  }
  assert.ok(asked > 40, `${asked}`);
});

helmTest("helm lint --strict finds nothing", () => {
  for (const { name } of CHARTS) {
    const { status, stdout } = helm(["lint", "--strict", "--quiet", `${CHARTS_FOLDER}${name}`]);
    assert.is(status, 0, stdout);
    assert.is(stdout.trim(), "", name);
  }
});

test.run();
