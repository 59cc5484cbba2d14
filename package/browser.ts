/**
 * What the evaluator's core has in a browser in the place of the runtime's modules. The verdicts are the same, or there is none:
 * a Rego builtin that would need what a browser lacks ends the evaluation with an error, because neither true nor false would be
 * right.
 */
import type { Plugin } from "esbuild";
import { join, relative } from "node:path";

/** Rego builtins that need keys and certificates, by the files that hold them. */
const KEYS = ["rego_keys", "rego_chains", "rego_tokens", "rego_aws"] as const;

const WITHOUT_KEYS = `
import { halt } from "../render/work.ts";
const refuse = (name) => () => halt(name + ": keys and signatures are not available in a browser");
const table = (names) => Object.fromEntries(names.map((name) => [name, refuse(name)]));
`;

const CRYPTO = `
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
const HASHES = new Map([["md5", md5], ["sha1", sha1], ["sha256", sha256], ["sha384", sha384], ["sha512", sha512]]);
const bytes = (data) => typeof data === "string" ? utf8ToBytes(data) : data;
const wrap = (inner) => {
  const wrapped = {
    update(data) { inner.update(bytes(data)); return wrapped; },
    digest: (encoding) => encoding === "hex" ? bytesToHex(inner.digest()) : inner.digest(),
  };
  return wrapped;
};
export const createHash = (name) => wrap(HASHES.get(name).create());
export const createHmac = (name, key) => wrap(hmac.create(HASHES.get(name), bytes(key)));
export const randomFillSync = (array) => crypto.getRandomValues(array);
export const timingSafeEqual = (a, b) => {
  let difference = 0;
  for (let index = 0; index < a.length; index++) difference |= a[index] ^ b[index];
  return difference === 0;
};
`;

/** As much of Node's Buffer as the core uses. */
const BUFFER = `
const encoder = new TextEncoder();
export const Buffer = {
  byteLength: (text) => encoder.encode(text).length,
  from(data) {
    if (typeof data === "string") return encoder.encode(data);
    const bytes = new Uint8Array(data);
    // Only whether a block is zero is asked.
    bytes.compare = (_other, _start, _end, from, to) => {
      for (let at = from; at < to; at++) if (bytes[at] !== 0) return 1;
      return 0;
    };
    return bytes;
  },
};
`;

const MODULES: Readonly<Record<string, string>> = {
  absent: 'throw new Error("this part is not there in a browser");',
  "node:crypto": CRYPTO,
  "node:buffer": BUFFER,
  "node:process": "export default { emitWarning() {} };",
  "node:fs/promises":
    'export const open = () => Promise.reject(new Error("a browser reads no files: give the bytes, or an http or https URL"));',
};

/** Packages that the core loads. */
const LOADED: ReadonlySet<string> = new Set(["@extism/extism", "re2js"]);

/** Files of the product, from its root, and what takes their place. */
const FILES: Readonly<Record<string, string>> = {
  // A browser collects memories by itself, and has no way to be told to.
  "evaluator/apply/abandoned_memory.ts":
    "export class AbandonedMemory { add() {} due() { return Infinity; } expire() {} async collect() {} }",
  "evaluator/apply/pool.ts": `
    import { PolicyError } from "../../admission/types/policy_error.ts";
    export const DEEP_THREADS = false;
    export class EvaluatorPool {
      constructor() {
        throw new PolicyError("invalid_options", "a browser has no threads to evaluate in: load the policy with threads: 0");
      }
    }`,
  // What would be sealed is copied instead: a browser's cryptography answers later, and its memories hold no cluster.
  "evaluator/apply/seal.ts": "export const filledPages = () => undefined; export class Seal {}",
  "evaluator/apply/worker_url.ts":
    "export const DEFAULT_THREADS = 0; export const workerUrl = () => Promise.resolve(undefined);",
};

/** Names of the builtins in a file's table, as they stand in it. */
async function builtinsOf(
  root: string,
  file: string,
): Promise<readonly [table: string, names: readonly string[]]> {
  const [entry] = Object.entries(await import(join(root, `evaluator/apply/${file}.ts`))).filter(([name]) =>
    name.endsWith("_BUILTINS")
  );
  const [table, builtins] = entry!;
  return [table, Object.keys(builtins as object)];
}

/** Puts a browser's things in the place of a runtime's. Whatever is not listed fails the build. */
export const browserShims = (root: string): Plugin => ({
  name: "browser-shims",
  setup({ onResolve, onLoad }) {
    // What `deps.ts` would load on demand, and nothing here does. It is shaken off.
    onResolve(
      { filter: /^[^./]/ },
      ({ path, kind, importer }) =>
        kind === "dynamic-import" && importer === join(root, "deps.ts") && !LOADED.has(path)
          ? { path: "absent", namespace: "browser", sideEffects: false }
          : undefined,
    );
    onResolve(
      { filter: /^node:/ },
      ({ path }) => Object.hasOwn(MODULES, path) ? { path, namespace: "browser" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "browser" }, ({ path }) => ({
      contents: MODULES[path]!,
      resolveDir: root,
    }));
    onLoad({ filter: /[\\/](evaluator)[\\/].*\.ts$/ }, async ({ path }) => {
      const file = relative(root, path).replaceAll("\\", "/");
      const keys = KEYS.find((name) => file === `evaluator/apply/${name}.ts`);
      if (keys !== undefined) {
        const [table, names] = await builtinsOf(root, keys);
        return {
          contents: `${WITHOUT_KEYS}export const ${table} = table(${JSON.stringify(names)});`,
          loader: "ts",
        };
      }
      return Object.hasOwn(FILES, file) ? { contents: FILES[file]!, loader: "ts" } : undefined;
    });
  },
});
