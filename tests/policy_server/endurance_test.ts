// Ten thousand requests, among them all ways in which a policy can go wrong: every good answer is right, what a policy took is
// given back, and no thread is lost. And a policy that never ends, while others serve.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { client, reviewOf } from "./requests.ts";
import { moduleUrl, type ServerProcess, serving } from "./server_process.ts";

const INTERRUPTED = "Policy execution interrupted because it exceeded the allowed execution time";
/** Of 2,000 requests. A leak of 6 KiB a request never settles. */
const [LEAST_BLOCKS, MOST_BLOCKS, SETTLED_MIB] = [5, 12, 25];
const CALL_FAILURE = /^internal server error: Guest call failure: /;
const INVALID = /^internal server error: invalid response from policy: /;

/** One request and what has to come back. */
interface Shot {
  readonly path: string;
  readonly body: string;
  readonly allowed: boolean;
  readonly message: RegExp | string | undefined;
}

const bad = (
  policy: string,
  annotations: Readonly<Record<string, string>>,
  message: RegExp | string,
): Shot => ({
  path: `/validate/${policy}`,
  body: reviewOf(annotations),
  allowed: false,
  message,
});

/** What goes wrong, one after the other; the first ones cost their policy's whole time. */
const BAD: readonly Shot[] = [
  bad("loop", { do: "tight" }, INTERRUPTED),
  bad("loop", { do: "host-calls" }, INTERRUPTED),
  ...["unreachable", "panic", "signature", "out-of-bounds", "exit", "abort", "error", "error-then-trap"].map((
    way,
  ) => bad("trap", { do: way }, CALL_FAILURE)),
  bad("memory", { do: "allocate" }, CALL_FAILURE),
  bad("memory", { do: "trap" }, CALL_FAILURE),
  ...["empty", "text", "trailing", "invalid-utf8", "deep", "megabytes"].map((way) =>
    bad("garbage", { do: way }, INVALID)
  ),
  ...["response-nowhere", "request-to-nowhere", "host-call-nowhere"].map((way) =>
    bad("garbage", { do: way }, CALL_FAILURE)
  ),
  bad("loop", { do: "recurse" }, CALL_FAILURE),
];

const containers = (privileged: boolean) => ({
  object: {
    metadata: {},
    spec: { containers: [{ name: "c", image: "i", securityContext: { privileged } }] },
  },
});

function good(index: number): Shot {
  switch (index % 4) {
    case 0:
      return {
        path: "/validate/good",
        body: reviewOf({}, containers(false)),
        allowed: true,
        message: undefined,
      };
    case 1:
      return {
        path: "/validate/good",
        body: reviewOf({}, containers(true)),
        allowed: false,
        message: "Privileged container is not allowed",
      };
    case 2:
      return {
        path: "/validate/leaky",
        body: reviewOf({}, { uid: `the uid of request ${index}` }),
        allowed: true,
        message: "nothing is left",
      };
    default:
      if (index % 10 !== 3) return good(index - 1);
      return {
        path: "/validate/memory",
        body: reviewOf({ do: "grow", megabytes: "6" }),
        allowed: true,
        message: /^grew by 96 pages$/,
      };
  }
}

const residentMib = (server: ServerProcess) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))![1]) / 1024;

test("after ten thousand mixed requests every good answer was right, and memory has stopped growing", () =>
  serving({
    policies: {
      good: { module: moduleUrl("policies/pod-privileged/policy.wasm") },
      leaky: { module: moduleUrl("tests/policies/leaky-state/policy.wasm") },
      loop: { module: moduleUrl("tests/policies/loop/policy.wasm"), timeoutEvalSeconds: 1 },
      trap: { module: moduleUrl("tests/policies/trap/policy.wasm") },
      memory: { module: moduleUrl("tests/policies/exhaust-memory/policy.wasm") },
      garbage: { module: moduleUrl("tests/policies/garbage/policy.wasm") },
    },
    flags: [
      "--policy-memory-limit-mib",
      "48",
      "--policy-timeout",
      "20",
      "--workers",
      "2",
      "--log-level",
      "info",
    ],
  }, async (server) => {
    const connections = client(server, { connections: 16 });
    const wrong: string[] = [];
    const shoot = async ({ path, body, allowed, message }: Shot) => {
      const answer = await connections.ask({ path, body });
      const { response } = answer.status === 200 ? JSON.parse(answer.body) : { response: {} };
      const found = response.status?.message;
      const fits = message instanceof RegExp ? message.test(found) : message === found;
      if (response.allowed !== allowed || !fits) {
        wrong.push(`${path} ${body.slice(-200)}: ${answer.status} ${answer.body.slice(0, 300)}`);
      }
    };
    /** A tenth is bad; of the bad ones that take a second only one a block. */
    const block = async (size: number) => {
      const shots = Array.from(
        { length: size },
        (_, index) =>
          index === 0
            ? BAD[0]!
            : index === 1
            ? BAD[1]!
            : index % 10 === 0
            ? BAD[2 + (index / 10) % (BAD.length - 2)]!
            : good(index),
      );
      await Promise.all(Array.from({ length: 16 }, async () => {
        for (let shot = shots.shift(); shot; shot = shots.shift()) await shoot(shot);
      }));
      return residentMib(server);
    };
    const plateaus: number[] = [];
    /** Two blocks in a row that need no more than those before; runtimes take memory in steps, at times of their choice. */
    const settled = () => Math.max(...plateaus.slice(-2)) < Math.max(...plateaus.slice(0, -2)) + SETTLED_MIB;
    while (plateaus.length < LEAST_BLOCKS || (!settled() && plateaus.length < MOST_BLOCKS)) {
      plateaus.push(await block(2_000));
    }
    connections.close();
    assert.is(wrong.slice(0, 5).join("\n"), "", `${wrong.length} wrong`);
    assert.equal(server.lines("an evaluating thread was replaced"), []);
    assert.ok(settled(), `resident MiB after each block of 2,000: ${plateaus.map(Math.round).join(", ")}`);
    assert.is(server.stderr(), "");
  }));

test("while policies loop for ever, other requests all succeed; the loops are cut and told so", () =>
  serving({
    policies: {
      good: { module: moduleUrl("policies/pod-privileged/policy.wasm") },
      loop: { module: moduleUrl("tests/policies/loop/policy.wasm") },
    },
    flags: ["--policy-timeout", "2", "--workers", "2"],
  }, async (server) => {
    const connections = client(server, { connections: 12 });
    const expected = good(1);
    let cut = 0;
    const loops = ["tight", "busy", "fill"].map((way) =>
      connections.ask({ path: "/validate/loop", body: reviewOf({ do: way }) }).then(({ body }) => {
        cut++;
        return JSON.parse(body).response.status.message;
      })
    );
    let answered = 0, whileLooping = 0;
    await Promise.all(Array.from({ length: 8 }, async () => {
      while (answered++ < 1_000) {
        const { status, body } = await connections.ask(expected);
        assert.is(status, 200);
        assert.is(JSON.parse(body).response.status.message, expected.message);
        if (cut === 0) whileLooping++;
      }
    }));
    assert.ok(whileLooping > 20, `${whileLooping} answers before the first loop was cut`);
    assert.equal(await Promise.all(loops), [INTERRUPTED, INTERRUPTED, INTERRUPTED]);
    assert.equal(server.lines("an evaluating thread was replaced"), []);
    connections.close();
  }));

test.run();
