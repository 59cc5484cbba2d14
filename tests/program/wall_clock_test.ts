// Times of day that are shown or sent follow the system's clock when it is set.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fineClock } from "../../program/apply/wall_clock.ts";
import { ROOMS } from "../floors.ts";

test("timestamps follow the system's clock when it is set, and are fine in between", () => {
  let wall = 1_000_000, even = 50;
  const pass = (ms: number, step = 0) => {
    even += ms;
    wall += ms + step;
  };
  const clock = fineClock(() => Math.floor(wall), () => even);
  assert.is(clock(), 1_000_000);
  pass(0.25);
  assert.is(clock(), 1_000_000.25);
  for (const step of [3_600_000, -7_200_000, 25, -25]) {
    pass(10, step);
    assert.ok(Math.abs(clock() - wall) <= 1, `after a step of ${step} ms`);
    pass(0.5);
    assert.ok(Math.abs(clock() - wall) <= 1, `after a step of ${step} ms`);
  }
});

test("no other file counts the time of day from the start of the process", () => {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const found = Object.keys(ROOMS).flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.includes("node_modules"))
      .map((file) => join(room, file))
      .filter((file) => /timeOrigin/.test(readFileSync(join(root, file), "utf8")))
  );
  assert.equal(found, ["program/apply/wall_clock.ts"]);
});

test.run();
