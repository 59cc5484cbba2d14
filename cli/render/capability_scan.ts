/** Which host capabilities a module seems to use: their names are in its data (`spec/cli.md §15` rule 7). */
import { Reader, SECTION, sections } from "../../evaluator/render/wasm_binary.ts";
import { skipImmediate } from "../../evaluator/render/wasm_instructions.ts";
import { allows, parseCapabilities } from "../../evaluator/types/host_capabilities.ts";

/** Namespace and operation of each capability. */
const CAPABILITIES: readonly (readonly [namespace: string, operation: string])[] = [
  ["crypto", "v1/is_certificate_trusted"],
  ["kubernetes", "can_i"],
  ["kubernetes", "get_resource"],
  ["kubernetes", "list_resources_all"],
  ["kubernetes", "list_resources_by_namespace"],
  ["net", "v1/dns_lookup_host"],
  ["oci", "v1/manifest_digest"],
  ["oci", "v1/oci_manifest"],
  ["oci", "v1/oci_manifest_config"],
  ["oci", "v1/verify"],
  ["oci", "v2/verify"],
];

/** What is wrong with a pattern; undefined if nothing is. */
export function isCapabilityPattern(pattern: string): string | undefined {
  const list = parseCapabilities([pattern]);
  return typeof list === "string" ? list : undefined;
}

/** The data segments as one text, a character a byte, each followed by a byte that no name has. */
function dataOf(module: Uint8Array): string {
  const section = sections(module).find(({ id }) => id === SECTION.data);
  if (section === undefined) return "";
  const reader = new Reader(module, section.start, section.end);
  const decoder = new TextDecoder("latin1");
  let text = "";
  for (let count = reader.u32(); count > 0; count--) {
    const flags = reader.u32();
    if (flags === 2) reader.u32();
    if (flags !== 1) {
      for (let opcode = reader.u8(); opcode !== 0x0b; opcode = reader.u8()) skipImmediate(opcode, reader);
    }
    const length = reader.u32();
    const start = reader.at;
    reader.skip(length);
    text += `${decoder.decode(module.subarray(start, reader.at))}\u00ff`;
  }
  return text;
}

/** Whether a name occurs otherwise than as the beginning of a longer one. */
function occurs(data: string, name: string, longer: readonly string[]): boolean {
  for (let at = data.indexOf(name); at >= 0; at = data.indexOf(name, at + 1)) {
    if (!longer.some((one) => data.startsWith(one, at))) return true;
  }
  return false;
}

/** The capabilities whose names a module holds, sorted. */
export function usedCapabilities(module: Uint8Array): readonly string[] {
  const data = dataOf(module);
  const operations = CAPABILITIES.map(([, operation]) => operation);
  return CAPABILITIES.filter(([namespace, operation]) => {
    const longer = operations.filter((other) => other !== operation && other.startsWith(operation));
    return data.includes(namespace) && occurs(data, operation, longer);
  }).map(([namespace, operation]) => `${namespace}/${operation}`);
}

/** What a module uses that its metadata does not declare, and what it declares without a trace of it. */
export function capabilityDifferences(
  used: readonly string[],
  declared: readonly string[],
): { readonly undeclared: readonly string[]; readonly unused: readonly string[] } {
  const list = parseCapabilities(declared);
  if (typeof list === "string") return { undeclared: used, unused: declared };
  const covers = (pattern: string) => {
    const one = parseCapabilities([pattern]);
    return typeof one !== "string" && used.some((path) => allows(one, path));
  };
  return {
    undeclared: used.filter((path) => !allows(list, path)),
    unused: declared.filter((pattern) => !covers(pattern)),
  };
}
