/** Where the worker's code is: beside this file in the sources, beside the bundle in a build. */
export const WORKER_URL: URL = new URL(
  import.meta.url.endsWith(".ts") ? "./worker_entry.ts" : "./worker.js",
  import.meta.url,
);

/** How many threads a policy of the library gets unless told otherwise. A browser has none of this kind (`package/browser.ts`). */
export const DEFAULT_THREADS = 1;

/**
 * The worker's code for programs and for the library. In the npm package it is a `data:` URL, made of a text that the package
 * holds (`build_package.ts` puts another module in the place of this one): a file beside the library would be lost in the
 * bundles that its users make of it.
 */
export const workerUrl = (): Promise<URL> => Promise.resolve(WORKER_URL);
