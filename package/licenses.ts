/** The licences of what is bundled, which ask for being passed on. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The packages that files belong to; of several copies of one, the innermost. */
export function packagesOf(files: readonly string[]): readonly string[] {
  const folders = files.flatMap((file) => {
    const found = /^(?:[a-z-]+:)?(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file);
    return found ? [found[1]!.slice(found[1]!.indexOf("node_modules/"))] : [];
  });
  return [...new Set(folders)].sort();
}

/** A text as it is compared: packages break the lines of the same licence differently. */
const words = (text: string): string => text.replace(/\s+/g, " ").trim();

/**
 * Name, version and licence of every package that the files at `inputs` (seen from `root`) belong to, each licence's text once with
 * all the packages that have it.
 */
export function thirdPartyLicenses(root: string, inputs: readonly string[]): string {
  const byText = new Map<string, { readonly names: string[]; readonly text: string }>();
  for (const folder of packagesOf(inputs)) {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
    const files = readdirSync(join(root, folder)).filter((entry) =>
      /^(licen[cs]e|copying|notice)(\.|$)/i.test(entry)
    ).sort();
    const text = files.map((file) => readFileSync(join(root, folder, file), "utf8").trim()).join("\n\n");
    const key = words(text);
    const group = byText.get(key) ?? { names: [], text };
    group.names.push(`${name} ${version} (${license})`);
    byText.set(key, group);
  }
  const line = `\n\n${"-".repeat(80)}\n\n`;
  const parts = [...byText.values()].map(({ names, text }) => `${names.join("\n")}\n\n${text}`.trim());
  return `This package holds code of the following packages.${line}${parts.join(line)}\n`;
}
