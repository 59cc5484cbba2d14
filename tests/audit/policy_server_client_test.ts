// How policies are asked: singly, or several in one request where their server says that it takes that, whatever it then does.
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { policyServerClient } from "../../audit/apply/policy_server_client.ts";
import type { Judgement } from "../../audit/types/judgement.ts";
import { reviewOf } from "../policy_server/requests.ts";
import { moduleUrl, serving } from "../policy_server/server_process.ts";

const PLAIN = { verify: true, ca: undefined, certificate: undefined };
const REVIEW = Buffer.from("{}");
const ALLOWED = { response: { uid: "u", allowed: true } };
const LINES = { "content-type": "application/x-ndjson" };
const line = (policy: string, answer: unknown = ALLOWED, status = 200) =>
  `${JSON.stringify({ policy, status, answer })}\n`;

type AskedMany = (response: ServerResponse, policies: readonly string[]) => void;
type Fake = {
  /** The path and query of every request so far. */
  readonly asked: string[];
  readonly url: (id: string) => string;
  /** The same answer for a policy asked alone, and what happens to requests for several. */
  readonly takes: (many: string | undefined, how?: AskedMany) => void;
};

/** A policy server that claims to take several policies, and then does what the test wants. */
async function faking(use: (fake: Fake) => Promise<void>): Promise<void> {
  const asked: string[] = [];
  let header: string | undefined;
  let answerMany: AskedMany = () => {};
  const server = createServer((request, response) => {
    request.resume();
    asked.push(request.url!);
    const url = new URL(request.url!, "http://host");
    if (url.pathname === "/audit") return answerMany(response, url.searchParams.getAll("policy"));
    response.writeHead(200, {
      "content-type": "application/json",
      ...(header === undefined ? {} : { "portreeve-audit-many": header }),
    });
    response.end(JSON.stringify(ALLOWED));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  try {
    await use({
      asked,
      url: (id) => `http://127.0.0.1:${port}/audit/${id}`,
      takes(many, how = (response, policies) => {
        response.writeHead(200, LINES);
        response.end(policies.map((id) => line(id)).join(""));
      }) {
        header = many;
        answerMany = how;
        asked.length = 0;
      },
    });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Asks about `ids` with a client that knows of the server's ways already. */
async function askAll(
  fake: Fake,
  ids: readonly string[],
  { parallel = 10, limitMs = 10_000, times = 1 } = {},
): Promise<Map<string, Judgement>> {
  const client = await policyServerClient(PLAIN, 100, limitMs);
  try {
    await client.ask([fake.url("first")], REVIEW, 1, () => {});
    fake.asked.length = 0;
    const heard = new Map<string, Judgement>();
    for (let time = 0; time < times; time++) {
      heard.clear();
      await client.ask(ids.map(fake.url), REVIEW, parallel, (index, judgement) => {
        assert.not.ok(heard.has(ids[index]!), "told once only");
        heard.set(ids[index]!, judgement);
      });
    }
    return heard;
  } finally {
    await client.close();
  }
}

const outcomes = (heard: Map<string, Judgement>) =>
  Object.fromEntries([...heard].map(([id, { outcome }]) => [id, outcome]));
const messages = (heard: Map<string, Judgement>) =>
  Object.fromEntries([...heard].map(([id, { message }]) => [id, message]));

test("a server that says nothing of it is asked singly, one that does is asked for several at once", () =>
  faking(async (fake) => {
    fake.takes(undefined);
    await askAll(fake, ["a", "b", "c"]);
    assert.equal([...fake.asked].sort(), ["/audit/a", "/audit/b", "/audit/c"]);
    fake.takes("32");
    const heard = await askAll(fake, ["a", "b", "c"]);
    assert.equal(fake.asked, ["/audit?policy=a&policy=b&policy=c"]);
    assert.equal(outcomes(heard), { a: "pass", b: "pass", c: "pass" });
    for (const nonsense of ["", "many", "1", "0", "-5", "NaN"]) {
      fake.takes(nonsense);
      await askAll(fake, ["a", "b"]);
      assert.equal([...fake.asked].sort(), ["/audit/a", "/audit/b"], nonsense);
    }
  }));

test("no request is for more policies than the flags, the server and the length of URLs allow", () =>
  faking(async (fake) => {
    const sizes = () => fake.asked.map((url) => url.split("policy=").length - 1);
    const ids = Array.from({ length: 10 }, (_, index) => `p${index}`);
    fake.takes("32");
    await askAll(fake, ids, { parallel: 4 });
    assert.equal(sizes(), [4, 4, 2]);
    fake.takes("3");
    await askAll(fake, ids);
    assert.equal(sizes(), [3, 3, 3, 1]);
    fake.takes("32");
    await askAll(fake, ids.map((id) => id + "x".repeat(3_000)));
    assert.equal(sizes(), [2, 2, 2, 2, 2]);
    // The same policy twice cannot be told apart in one answer.
    const client = await policyServerClient(PLAIN, 100);
    await client.ask([fake.url("first")], REVIEW, 1, () => {});
    fake.asked.length = 0;
    const heard: number[] = [];
    await client.ask(["a", "b", "a"].map(fake.url), REVIEW, 5, (index) => heard.push(index));
    await client.close();
    assert.equal(fake.asked, ["/audit?policy=a&policy=b", "/audit/a"]);
    assert.equal(heard.sort(), [0, 1, 2]);
  }));

test("each line is one policy's answer, whatever the others got", () =>
  faking(async (fake) => {
    fake.takes("32", (response, policies) => {
      response.writeHead(200, LINES);
      const answers: Record<string, string> = {
        no: line("no", { response: { allowed: false, status: { code: 403, message: "refused" } } }),
        broken: line("broken", { response: { allowed: true, status: { code: 500, message: "it broke" } } }),
        gone: line("gone", { message: "unknown policy: gone", status: 404 }, 404),
        empty: line("empty", {}),
        yes: line("yes"),
      };
      response.end(policies.map((id) => answers[id]).reverse().join(""));
    });
    const heard = await askAll(fake, ["yes", "no", "broken", "gone", "empty"]);
    assert.equal(outcomes(heard), {
      yes: "pass",
      no: "fail",
      broken: "error",
      gone: "error",
      empty: "error",
    });
    const { yes, no, broken, gone, empty } = messages(heard);
    assert.equal([yes, no, broken], [undefined, "refused", "it broke"]);
    assert.is(
      gone,
      `unexpected status code: 404 body: {"message":"unknown policy: gone","status":404}`,
    );
    assert.match(empty!, /it has no response that allows or rejects/);
  }));

test("a server that does not take several after all is asked singly, and not tried again until it says so", () =>
  faking(async (fake) => {
    const refusals: readonly (readonly [status: number, headers: Record<string, string>, body: string])[] = [
      [404, {}, ""],
      [405, {}, ""],
      [500, { "content-type": "application/json" }, "{}"],
      [200, { "content-type": "application/json" }, JSON.stringify(ALLOWED)],
    ];
    for (const [status, headers, body] of refusals) {
      fake.takes("32", (response) => {
        fake.takes(undefined);
        fake.asked.push("several");
        response.writeHead(status, headers);
        response.end(body);
      });
      const heard = await askAll(fake, ["a", "b"], { times: 2 });
      assert.equal(outcomes(heard), { a: "pass", b: "pass" });
      assert.equal(fake.asked.length, 5, fake.asked.join(" "));
      assert.is(fake.asked[0], "several");
    }
  }));

test("what an answer does not tell, in time and in good order, is an error; what it told before stands", () =>
  faking(async (fake) => {
    const rest: readonly (readonly [send: (response: ServerResponse) => void, message: RegExp])[] = [
      [(response) => void response.end(), /\/audit\/b: the answer does not tell of it$/],
      [(response) => void response.end("no JSON\n"), /\/audit\/b: .*JSON/],
      [(response) => void response.end("{}\n"), /\/audit\/b: it has no policy and status$/],
      [(response) => void response.end("null\n"), /\/audit\/b: /],
      [
        (response) => void response.end(line("c")),
        /\/audit\/b: the answer tells of a policy that was not asked, c$/,
      ],
      [
        (response) => void response.end(line("a")),
        /\/audit\/b: the answer tells of a policy that was not asked, a$/,
      ],
      [(response) => void response.end(line("b").trimEnd()), /\/audit\/b: the answer does not tell of it$/],
      [(response) => void response.destroy(), /\/audit\/b: /],
      [() => {}, /\/audit\/b: no answer within 3 s$/],
      [
        (response) =>
          void response.end(line("b", { response: { allowed: true, patch: "x".repeat(5_000_000) } })),
        /\/audit\/b: a line has more than 4194304 characters$/,
      ],
    ];
    for (const [send, message] of rest) {
      fake.takes("32", (response) => {
        response.writeHead(200, LINES);
        response.write(line("a"), () => setTimeout(() => send(response), 50));
      });
      const heard = await askAll(fake, ["a", "b"], { limitMs: 3_000 });
      assert.equal(outcomes(heard), { a: "pass", b: "error" }, String(message));
      assert.match(messages(heard)["b"]!, message);
    }
  }));

test("the project's own policy server answers several at once as it answers each", () =>
  serving({
    policies: Object.fromEntries(
      ["one", "two", "three"].map((id) => [id, {
        module: moduleUrl("policies/required-labels/policy.wasm"),
        settings: { required: [id] },
      }]),
    ),
  }, async (server) => {
    const ca = readFileSync(join(server.folder, "tls.crt"), "utf8");
    const client = await policyServerClient({ ...PLAIN, ca: [ca] }, 100);
    const urls = ["one", "two", "three", "four"].map((id) => `https://localhost:${server.port}/audit/${id}`);
    const object = { metadata: { name: "n", labels: { two: "x" } } };
    const review = Buffer.from(reviewOf({}, { object }));
    const heard: Judgement[] = [];
    for (let time = 0; time < 2; time++) {
      await client.ask(urls, review, 10, (index, judgement) => {
        if (time === 0) heard[index] = judgement;
        else assert.equal(judgement, heard[index]);
      });
    }
    await client.close();
    assert.equal(heard.map(({ outcome }) => outcome), ["fail", "pass", "fail", "error"]);
    await server.logged("finished processing request", 5);
    assert.is(server.lines("finished processing request").length, 5);
  }));

test.run();
