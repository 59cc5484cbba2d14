// Which worker takes which task: tables of what the workers have, and what comes of it.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Turn, type WorkerLimits, type WorkerLoad } from "../../evaluator/render/schedule.ts";

const NOW = 10_000;
/** Policies. */
const A = 1, B = 2, C = 3;
/** Two threads for each policy, and one besides that nothing slow takes. */
const LIMITS: WorkerLimits = { most: 2, spares: 1 };

type Load = { -readonly [K in keyof WorkerLoad]: WorkerLoad[K] } & { readonly tasksOf: Map<number, number> };

const worker = (load: Partial<WorkerLoad> = {}): Load => ({
  ready: true,
  free: load.busySince === undefined,
  busySince: undefined,
  busyWith: undefined,
  slow: 0,
  backlogMs: 0,
  extra: false,
  ...load,
  tasksOf: new Map(load.tasksOf),
});
const idle = () => worker();
/** Has tasks of a policy that take so long all together. */
const has = (policy: number, backlogMs: number, more: Partial<WorkerLoad> = {}) =>
  worker({ tasksOf: new Map([[policy, 1]]), backlogMs, ...more });
/** Has been busy with a policy for so long. */
const busy = (policy: number, ms = 10, more: Partial<WorkerLoad> = {}) =>
  has(policy, 1, { busySince: NOW - ms, busyWith: policy, slow: 1, ...more });
const extra = { extra: true };

/** The workers, the policies whose tasks come, and which worker each task gets; undefined: it waits. */
const CASES: readonly (readonly [
  what: string,
  workers: readonly Load[],
  tasks: readonly (readonly [policy: number, slow?: "slow"])[],
  taken: readonly (number | undefined)[],
  limits?: WorkerLimits,
])[] = [
  ["the first worker has room", [idle(), idle(), idle()], [[A], [B], [C]], [0, 0, 0]],
  ["the first worker is full", [has(A, 2), idle(), idle()], [[A], [B]], [1, 1]],
  ["all are full: the one with the least to do", [has(A, 4), has(A, 3), has(B, 5)], [[C]], [1]],
  ["a policy has as many workers as it may have", [has(A, 4), has(A, 3), idle()], [[A], [B]], [1, 2]],
  ["nothing quick joins what is slow", [has(A, 1, { slow: 1 }), idle(), idle()], [[B]], [1]],
  ["a busy worker takes nothing", [busy(A), idle(), idle()], [[B]], [1]],
  [
    "a worker that is about to say that it is busy takes nothing",
    [
      worker({ free: false }),
      idle(),
      idle(),
    ],
    [[B]],
    [1],
  ],
  ["all are busy", [busy(A), busy(B), busy(C)], [[A], [B]], [undefined, undefined]],
  ["a slow policy gets a worker of its own", [idle(), idle(), idle()], [[A, "slow"]], [0]],
  ["… and another for its next task", [has(A, 5, { slow: 1 }), idle(), idle()], [[A, "slow"]], [1]],
  [
    "slow policies never take the last worker",
    [
      has(A, 5, { slow: 1 }),
      has(A, 6, { slow: 1 }),
      idle(),
    ],
    [[B, "slow"], [C]],
    [0, 2],
  ],
  [
    "slow policies share their workers where those have nothing to do",
    [
      worker({ slow: 1 }),
      idle(),
      idle(),
    ],
    [[B, "slow"]],
    [0],
  ],
  ["the last worker is no slow policy's even if the others are busy", [busy(A), busy(A), idle()], [
    [B, "slow"],
    [C],
  ], [undefined, 2]],
  ["what was given to a slow policy before counts as taken", [has(A, 1), has(A, 1), idle()], [
    [A, "slow"],
  ], [undefined]],
  ["without a spare one a slow policy has all of them", [busy(A), idle()], [[A, "slow"]], [1], {
    most: 2,
    spares: 0,
  }],
  ["what comes behind a task that waits waits, too", [busy(A), busy(A), idle()], [
    [A, "slow"],
    [A],
    [B],
  ], [undefined, undefined, 2]],
  ["extra workers are for what has no other", [has(A, 9), busy(B), busy(C), worker(extra)], [
    [A, "slow"],
    [1000 + A, "slow"],
  ], [undefined, 3]],
  ["quick policies leave extra workers alone", [has(A, 9), busy(B), busy(C), worker(extra)], [[1000]], [0]],
  ["… unless all others are held up", [busy(A, 50), busy(B, 50), busy(C, 50), worker(extra)], [[1000]], [3]],
  ["… for long enough", [busy(A, 50), busy(B, 49), busy(C, 50), worker(extra)], [[1000]], [undefined]],
];

