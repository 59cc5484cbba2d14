/**
 * Which runtimes Portreeve runs on. This file and what imports it before the check are read by runtimes that are too old, so
 * they keep to syntax of 2018 and import nothing else.
 */

/** What a process tells of itself in `process.versions`. */
export type RuntimeVersions = { readonly [name: string]: string | undefined };

/** The oldest releases on which everything works; before 1.4 Bun's TLS servers take no sockets (`http/serve/listener.ts`). */
const MIN_NODE = 24;
const MIN_BUN = "1.4";
const MIN_DENO = "2.9";

function atLeast(version: string, minimum: string): boolean {
  const have = version.split("."), want = minimum.split(".");
  for (let index = 0; index < want.length; index++) {
    const difference = (parseInt(have[index] || "0", 10) || 0) - Number(want[index]);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/**
 * One line that says what `program` needs and how to get it; undefined on a runtime that is supported. The library runs on Deno as
 * well; the programs do not.
 */
export function unsupportedRuntime(
  program: string,
  versions: RuntimeVersions,
  library = false,
): string | undefined {
  const bun = versions["bun"], deno = versions["deno"], node = versions["node"];
  let found: string;
  if (bun !== undefined) {
    if (atLeast(bun, MIN_BUN)) return undefined;
    found = "Bun " + bun;
  } else if (deno !== undefined) {
    if (library && atLeast(deno, MIN_DENO)) return undefined;
    found = "Deno " + deno;
  } else if (node !== undefined) {
    if (atLeast(node, String(MIN_NODE))) return undefined;
    found = "Node " + node;
  } else {
    found = "another runtime";
  }
  return program + " needs Node " + MIN_NODE + " or later (https://nodejs.org/en/download) or Bun " +
    MIN_BUN +
    " or later (https://bun.com/docs/installation)" +
    (library ? " or Deno " + MIN_DENO + " or later (https://docs.deno.com/runtime)" : "") +
    ", and this is " + found;
}
