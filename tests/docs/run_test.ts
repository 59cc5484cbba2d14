// docs/run.md, as somebody follows it in a checkout: the blocks that need no npm.
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import { freePort } from "../artifact/_registry.ts";
import { runPage } from "./_page.ts";

const policies = fileURLToPath(new URL("../../policies", import.meta.url));

test("docs/run.md", async () =>
  await runPage("docs/run.md", {
    instead: { "3000": String(await freePort()) },
    prepare: (folder) => symlinkSync(policies, join(folder, "policies")),
  }));

test.run();
