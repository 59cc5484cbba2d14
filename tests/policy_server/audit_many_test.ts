// One review for several policies (docs/audit_scanner.md): every policy's line is what it would have answered alone.
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bodyOf, comparable, type Recording } from "./replay.ts";
import { ask, client, connectRaw, reviewOf } from "./requests.ts";
import { moduleUrl, serving, until } from "./server_process.ts";

const MANY = "portreeve-audit-many";
const vectors = new URL("../vectors/", import.meta.url);
const echo = moduleUrl("tests/vectors/verdict-echo.wasm");
const PRIVILEGED = { module: moduleUrl("policies/pod-privileged/policy.wasm") };
const LOOP = { module: moduleUrl("tests/policies/loop/policy.wasm") };

type Line = { readonly policy: string; readonly status: number; readonly answer: unknown };
const linesOf = (body: string) => body.trimEnd().split("\n").map((line): Line => JSON.parse(line));
const many = (...policies: string[]) => `/audit?${policies.map((id) => `policy=${id}`).join("&")}`;

test("recorded reviews: each policy's line is what the policy says alone, and what the original said", () =>
  serving({
    policies: readFileSync(new URL("policies.json", vectors), "utf8").replaceAll("@MODULE@", echo),
    flags: ["--policy-timeout", "1", "--workers", "2"],
  }, async (server) => {
    const recordings = readFileSync(new URL("policy-server.jsonl", vectors), "utf8").trimEnd().split("\n")
      .map((line): Recording => JSON.parse(line));
    const reviews = recordings.filter(({ path, method, status, contentType }) =>
      path.startsWith("/validate/") && method === "POST" && status === 200 &&
      contentType === "application/json"
    );
    const recorded = new Map(
      recordings.filter(({ path }) => path.startsWith("/audit/"))
        .map((recording) => [`${recording.path} ${recording.body}`, recording]),
    );
    const policies = ["protect", "nomutate", "monitor", "message", "group-0", "group-7", "nothing"];
    const connections = client(server);
    let compared = 0, asRecorded = 0;
    const queue = reviews.filter((_, index) => index % 4 === 0);
    await Promise.all(Array.from({ length: 8 }, async () => {
      for (let review = queue.shift(); review; review = queue.shift()) {
        const body = bodyOf(review);
        const together = await connections.ask({ path: many(...policies), body });
        assert.is(together.status, 200);
        assert.is(together.headers["content-type"], "application/x-ndjson");
        const lines = linesOf(together.body);
        // They come as they are ready: a slow policy holds up nobody.
        assert.equal(lines.map(({ policy }) => policy).sort(), [...policies].sort());
        for (const { policy, status } of lines) {
          const text = together.body.split("\n").find((line) => line.startsWith(`{"policy":"${policy}"`))!;
          const answer = text.slice(text.indexOf(`"answer":`) + 9, -1);
          const alone = await connections.ask({ path: `/audit/${policy}`, body });
          assert.is(status, alone.status);
          assert.is(comparable(status, answer), comparable(alone.status, alone.body), policy);
          compared++;
          const original = recorded.get(`/audit/${policy} ${review.body}`);
          if (original === undefined) continue;
          assert.is(comparable(status, answer), comparable(original.status, original.answer), policy);
          asRecorded++;
        }
      }
    }));
    connections.close();
    assert.ok(compared > 1_000 && asRecorded > 10, `${compared} compared, ${asRecorded} with recordings`);
  }));

test("answers to audits of one policy say how many may be asked at once; other answers say nothing of it", () =>
  serving({ policies: { pods: PRIVILEGED } }, async (server) => {
    const header = async (path: string) => (await ask(server, { path, body: reviewOf() })).headers[MANY];
    assert.equal([await header("/audit/pods"), await header("/validate/pods")], ["32", undefined]);
  }));

test("bad requests: no policy, too many, an unknown one, no JSON, no review, another method", () =>
  serving({ policies: { pods: PRIVILEGED } }, async (server) => {
    const body = reviewOf();
    const got = async (
      path: string,
      asked: { body?: string; method?: string; contentType?: string } = {},
    ) => {
      const { status, body: text } = await ask(server, { path, body, ...asked });
      return [status, text] as const;
    };
    assert.equal(await got("/audit"), [404, ""]);
    assert.equal(await got("/audit?other=pods"), [404, ""]);
    assert.equal(await got(many("pods"), { method: "GET" }), [404, ""]);
    assert.equal(await got(many(...Array.from({ length: 33 }, (_, index) => `p${index}`))), [
      400,
      "a request names 32 policies at most, this one names 33",
    ]);
    assert.equal(await got(many("pods"), { contentType: "text/plain" }), [
      415,
      "Expected request with `Content-Type: application/json`",
    ]);
    assert.is((await got(many("pods"), { body: "{" }))[0], 400);
    assert.is((await got(many("pods"), { body: "{}" }))[0], 422);
    const [status, text] = await got(many("pods", "nobody", "a/b/c", ""));
    assert.is(status, 200);
    assert.equal(linesOf(text).map(({ policy, status }) => [policy, status]), [
      ["pods", 200],
      ["nobody", 404],
      ["a/b/c", 500],
      ["", 500],
    ]);
    assert.equal(linesOf(text)[1]!.answer, { message: "unknown policy: nobody", status: 404 });
  }));

test("a slow policy holds up nobody else's line, is cut in time, and a client that leaves is no trouble", () =>
  serving({
    policies: { pods: PRIVILEGED, loop: LOOP },
    flags: ["--policy-timeout", "2", "--workers", "2"],
    tls: false,
  }, async (server) => {
    const body = reviewOf({ do: "tight" });
    const head = `POST ${many("loop", "pods")} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n`;
    const stays = await connectRaw(server);
    stays.write(head + body);
    const leaves = await connectRaw(server);
    leaves.write(head + body);
    await until(() => stays.received().includes(`"policy":"pods"`), () => stays.received());
    assert.not.ok(stays.received().includes(`"policy":"loop"`), "the slow policy has not answered yet");
    await until(() => leaves.received().includes(`"policy":"pods"`), () => leaves.received());
    leaves.socket.destroy();
    await until(() => stays.received().includes("\r\n0\r\n\r\n"), () => stays.received());
    assert.match(stays.received(), /"policy":"loop","status":200,.*exceeded the allowed execution time/);
    stays.socket.destroy();
    const again = await ask(server, { path: many("pods", "pods"), body: reviewOf() });
    assert.equal(linesOf(again.body).map(({ policy, status }) => [policy, status]), [["pods", 200], [
      "pods",
      200,
    ]]);
    assert.equal([server.lines(" ERROR "), server.stderr()], [[], ""]);
  }));

test.run();
