// Bundled by `loaders_test.ts`, or run as it is: calls every loader of `deps.ts` and prints the names that each gives.
import * as deps from "../deps.ts";

const names: { [loader: string]: readonly string[] } = {};
for (const [loader, load] of Object.entries(deps)) {
  if (!loader.startsWith("load")) continue;
  names[loader] = Object.keys(await (load as () => Promise<object>)());
}
console.log(JSON.stringify(names));
// What some packages start, such as timers, must not keep this process.
process.exit(0);
