// What the specification says of custom resources, charts' values and a module's imports is what the code has.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { customResourceDefinitions } from "../../crd/render/manifests.ts";
import { parseDocument } from "../../deps.ts";
import { chapter, codeSpans, read } from "./_chapters.ts";

const CRDS = chapter("crds"), CHARTS = chapter("charts"), EVALUATOR = chapter("evaluator");

const cellsOf = (line: string): readonly string[] =>
  line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim());

// Custom resources.

// deno-lint-ignore no-explicit-any
type Any = any;

const specOf = (kind: string): Any => {
  const definition = customResourceDefinitions().find(({ spec }) => (spec["names"] as Any).kind === kind)!;
  const version = (definition.spec["versions"] as Any).find(({ name }: Any) => name === "v1");
  return version.schema.openAPIV3Schema.properties.spec;
};

interface Row {
  readonly name: string;
  readonly required: boolean;
  readonly rest: string;
}

/** The rows of a section's tables of fields; `from` and `to` are beginnings of lines around a table. */
function fieldRows(section: string, from = "", to = "\0"): readonly Row[] {
  const lines = CRDS.sections.get(section)!;
  const begin = lines.findIndex((line) => line.startsWith(from));
  const end = lines.findIndex((line, index) => index > begin && line.startsWith(to));
  return lines.slice(begin, end < 0 ? undefined : end)
    .filter((line) => /^\| `/.test(line) && /\| [RO]\*? \|/.test(line))
    .map((line) => {
      const [name, , required, ...rest] = cellsOf(line);
      return { name: codeSpans(name!)[0]!, required: required === "R", rest: rest.join(" | ") };
    });
}

/** What a path of a row (`rules[].scope`, `policies.<n>.module`) stands for, and whether it must be there. */
function at(schema: Any, path: string): { readonly schema: Any; readonly required: boolean } | undefined {
  let found = schema, required = true;
  for (const step of path.split(".")) {
    const name = step.replace("[]", "");
    if (name === "<n>") found = found.additionalProperties;
    else {
      required = (found.required ?? []).includes(name);
      found = found.properties?.[name];
    }
    if (found === undefined) return undefined;
    if (step.endsWith("[]")) found = found.items;
  }
  return { schema: found, required };
}

const own = (rows: readonly Row[]): readonly string[] =>
  [...new Set(rows.map(({ name }) => name.split(/[.[]/)[0]!))].sort();

function compare(kind: string, rows: readonly Row[]): void {
  const schema = specOf(kind);
  assert.equal(own(rows), Object.keys(schema.properties).sort(), kind);
  for (const { name, required, rest } of rows) {
    const field = at(schema, name);
    assert.ok(field, `${kind}: ${name}`);
    assert.is(field!.required, required, `${kind}: ${name} is required`);
    const { default: preset, minimum, maximum, enum: choices } = field!.schema;
    // The ports' defaults are the controller's, which the table says too.
    if (preset !== undefined) {
      assert.ok(codeSpans(rest).includes(String(preset)), `${kind}: ${name} defaults to ${preset}`);
    }
    const limits = /min (\d+), max (\d+)/.exec(rest);
    assert.equal(
      limits && [Number(limits[1]), Number(limits[2])],
      minimum === undefined ? null : [minimum, maximum],
      name,
    );
    for (const choice of choices ?? []) {
      assert.ok(codeSpans(rest).includes(choice), `${kind}: ${name} may be ${choice}`);
    }
  }
}

const POLICY = fieldRows("2", "", "ClusterAdmissionPolicy adds:");
const CLUSTER = fieldRows("2", "ClusterAdmissionPolicy adds:");
const GROUP = fieldRows("3");
/** What groups have of the first table, as the chapter says. */
const SHARED = codeSpans(
  /Same fields, types and defaults as section 2 for:([^.]*)\./.exec(CRDS.sections.get("3")!.join("\n"))![1]!,
);
const shared = POLICY.filter(({ name }) => SHARED.includes(name.split(/[.[]/)[0]!));
const wide = CLUSTER.filter(({ name }) => !name.startsWith("contextAwareResources"));

test("crds.md has the fields of the five kinds, which are required, and their defaults and limits", () => {
  assert.ok(POLICY.length > 15 && CLUSTER.length === 3 && GROUP.length > 5);
  compare("AdmissionPolicy", POLICY);
  compare("ClusterAdmissionPolicy", [...POLICY, ...CLUSTER]);
  compare("AdmissionPolicyGroup", [
    ...shared,
    ...GROUP.filter(({ rest }) => !rest.includes("**CAPG only**")),
  ]);
  compare("ClusterAdmissionPolicyGroup", [...shared, ...GROUP, ...wide]);
  compare("PolicyServer", fieldRows("5"));
});

// Charts.

/** The keys of a row: `a.b / c, d.e`, where what has no path is beside what stands before it. */
function keysOf(cell: string): readonly string[] {
  let parent = "";
  return cell.replaceAll("`", "").split(/ ?\/ ?|, /).map((item) => {
    const name = item.trim();
    if (name.startsWith(".")) return `${parent}${name}`;
    const key = name.includes(".") || parent === "" ? name : `${parent}.${name}`;
    parent = key.includes(".") ? key.slice(0, key.lastIndexOf(".")) : "";
    return key;
  }).map((key) => key.replace(/\.\*$/, ""));
}

