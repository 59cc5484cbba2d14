/** Where the worker's code is: beside this file in the sources, beside the bundle in a build. */
export const WORKER_URL: URL = new URL(
  import.meta.url.endsWith(".ts") ? "./worker_entry.ts" : "./worker.js",
  import.meta.url,
);
