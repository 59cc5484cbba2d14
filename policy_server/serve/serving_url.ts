/** Where the code of serving threads is: beside this file in the sources, beside the bundle in a build. */
export const SERVING_URL: URL = new URL(
  import.meta.url.endsWith(".ts") ? "./serving_entry.ts" : "./serving.js",
  import.meta.url,
);