function leaves(values: Any, path = ""): readonly string[] {
  const isMap = typeof values === "object" && values !== null && !Array.isArray(values);
  if (!isMap || Object.keys(values).length === 0) return [path];
  return Object.entries(values).flatMap(([key, value]) =>
    leaves(value, path === "" ? key : `${path}.${key}`)
  );
}

test("charts.md has the values of the charts, and no other", () => {
  const values = parseDocument(read("deploy/helm/portreeve/values.yaml")).toJS();
  const real = leaves(values);
  const keys = ["3.1", "3.2", "3.3", "3.4", "3.5"].flatMap((section) => CHARTS.sections.get(section)!)
    .filter((line) => /^\| `?[a-zA-Z]/.test(line) && !line.startsWith("| Key"))
    .flatMap((line) => keysOf(cellsOf(line)[0]!)).filter((key) => !key.includes("<policy"));
  assert.ok(keys.length > 90, `${keys.length} keys`);
  const isBelow = (one: string, other: string) => one === other || one.startsWith(`${other}.`);
  const unknown = keys.filter((key) => !real.some((leaf) => isBelow(leaf, key) || isBelow(key, leaf)));
  assert.equal(unknown, []);
  // The settings of each recommended policy have a table of their own.
  const policies = /^recommendedPolicies\.(\w+Policy)\./;
  assert.equal(real.filter((leaf) => !policies.test(leaf) && !keys.some((key) => isBelow(leaf, key))), []);
  const blocks = CHARTS.sections.get("7.3")!.filter((line) => /Policy \|/.test(line)).map(cellsOf);
  const named = new Set(real.flatMap((leaf) => policies.exec(leaf)?.[1] ?? []));
  assert.equal(blocks.map(([block]) => block).sort(), [...named].sort());
  for (const [block, name, repository, tags] of blocks) {
    const policy = values.recommendedPolicies[block!];
    assert.equal([name, repository, tags!.split(" / ")[1]], [
      policy.name,
      policy.module.repository,
      policy.module.tag,
    ], block);
  }
  const skipped = /Default `global\.skipNamespaces`, in order: ([^.]*)\./.exec(CHARTS.text)![1]!;
  assert.equal(skipped.split(/,\s+/), values.global.skipNamespaces);
});

/** A value as the tables write it. */
const written = (value: Any): string =>
  value === null || value === undefined
    ? "null"
    : typeof value === "string"
    ? value === "" ? '""' : value
    : Array.isArray(value) || typeof value === "object"
    ? JSON.stringify(value)
    : String(value);

test("charts.md has the defaults of the charts' values", () => {
  const values = parseDocument(read("deploy/helm/portreeve/values.yaml")).toJS();
  const valueAt = (key: string): Any => key.split(".").reduce((found, step) => found?.[step], values);
  const wrong: string[] = [];
  let compared = 0;
  for (const section of ["3.1", "3.2", "3.3", "3.4"]) {
    for (
      const [key, , presets] of CHARTS.sections.get(section)!.filter((line) => /^\| [a-z]/.test(line)).map(
        cellsOf,
      )
    ) {
      const keys = keysOf(key!), each = presets!.replaceAll("`", "").split(" / ");
      for (const [index, name] of keys.entries()) {
        const preset = each.length === 1 ? each[0]! : each[index]!;
        // What is said in words, or left to the chart's version; one resource of several.
        if (preset === "" || /^=|\s|\u00a7|=/.test(preset) && !/^[\d*]/.test(preset)) continue;
        if (/^\d+ names|^limits|^null,/.test(preset)) continue;
        const found = written(valueAt(name));
        if (preset !== found) wrong.push(`${name}: ${preset}, is ${found}`);
        compared++;
      }
    }
  }
  assert.equal(wrong, []);
  assert.ok(compared > 60, `${compared} defaults`);
});

