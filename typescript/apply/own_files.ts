import { fileURLToPath } from "node:url";

/**
 * The files that building a policy reads besides the author's: in the sources here, in a build in a folder `policy` of it
 * (`package/policy_kit.ts`).
 */
const HERE = import.meta.url;
/** Chunks of the npm package have a folder of their own. */
const BUILD = /\/chunks\/[^/]*$/.test(HERE) ? "../" : "./";

const ownFile = (source: string, built: string) =>
  new URL(HERE.endsWith("/typescript/apply/own_files.ts") ? source : BUILD + built, HERE);

/** The engine (`package/policy_engine/build.ts`); compressed in a build. */
export const engineUrl = (): URL => ownFile("./engine.wasm", "policy/engine.wasm.br");

/** What stands in front of an author's code (`render/guest.ts`). */
export const guestUrl = (): URL => ownFile("../render/guest.ts", "policy/guest.js");

/** What policies import as `portreeve/policy`. */
export const sdkUrl = (): URL => ownFile("../mod.ts", "policy/mod.js");

/** Its types. */
export const typesUrl = (): URL => ownFile("../mod.ts", "policy/types/typescript/mod.d.ts");

/** Folders of what policies are made of besides their author's files. */
export const ownFolders = (): readonly string[] =>
  HERE.endsWith("/typescript/apply/own_files.ts")
    ? ["../", "../../program/"].map((folder) => fileURLToPath(new URL(folder, HERE)))
    : [fileURLToPath(new URL(`${BUILD}policy/`, HERE))];