for (const [what, workers, tasks, taken, limits = LIMITS] of CASES) {
  test(`${what}: ${taken.map((index) => index ?? "waits").join(", ")}`, () => {
    const turn = new Turn(workers, limits, NOW);
    const found = tasks.map(([policy, slow]) => {
      const given = turn.workerFor(policy, slow !== undefined);
      return given && workers.indexOf(given);
    });
    assert.equal(found, taken);
  });
}

/** The workers, the policies that ask, all of them slow or none, and whether a worker is opened for them. */
const RELIEF: readonly (readonly [
  what: string,
  workers: readonly Load[],
  policies: readonly number[],
  slow: boolean,
  relief: "none" | "later" | "now",
])[] = [
  ["nothing waits", [idle(), idle(), idle()], [A], false, "none"],
  ["what waits has a worker", [busy(A, 99), busy(B, 99), busy(C, 99)], [A, B], false, "none"],
  ["all are held up", [busy(A, 50), busy(A, 50), busy(A, 50)], [B], false, "now"],
  ["not all for long enough", [busy(A, 50), busy(A, 50), busy(A, 49)], [B], false, "later"],
  ["a slow policy has no use for the last one", [busy(A, 50), busy(A, 50), idle()], [B], true, "now"],
  ["a slow policy can wait for one", [busy(A, 50), busy(A, 49), idle()], [B], true, "later"],
  [
    "one is being opened",
    [busy(A, 99), busy(A, 99), busy(A, 99), worker({ ...extra, free: false, ready: false })],
    [
      B,
    ],
    false,
    "none",
  ],
  ["there are twice as many already", Array.from({ length: 6 }, () => busy(A, 99)), [B], false, "none"],
  ["one is being replaced", [busy(A, 99), busy(A, 99)], [B], false, "none"],
];

for (const [what, workers, policies, slow, relief] of RELIEF) {
  test(`another worker: ${what}: ${relief}`, () => {
    const turn = new Turn(workers, LIMITS, NOW);
    for (const policy of policies) turn.workerFor(policy, slow);
    assert.is(turn.relief, relief);
  });
}

test("what a worker is given shows in what the next task gets", () => {
  const workers = [idle(), idle(), idle()];
  const turn = new Turn(workers, LIMITS, NOW);
  const taken = [A, A, A, B, B, C].map((policy) => {
    const given = turn.workerFor(policy, false)!;
    given.tasksOf.set(policy, (given.tasksOf.get(policy) ?? 0) + 1);
    given.backlogMs += 1;
    return workers.indexOf(given);
  });
  assert.equal(taken, [0, 0, 1, 1, 2, 2]);
});

test("while workers are busy, policies that have none come first", () => {
  const tasks = [A, B, A, C, B].map((policy, place) => ({ policy, place }));
  const places = (workers: readonly Load[]) =>
    new Turn(workers, LIMITS, NOW).inOrder(tasks).map(({ place }) => place);
  assert.equal(places([busy(A), idle(), idle()]), [1, 3, 4, 0, 2]);
  assert.equal(places([busy(A), has(B, 1), idle()]), [3, 0, 1, 2, 4]);
  assert.equal(places([has(A, 1), has(B, 1), idle()]), [0, 1, 2, 3, 4]);
});

test("a policy counts as busy as long as it keeps a worker so", () => {
  const turn = new Turn([busy(A), has(B, 1), idle()], LIMITS, NOW);
  assert.equal([A, B, C].map((policy) => turn.isBusyWith(policy)), [true, false, false]);
});

test.run();
