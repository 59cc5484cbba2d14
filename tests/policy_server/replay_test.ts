// All recorded answers of the original, asked of the real server over TLS (`tests/vectors`).
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ANSWER_DIFFERENCES } from "./deliberate_differences.ts";
import { bodyOf, comparable, type Recording } from "./replay.ts";
import { client } from "./requests.ts";
import { moduleUrl, serving } from "./server_process.ts";

const vectors = new URL("../vectors/", import.meta.url);
const recordings = readFileSync(new URL("policy-server.jsonl", vectors), "utf8").trimEnd().split("\n").map((
  line,
): Recording => JSON.parse(line));
const policies = readFileSync(new URL("policies.json", vectors), "utf8")
  .replaceAll("@MODULE@", moduleUrl("tests/vectors/verdict-echo.wasm"));

test("numbers agree by value and by form", () => {
  const agree = (a: string, b: string) => comparable(200, `[${a}]`) === comparable(200, `[${b}]`);
  for (
    const [a, b] of [["1.0", "1.00"], ["1.5e3", "1500.0"], ["1e2", "100.0"], ["0.0", "-0.0"], ["10", "10"]]
  ) {
    assert.ok(agree(a!, b!), `${a} and ${b}`);
  }
  for (
    const [a, b] of [["1", "1.0"], ["9007199254740993", "9007199254740992"], ["1.5", "1.25"], ["-1", "1"]]
  ) {
    assert.not.ok(agree(a!, b!), `${a} and ${b}`);
  }
});

test("members, their absence and nulls are told apart; what is free is not", () => {
  const answer = (members: string) => comparable(200, `{"response":{${members}}}`);
  assert.is.not(answer(`"warnings":null`), answer(""));
  const status = (message: string) => answer(`"status":{"message":${JSON.stringify(message)}}`);
  const invalid = "internal server error: invalid response from policy: ";
  assert.is(status(`${invalid}a`), status(`${invalid}b`));
  assert.is.not(status("a"), status("b"));
  const causes = (list: string) => answer(`"status":{"details":{"causes":[${list}]}}`);
  assert.is(causes(`{"message":"a"},{"message":"b"}`), causes(`{"message":"b"},{"message":"a"}`));
  assert.is.not(causes(`{"message":"a"}`), causes(`{"message":"a"},{"message":"a"}`));
  assert.is(comparable(422, "one text"), comparable(422, "another"));
});

test("every recorded answer is given, but for the differences that are listed", () =>
  serving({ policies, flags: ["--policy-timeout", "1", "--workers", "2"] }, async (server) => {
    const connections = client(server);
    const unexpected: string[] = [];
    const counts = new Map(ANSWER_DIFFERENCES.map(({ name }) => [name, 0]));
    const queue = [...recordings];
    await Promise.all(Array.from({ length: 8 }, async () => {
      for (let recording = queue.shift(); recording; recording = queue.shift()) {
        const { method, path, contentType, status, answer } = recording;
        const got = await connections.ask({
          method,
          path,
          body: bodyOf(recording),
          contentType: contentType ?? undefined,
        });
        if (comparable(got.status, got.body) === comparable(status, answer)) continue;
        const known = ANSWER_DIFFERENCES.find((difference) =>
          difference.differs(recording!) && got.status === 200 && difference.answer.test(got.body)
        );
        if (known) counts.set(known.name, counts.get(known.name)! + 1);
        else {
          unexpected.push(
            `${recording.case} ${method} ${path}\n  body     ${recording.body?.slice(0, 300)}\n` +
              `  expected ${status} ${answer.slice(0, 400)}\n  got      ${got.status} ${
                got.body.slice(0, 400)
              }`,
          );
        }
      }
    }));
    connections.close();
    assert.is(unexpected.join("\n"), "");
    assert.is(server.lines(" ERROR ").join("\n"), "");
    for (const { name, count } of ANSWER_DIFFERENCES) assert.is(counts.get(name), count, name);
    assert.is(recordings.length, 1118);
    assert.is(server.stderr(), "");
  }));

test.run();
