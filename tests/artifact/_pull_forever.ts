/** Started by store_test.ts and killed: pulls one policy into a store again and again. */
import process from "node:process";
import { fetchPolicy, NO_SOURCES } from "../../artifact/mod.ts";

const [uri = "", root = ""] = process.argv.slice(2);
const options = {
  sources: { ...NO_SOURCES, insecureSources: new Set([new URL(uri).host]) },
  env: { HOME: root },
};
for (;;) {
  await fetchPolicy(uri, { kind: "store", root }, options);
  process.stdout.write("pulled\n");
}
