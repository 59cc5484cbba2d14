/** How the module of a policy is built that is not there yet, as the files beside it show. */
import { ANNOTATE, ANNOTATED, METADATA, MODULE } from "./common.ts";
import { GO } from "./go.ts";
import { REGO } from "./rego.ts";
import { RUST } from "./rust.ts";

/** Files that tell a language whose compiler makes {@link MODULE}. */
const SIGNS: readonly (readonly [file: string, commands: readonly string[]])[] = [
  ["Cargo.toml", RUST.commands],
  ["go.mod", GO.commands],
  ["policy.rego", REGO.commands],
];

/**
 * The commands that build the module `name` in its folder; none where nothing is known.
 *
 * @param files the names of the folder's files
 * @param scripted whether its `package.json` has a script `build`
 */
export function buildCommands(
  name: string,
  files: ReadonlySet<string>,
  scripted: boolean,
): readonly string[] {
  if (name === ANNOTATED && files.has(METADATA)) {
    const before = files.has(MODULE) ? [] : buildCommands(MODULE, files, scripted);
    return files.has(MODULE) || before.length > 0 ? [...before, ANNOTATE] : [];
  }
  const source = name.replace(/\.wasm$/, ".ts");
  if (source === name) return [];
  if (name === MODULE && scripted) return ["npm run build"];
  if (files.has(source)) {
    return [`reeve build ${source}${files.has(METADATA) ? ` -m ${METADATA}` : ""}`];
  }
  return name === MODULE ? SIGNS.find(([file]) => files.has(file))?.[1] ?? [] : [];
}
