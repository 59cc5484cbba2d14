/** Gets the bytes of a policy's module (`spec/policy-server.md §3.3`). */
import { readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { osErrorText } from "./os_error.ts";

/** No policy comes near; a module is held in memory twice while it is prepared. */
const MAX_MODULE_BYTES = 256 * 1024 * 1024;

/** Reads the module that `url` names. Throws an Error that says why it can't. */
export async function loadModule(url: string): Promise<Uint8Array> {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(url)?.[1]?.toLowerCase() ?? "registry";
  switch (scheme) {
    case "file":
      return await readModule(fileURLToPath(url));
    case "http":
    case "https":
    case "registry":
      throw new Error(`modules can't be fetched by ${scheme} yet, use file://`);
    default:
      throw new Error(`unknown scheme: ${scheme}`);
  }
}

async function readModule(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > MAX_MODULE_BYTES) {
      throw new Error(`the module has ${size} bytes, the limit is ${MAX_MODULE_BYTES}`);
    }
    return new Uint8Array(await readFile(path));
  } catch (error) {
    throw new Error(osErrorText(error), { cause: error });
  }
}
