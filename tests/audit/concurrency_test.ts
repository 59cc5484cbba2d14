// How much goes on at once: bounds hold, failures give their place back, nothing is begun before its turn.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openGate } from "../../audit/apply/gate.ts";
import { createSlots } from "../../audit/serve/slots.ts";

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

test("a gate lets no more through than it may, also after failures", async () => {
  const gate = openGate({ first: 3, most: 3 });
  let active = 0, highest = 0;
  const done = await Promise.allSettled(Array.from({ length: 40 }, (_, index) =>
    gate.pass(async () => {
      highest = Math.max(highest, ++active);
      await turn();
      active--;
      if (index % 3 === 0) throw new Error("failed");
      return index;
    })));
  assert.is(highest, 3);
  assert.is(done.filter(({ status }) => status === "rejected").length, 14);
  assert.equal(await gate.pass(() => Promise.resolve("still open")), "still open");
});

test("a work of some weight takes as much room, and begins as soon as there is any", async () => {
  const gate = openGate({ first: 6, most: 6 });
  let active = 0, highest = 0, most = 0, together = 0;
  await Promise.all(Array.from({ length: 40 }, (_, index) => {
    const weight = index % 4 === 0 ? 5 : 2;
    return gate.pass(
      async () => {
        assert.ok(active < 6, "there was room");
        highest = Math.max(highest, active += weight);
        most = Math.max(most, ++together);
        await turn();
        active -= weight;
        together--;
      },
      "",
      weight,
    );
  }));
  assert.ok(highest > 6 && highest <= 10, String(highest));
  assert.ok(most <= 3, String(most));
  assert.is(await gate.pass(() => Promise.resolve(1), "", 100), 1);
});

test("a gate opens wider for what is slow by nature, up to its bound", async () => {
  const gate = openGate({ first: 4, most: 20, slowMs: 0 });
  let active = 0, highest = 0;
  await Promise.all(Array.from({ length: 400 }, () =>
    gate.pass(async () => {
      highest = Math.max(highest, ++active);
      await new Promise((resolve) => setTimeout(resolve, 5));
      active--;
    }, "alike")));
  assert.ok(highest > 4 && highest <= 20, String(highest));
});

test("slots begin a work only when there is room, and know when all have ended", async () => {
  const slots = createSlots(2);
  const ends: (() => void)[] = [];
  let begun = 0;
  const feeding = (async () => {
    for (let index = 0; index < 4; index++) {
      await slots.begin(() => {
        begun++;
        return new Promise((resolve) => ends.push(resolve));
      });
    }
  })();
  await turn();
  assert.is(begun, 2);
  ends.shift()!();
  await turn();
  assert.is(begun, 3);
  for (let left = 3; left > 0; left--) {
    ends.shift()!();
    await turn();
  }
  await feeding;
  await slots.drained();
  assert.is(begun, 4);
});

test.run();
