/** READMEs of the charts: every value with its default and the comment that `values.yaml` has on it. */
import { parseDocument } from "../../../deps.ts";
import type { Chart } from "./charts.ts";

export type DocumentedValue = { readonly path: string; readonly preset: unknown; readonly text: string };

/** The values that have a comment beginning with `# --`, which goes on in the comment lines below it. */
export function documentedValues(yaml: string): readonly DocumentedValue[] {
  const values = parseDocument(yaml);
  const found: DocumentedValue[] = [];
  const parents: { readonly indent: number; readonly key: string }[] = [];
  let text: string | undefined;
  for (const line of yaml.split("\n")) {
    const comment = /^\s*# ?(--)?\s*(.*)$/.exec(line);
    if (comment !== null) {
      if (comment[1] !== undefined) text = comment[2]!;
      else if (text !== undefined) text += ` ${comment[2]}`;
      continue;
    }
    const key = /^(\s*)([A-Za-z][\w.-]*):/.exec(line);
    if (key === null) continue;
    const indent = key[1]!.length;
    while (parents.length > 0 && parents.at(-1)!.indent >= indent) parents.pop();
    parents.push({ indent, key: key[2]! });
    if (text === undefined) continue;
    const path = parents.map((parent) => parent.key);
    const node = values.getIn(path, true) as { toJSON?: () => unknown } | undefined;
    found.push({ path: path.join("."), preset: node?.toJSON?.(), text });
    text = undefined;
  }
  return found;
}

const MAX_PRESET_CHARACTERS = 80;

function preset(value: unknown): string {
  const text = JSON.stringify(value ?? null);
  return text.length <= MAX_PRESET_CHARACTERS ? `\`${text}\`` : "see `values.yaml`";
}

/** README.md of a chart with these values. */
export function readme(chart: Chart, values: string): string {
  const rows = documentedValues(values).map((value) =>
    `| \`${value.path}\` | ${preset(value.preset).replaceAll("|", "\\|")} | ${
      value.text.replaceAll("|", "\\|")
    } |`
  );
  return `<!-- Written by deploy/helm/generate.ts: edit the comments in deploy/helm/source/values/ instead. -->

# ${chart.name}

${chart.introduction}

## Values

| Value | Default | Meaning |
| ----- | ------- | ------- |
${rows.join("\n")}
`;
}
