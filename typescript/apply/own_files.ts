/** The files that building a policy reads besides the author's: in the sources here, in a build beside its chunks. */
const SOURCES = import.meta.url.endsWith(".ts");

/** The engine (`package/policy_engine/build.ts`). */
export const engineUrl = (): URL => new URL("./engine.wasm", import.meta.url);

/** What stands in front of an author's code (`render/guest.ts`). */
export const guestUrl = (): URL => new URL(SOURCES ? "../render/guest.ts" : "./policy_guest.js", import.meta.url);

/** What policies import as `portreeve/policy`. */
export const sdkUrl = (): URL => new URL(SOURCES ? "../mod.ts" : "./policy_sdk.js", import.meta.url);

/** Its types. */
export const typesUrl = (): URL => new URL(SOURCES ? "../mod.ts" : "./types/typescript/mod.d.ts", import.meta.url);
