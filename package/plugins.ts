/** What esbuild is told of packages whose code can't be bundled as it is (`build.ts`, `package/build.ts`). */
import type { Plugin } from "esbuild";
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";

/** Extism names the runtime's own WASI in a static import, though guests here never get it (`deps.ts`). */
export const withoutWasi: Plugin = {
  name: "without-wasi",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?wasi$/ }, () => ({ path: "wasi", namespace: "without-wasi" }));
    onLoad({ filter: /.*/, namespace: "without-wasi" }, () => ({
      contents:
        "export class WASI { constructor() { throw new Error('the runtime\\'s own WASI is not used'); } }",
    }));
  },
};

/**
 * An `import` of `node:http` reads all its members, one of which loads the whole of Node's fetch: 60 ms of processor time at every
 * start, for a client that few commands use. Taken as an object, it costs nothing.
 */
export const unreadHttp: Plugin = {
  name: "unread-http",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, () => ({ path: "http", namespace: "unread-http" }));
    onLoad({ filter: /.*/, namespace: "unread-http" }, () => ({
      contents: 'module.exports = process.getBuiltinModule("node:http");',
    }));
  },
};

/** Tinypool's threads are for programs that stand alone (`evaluator/apply/thread.ts`): what others bundle does not hold it. */
export const withoutPool: Plugin = {
  name: "without-pool",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^tinypool$/ }, () => ({ path: "tinypool", namespace: "without-pool" }));
    onLoad({ filter: /.*/, namespace: "without-pool" }, () => ({
      contents:
        "export class Tinypool { constructor() { throw new Error('this build has no pool of threads'); } }",
    }));
  },
};

/** What `deps.ts` re-exports at once: `export { a as b } from "package"`. */
const RE_EXPORT = /^export \{([^}]*)\} from "([^"]+)";\n/gm;
/** A file's import of values from `deps.ts`. */
const DEPS_IMPORT = /^import \{([^}]*)\} from "(?:\.\.?\/)+deps\.ts";$/gm;

const entriesOf = (list: string) =>
  list.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
const partsOf = (entry: string) => /^(?:type\s+)?(\S+)(?:\s+as\s+(\S+))?$/.exec(entry)!;

/**
 * Has files import from packages what `deps.ts` re-exports. A bundle that is split would load all of these packages with whatever
 * part imports any name of `deps.ts`.
 */
export const directPackages = (root: string): Plugin => {
  const deps = join(root, "deps.ts");
  const text = readFileSync(deps, "utf8");
  const origin = new Map<string, { readonly name: string; readonly from: string }>();
  for (const [, list, from] of text.matchAll(RE_EXPORT)) {
    for (const entry of entriesOf(list!)) {
      const [, name, as] = partsOf(entry);
      origin.set(as ?? name!, { name: name!, from: from! });
    }
  }
  return {
    name: "direct-packages",
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/, namespace: "file" }, ({ path }) => {
        const source = readFileSync(path, "utf8");
        if (path === deps) return { contents: source.replace(RE_EXPORT, ""), loader: "ts" };
        const contents = source.replace(DEPS_IMPORT, (statement, list: string) => {
          const specifier = /"[^"]+"/.exec(statement)![0];
          return entriesOf(list).map((entry) => {
            const [, name, as] = partsOf(entry);
            const found = origin.get(name!);
            return found === undefined
              ? `import { ${entry} } from ${specifier};`
              : `import { ${found.name} as ${as ?? name} } from "${found.from}";`;
            // On one line, so that lines keep their numbers.
          }).join(" ") + "\n".repeat(statement.split("\n").length - 1);
        });
        return contents === source ? undefined : { contents, loader: "ts" };
      });
    },
  };
};

const BUILTIN = new Set(builtinModules.map((name) => name.replace(/^node:/, "")));

/**
 * CommonJS packages `require` the runtime's modules, for which an ES module would have to make a `require` of its own: of
 * `import.meta.url`, which is not there in what bundlers turn into CommonJS. `getter` is an expression that gives a module by name.
 */
export const requiredBuiltins = (getter: string): Plugin => ({
  name: "required-builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[a-z:_/0-9]+$/ }, ({ path, kind }) => {
      const name = path.replace(/^node:/, "");
      if (kind !== "require-call" || !BUILTIN.has(name)) return undefined;
      return { path: name, namespace: "required-builtin" };
    });
    onLoad({ filter: /.*/, namespace: "required-builtin" }, ({ path }) => ({
      contents: `module.exports = ${getter}(${JSON.stringify(`node:${path}`)});`,
    }));
  },
});

/** What is used of packages that come as a whole otherwise, by the names of the packages. */
const LEAN: Readonly<Record<string, (folder: string) => string>> = {
  // Its dispatchers, and `request` as its front door has it, for a given dispatcher. Not its fetch, caches and mocks.
  undici: (folder) => {
    const required = (file: string) => `require(${JSON.stringify(join(folder, "lib", file))})`;
    return `
      export const Agent = ${required("dispatcher/agent.js")};
      export const Client = ${required("dispatcher/client.js")};
      export const ProxyAgent = ${required("dispatcher/proxy-agent.js")};
      export const EnvHttpProxyAgent = ${required("dispatcher/env-http-proxy-agent.js")};
      const send = ${required("api/api-request.js")};
      export const request = (url, { dispatcher, ...options }) => {
        const { origin, pathname, search } = new URL(url);
        return send.call(dispatcher, { ...options, origin, path: pathname + search });
      };`;
  },
};

/** Takes the parts of packages that are used. */
export const leanPackages = (root: string): Plugin => ({
  name: "lean-packages",
  setup({ onResolve, onLoad }) {
    // undici's second parser of HTTP, which only the variable UNDICI_USE_MILO turns on.
    onLoad({ filter: /[\\/]undici[\\/]lib[\\/]milo[\\/]/ }, () => ({
      contents: 'throw new Error("UNDICI_USE_MILO: this parser is no part of portreeve");',
    }));
    onResolve({ filter: /^undici$/ }, ({ path }) => ({ path, namespace: "lean" }));
    onLoad({ filter: /.*/, namespace: "lean" }, ({ path }) => ({
      contents: LEAN[path]!(join(root, "node_modules", path)),
      resolveDir: root,
    }));
  },
});
