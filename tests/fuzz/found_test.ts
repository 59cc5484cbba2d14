// What the fuzzer has found stays found: `found/TARGET/` holds an input of each fault. Those that `open_findings.ts` names must still
// show their fault, so that who mends one takes it off the list; all others must show none.
import { readdirSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { endWatch, execute } from "./execute.ts";
import { OPEN_FINDINGS } from "./open_findings.ts";
import { runtimeName } from "./tally.ts";
import { loadTarget } from "./targets.ts";

const folder = new URL("./found/", import.meta.url);
const files = readdirSync(folder).sort().flatMap((target) =>
  readdirSync(new URL(`${target}/`, folder)).sort().map((file) => `${target}/${file}`)
);

/** Why a target can't run here. */
const reasons = new Map<string, string>();
for (const name of new Set(files.map((file) => file.split("/")[0]!))) {
  const reason = await (await loadTarget(name)).setUp?.();
  if (reason) reasons.set(name, reason);
}

for (const file of files) {
  const [name = ""] = file.split("/");
  const reason = reasons.get(name);
  const open = OPEN_FINDINGS.find((finding) => finding.files.includes(file));
  if (reason !== undefined) {
    test.skip(`${file}: ${reason}`, () => {});
    continue;
  }
  test(open ? `${file} (open: ${open.what})` : file, async () => {
    const target = await loadTarget(name);
    const outcome = await execute(target, readFileSync(new URL(file, folder)));
    const shown = typeof outcome === "object" ? outcome.signature : "";
    const mustShow = open !== undefined && !open.unsteady && (open.on ?? runtimeName()) === runtimeName();
    if (mustShow) {
      assert.ok(shown !== "", "it shows no fault any more: take it off tests/fuzz/open_findings.ts");
    }
    // A guest that is refused for its size says nothing about prices.
    if (name === "deadlines" && shown === "") assert.is(outcome, "accepted");
    if (shown !== "") {
      assert.ok(open?.signatures.some((known) => shown.startsWith(known)), `it shows: ${shown}`);
    }
  });
}

test("every open finding has an input that shows it", () => {
  for (const open of OPEN_FINDINGS) for (const file of open.files) assert.ok(files.includes(file), file);
});

test.after(endWatch);
test.run();
