/** What esbuild is told of packages whose code can't be bundled as it is (`build.ts`, `package/build.ts`). */
import type { Plugin } from "esbuild";
import { builtinModules } from "node:module";

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
