// A tenant's settings that nest too deeply, through a real API server: refused where the webhook answers; stored while it does not,
// they harm their own policy alone.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { CONFIG_MAPS, VALIDATING } from "../../controller/types/resources.ts";
import { SETTINGS_TOO_DEEP } from "../../crd/mod.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Harness, NAMESPACE, startHarness, startWithWebhooks } from "./harness.ts";
import { type Player, startPlayer } from "./player.ts";
import { active, ap, cap, condition, create, get, isStatus, server, when } from "./resources.ts";

const test = suite<{ harness: Harness; player: Player }>("deep settings", {} as Any);

/** Lists in lists, with a number that must be kept as it is written. */
const nested = (levels: number): Any => {
  let value: Any = 1.5;
  for (let level = 1; level < levels; level++) value = [value];
  return { a: value };
};

if (binariesFolder() === undefined) {
  test.skip(`deep settings in a cluster (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  test.before(async (context) => {
    context.harness = await startHarness();
    context.player = await startPlayer(context.harness.plane.admin, NAMESPACE);
    await startWithWebhooks(context.harness);
  });
  test.after(async ({ harness, player }) => {
    await player?.stop();
    await harness?.stop();
  });

  test("they are refused as far as settings may not be read", async ({ harness }) => {
    await create(harness, ap("allowed", { policyServer: "none", settings: nested(100) }));
    for (const levels of [101, 4_000]) {
      const answer = await harness.create(ap("refused", { policyServer: "none", settings: nested(levels) }));
      assert.is(answer.code, 422, answer.message);
      assert.match(answer.message, `spec.settings: Forbidden: ${SETTINGS_TOO_DEEP}`);
    }
  });

  test("where they were stored all the same, policies of the server's other users come and go", async ({ harness }) => {
    const name = "kubewarden-controller-validating-webhook-configuration";
    await harness.client.remove(VALIDATING, undefined, name);
    const hostile = [129, 4_000].map((levels) =>
      ap(`deep-${levels}`, { policyServer: "shared", settings: nested(levels) })
    );
    for (const policy of hostile) {
      // The API server may go on asking a webhook for a moment.
      let answer: Any;
      do answer = await harness.create(policy); while (answer.code === 422);
      assert.is(answer.kind, policy.kind, answer.message);
    }
    const other = cap("other", { policyServer: "shared", settings: { a: 1 } });
    await create(harness, server("shared"), other);
    await active(harness, other);
    for (const policy of hostile) {
      const found = await when(harness, policy, "says why", (seen) => condition(seen, "PolicyLoaded"));
      assert.is(condition(found, "PolicyLoaded").message, `spec.settings ${SETTINGS_TOO_DEEP}`);
      assert.ok(isStatus("pending")(found));
    }
    const file = (await get(harness, CONFIG_MAPS, "policy-server-shared")).data["policies.yml"];
    assert.equal(Object.keys(JSON.parse(file)), ["kw.cap.other"]);
    const later = ap("later", { policyServer: "shared" });
    await create(harness, later);
    await active(harness, later);
  });
}

test.run();
