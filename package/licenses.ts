/** The licences of what is bundled, which ask for being passed on. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The packages that files belong to; of several copies of one, the innermost. */
export function packagesOf(files: readonly string[]): readonly string[] {
  const folders = files.flatMap((file) => {
    const found = /^(?:[a-z-]+:)?(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file);
    return found ? [found[1]!.slice(found[1]!.indexOf("node_modules/"))] : [];
  });
  return [...new Set(folders)].sort();
}

/** Name, version and licence of every package that the files at `inputs` (seen from `root`) belong to. */
export function thirdPartyLicenses(root: string, inputs: readonly string[]): string {
  const parts = packagesOf(inputs).map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
    const file = readdirSync(join(root, folder)).find((entry) => /^(licen[cs]e|copying)(\.|$)/i.test(entry));
    const notice = ["NOTICE", "NOTICE.txt", "NOTICE.md"].map((entry) => join(root, folder, entry)).find(
      existsSync,
    );
    const texts = [
      file && readFileSync(join(root, folder, file), "utf8"),
      notice && readFileSync(notice, "utf8"),
    ];
    return [`${name} ${version} (${license})`, ...texts.filter((text) => text !== undefined)].join("\n\n");
  });
  const line = `\n\n${"-".repeat(80)}\n\n`;
  return `This package holds code of the following packages.${line}${
    parts.map((part) => part.trim()).join(line)
  }\n`;
}
