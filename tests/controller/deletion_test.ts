// PolicyServers that go while policies come, and names at the edge of what Kubernetes takes, through a real API server.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VALIDATING } from "../../controller/types/resources.ts";
import { policyId as idOf, type PolicyReference } from "../../crd/types.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import { type Any, type Harness, NAMESPACE, startHarness, startWithWebhooks, until } from "./harness.ts";
import { type Player, startPlayer } from "./player.ts";
import {
  active,
  ap,
  cap,
  condition,
  create,
  get,
  gone,
  isStatus,
  remove,
  server,
  when,
} from "./resources.ts";

type Context = { harness: Harness; player: Player };
const test = suite<Context>("deletion and names", {} as Context);

const policyId = (policy: Any) => idOf(policy as PolicyReference);
const HOLD = "example.org/hold";

if (binariesFolder() === undefined) {
  test.skip(`deletion and names (${HOW_TO_GET_BINARIES})`, () => {});
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

  test("a server goes only after every webhook; policies that arrive meanwhile get none", async ({ harness }) => {
    const held = cap("held", { policyServer: "going" });
    const free = cap("free", { policyServer: "going" });
    await create(harness, server("going"), held, free);
    await active(harness, held);
    await active(harness, free);
    // Somebody else's finalizer keeps one webhook configuration from going.
    await harness.client.patch(VALIDATING, undefined, "kw.cap.held", "merge", {
      metadata: { finalizers: [HOLD] },
    });
    await remove(harness, server("going"));
    const waiting = await when(
      harness,
      server("going"),
      "says what it waits for",
      (found) =>
        condition(found, "PolicyWebhooksCleanedUp")?.message ===
          "Waiting for webhook cleanup of policies: kw.cap.held",
    );
    assert.is(condition(waiting, "PolicyWebhooksCleanedUp").status, "False");
    assert.is(condition(waiting, "PolicyWebhooksCleanedUp").reason, "ReconciliationFailed");
    assert.ok(waiting.metadata.finalizers.length > 0, "its Service must outlive the webhook");
    assert.is(await get(harness, VALIDATING, "kw.cap.free"), undefined);

    const late = [cap("late", { policyServer: "going" }), ap("late", { policyServer: "going" })];
    await create(harness, ...late);
    for (const policy of late) {
      await when(harness, policy, "is scheduled", isStatus("scheduled"));
      assert.is(await get(harness, VALIDATING, policyId(policy)), undefined);
    }

    await harness.client.patch(VALIDATING, undefined, "kw.cap.held", "merge", {
      metadata: { finalizers: null },
    });
    await gone(harness, server("going"));
    assert.is(await get(harness, VALIDATING, "kw.cap.held"), undefined);
    for (const policy of [held, free]) await when(harness, policy, "is scheduled", isStatus("scheduled"));

    await create(harness, server("going"));
    for (const policy of [held, free, ...late]) await active(harness, policy);
  });

  test("policies of one server arrive and leave while it is deleted over and over", async ({ harness }) => {
    const policies = Array.from({ length: 8 }, (_, index) => cap(`busy-${index}`, { policyServer: "busy" }));
    await create(harness, server("busy"), ...policies.slice(0, 4));
    for (let round = 0; round < 3; round++) {
      await remove(harness, server("busy"));
      // In the middle of the deletion: half of them leave, the others come.
      const [leaving, coming] = round % 2 === 0
        ? [policies.slice(0, 4), policies.slice(4)]
        : [policies.slice(4), policies.slice(0, 4)];
      await create(harness, ...coming);
      for (const policy of leaving) await remove(harness, policy);
      await gone(harness, server("busy"));
      for (const policy of policies) {
        assert.is(
          await get(harness, VALIDATING, policyId(policy)),
          undefined,
          "no webhook without its Service",
        );
      }
      for (const policy of leaving) await gone(harness, policy);
      await create(harness, server("busy"));
      for (const policy of coming) await active(harness, policy);
    }
  });

  test("names of 63 characters and with dots", async ({ harness }) => {
    const long = "a".repeat(63);
    const dotted = `${"b".repeat(63)}.${"c".repeat(63)}.d`;
    const longest = "s".repeat(38);
    await create(harness, server(longest));
    const policies = [
      cap(long, { policyServer: longest }),
      cap(dotted, { policyServer: longest }),
      ap(dotted, { policyServer: longest }),
    ];
    await create(harness, ...policies);
    for (const policy of policies) {
      await active(harness, policy);
      assert.ok(await get(harness, VALIDATING, policyId(policy)));
    }
    await when(
      harness,
      server(longest),
      "has its Service",
      (found) => condition(found, "ServiceReconciled")?.status === "True",
    );
    for (const name of ["s".repeat(39), "s".repeat(63), "with.dots"]) {
      const refused = await harness.create(server(name));
      assert.is(refused.kind, "Status");
      assert.is(refused.code, 422);
      assert.match(refused.message, /metadata\.name/);
    }
    for (const policy of policies) {
      await remove(harness, policy);
      await gone(harness, policy);
      await until(
        "its webhook is gone",
        async () => await get(harness, VALIDATING, policyId(policy)) === undefined,
      );
    }
  });
}

test.run();