test("charts.md has the questions of the charts, with their defaults", () => {
  const charts: Readonly<Record<string, string>> = {
    KC: "portreeve-controller",
    KD: "portreeve-defaults",
    "1C": "portreeve",
  };
  const rows = CHARTS.sections.get("14")!.map(cellsOf).filter((cells) => /^`[\w.]+`$/.test(cells[1] ?? ""));
  const asked = (questions: Any[]): Any[] =>
    questions.flatMap((question) => [question, ...asked(question.subquestions ?? [])]);
  for (const [short, name] of Object.entries(charts)) {
    const found = asked(parseDocument(read(`deploy/helm/${name}/questions.yaml`)).toJS().questions).map(
      ({ group, variable, default: preset }) => `${group}: ${variable} = ${preset ?? "none"}`,
    );
    const written = rows.filter((cells) => cells[3]!.split(", ").includes(short)).map((
      [group, variable, preset],
    ) =>
      `${group}: ${codeSpans(variable!)[0]} = ${(codeSpans(preset!)[0] ?? "none").replace(/^"(.*)"$/, "$1")}`
    );
    assert.equal([...written].sort(), [...found].sort(), short);
  }
});

test("charts.md has the arguments of the controller and of the audit scanner in their order", () => {
  const written = CHARTS.sections.get("6.1")!.filter((line) => /^\| \d+ \| `--/.test(line))
    .map((line) => /`(--[\w-]+)/.exec(line)![1]);
  const template = read("deploy/helm/source/templates/controller/deployment.yaml");
  const real = [...new Set([...template.matchAll(/^\s+- (--[\w-]+)/gm)].map(([, flag]) => flag))];
  assert.equal(written, real);
  const scanner = CHARTS.sections.get("6.5")!.join(" ");
  const flags = [...new Set(scanner.match(/(?<=[` ])--?[a-z][\w-]*(?=[` ])/g))];
  const command = read("deploy/helm/source/templates/controller/audit-scanner.yaml");
  assert.equal(flags, [
    ...new Set([...command.matchAll(/^\s+- (--?[a-z][\w-]*)$/gm)].map(([, flag]) => flag)),
  ]);
});

// What a module may import.

test("evaluator.md has the host functions of waPC and WASI", () => {
  const imports = read("evaluator/types/imports.ts");
  const table = (name: string): readonly string[] =>
    [...new RegExp(`const ${name}\\b[^{]*\\{([\\s\\S]*?)\\n\\}`).exec(imports)![1]!.matchAll(
      /^\s+(\w+): "/gm,
    )].map(([, one]) => one!);
  const abi = EVALUATOR.sections.get("2.1")!;
  const written = abi.filter((line) => line.startsWith("| `__")).map((line) => codeSpans(line)[0]);
  assert.equal([...written].sort(), [...table("WAPC")].sort());
  const wasi = /function set \((.*)\)\. In waPC mode/.exec(abi.join(" "))![1]!;
  const functions = wasi.split(/, (?![^[]*\])/).flatMap((group) => {
    const [, prefix, list] = /^(\w+_)\* \[(.*)\]$/.exec(group) ?? [];
    return prefix === undefined ? [group] : list!.split(", ").map((name) => prefix + name);
  });
  const known = table("WASI");
  assert.equal(functions.filter((name) => !name.endsWith("*") && !known.includes(name)), []);
  const families = functions.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  assert.equal(
    known.filter((name) => !functions.includes(name) && !families.some((family) => name.startsWith(family))),
    [],
  );
});

test.run();
