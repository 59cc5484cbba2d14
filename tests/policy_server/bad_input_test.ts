// Whatever a client sends gets the status and the text that are specified, one log line, and nothing of the server's inside
// (spec/policy-server.md §5.2).
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Answer, type Ask, ask, client, connectRaw, reviewOf } from "./requests.ts";
import { moduleUrl, type ServerProcess, serving, until } from "./server_process.ts";

const POLICIES = {
  good: { module: moduleUrl("policies/pod-privileged/policy.wasm") },
  raw: { module: moduleUrl("policies/raw-quota/policy.wasm"), settings: { quotas: { t: { r: 1 } } } },
  garbage: { module: moduleUrl("tests/policies/garbage/policy.wasm") },
  trap: { module: moduleUrl("tests/policies/trap/policy.wasm") },
  init: { module: moduleUrl("tests/policies/trap/policy.wasm") },
  group: {
    expression: "a()",
    message: "no",
    policies: { a: { module: moduleUrl("policies/pod-privileged/policy.wasm") } },
  },
};
const MAX_BODY = 100_000;
const GOOD = reviewOf();
const NOT_JSON = "Failed to parse the request body as JSON: ";
const WRONG_SHAPE = "Failed to deserialize the JSON body into the target type: ";
/** What a stack trace, a path of the sources or an engine's error class looks like. */
const INSIDE = /\n\s+at |\.ts\b|node:|Error:|file:\/\/|node_modules/;

/** A fault of a request: what is sent, and the status and text that come back. */
interface Fault extends Partial<Ask> {
  readonly status: number;
  readonly text: string | RegExp;
}

const nested = (levels: number) =>
  GOOD.replace(`"annotations":{}`, () => `"x":${"[".repeat(levels - 3)}${"]".repeat(levels - 3)}`);
const withMember = (member: string) => GOOD.replace(`"uid":"a-uid"`, member);

const FAULTS: Readonly<Record<string, Fault>> = {
  "not JSON": {
    body: "<this is not JSON>",
    status: 400,
    text: `${NOT_JSON}expected a value, found \`<\` at line 1 column 1`,
  },
  "nothing at all": {
    body: "",
    status: 400,
    text: `${NOT_JSON}expected a value, found the end of the text at line 1 column 1`,
  },
  "half of it": {
    body: GOOD.slice(0, 100),
    status: 400,
    text: /^Failed to parse the request body as JSON: .* at line 1 column 101$/,
  },
  "something behind it": {
    body: `${GOOD} {}`,
    status: 400,
    text: /expected the end of the text, found `\{` at line 1/,
  },
  "a comment": {
    body: `// a review\n${GOOD}`,
    status: 400,
    text: `${NOT_JSON}expected a value, found \`/\` at line 1 column 1`,
  },
  "a byte order mark": {
    body: `\ufeff${GOOD}`,
    status: 400,
    text: `${NOT_JSON}expected a value, found byte 0xef at line 1 column 1`,
  },
  "bytes that are not UTF-8": {
    body: Uint8Array.from([...Buffer.from(`{"a":"`), 0xff, 0xfe, ...Buffer.from(`"}`)]),
    status: 400,
    text: `${NOT_JSON}the body is not UTF-8`,
  },
  "a lone surrogate": {
    body: withMember(`"uid":"\\ud800"`),
    status: 400,
    text: /a lone surrogate in a string at line 1/,
  },
  "a number out of range": {
    body: withMember(`"uid":"u","object":1e999,"x":1`).replace(/,"object":\{.*?\}\}/, ""),
    status: 400,
    text: /a number out of range at line 1/,
  },
  "128 levels": { body: nested(128), status: 400, text: /nested deeper than 127 levels at line 1/ },
  "a million levels": {
    body: "[".repeat(MAX_BODY - 10),
    status: 422,
    text:
      /^Failed to deserialize .*expected an object \(the AdmissionReview\), found an array at line 1 column 1$/,
  },
  "an array": {
    body: "[]",
    status: 422,
    text: `${WRONG_SHAPE}expected an object (the AdmissionReview), found an array at line 1 column 1`,
  },
  "no request": {
    body: "{}",
    status: 422,
    text: `${WRONG_SHAPE}missing field \`request\` in the object at line 1 column 1`,
  },
  "a request that is null": {
    body: `{"request":null}`,
    status: 422,
    text: `${WRONG_SHAPE}request: expected an object (the admission request), found null at line 1 column 12`,
  },
  "no uid": {
    body: withMember(`"x":1`),
    status: 422,
    text: /^Failed to deserialize .*: request: missing field `uid` in the object at line 1 column \d+$/,
  },
  "a uid that is a number": {
    body: withMember(`"uid":7`),
    status: 422,
    text: /request\.uid: expected a string, found a number at line 1/,
  },
  "a uid that is null": {
    body: withMember(`"uid":null`),
    status: 422,
    text: /request\.uid: expected a string, found null at line 1/,
  },
  "a kind that is a text": {
    body: withMember(`"uid":"u","kind":"Pod","k":1`).replace(/,"kind":\{[^}]*\}/, ""),
    status: 422,
    text: /request\.kind: expected an object \(a group, version and kind\), found the string "Pod"/,
  },
  "a kind without a version": {
    body: withMember(`"uid":"u","requestKind":{"group":"","kind":"Pod"}`),
    status: 422,
    text: /request\.requestKind: missing field `version`/,
  },
  "an operation that is a list": {
    body: GOOD.replace(`"CREATE"`, "[]"),
    status: 422,
    text: /request\.operation: expected a string, found an array/,
  },
  "a dryRun that is a text": {
    body: withMember(`"uid":"u","dryRun":"no"`),
    status: 422,
    text: /request\.dryRun: expected a boolean, found the string "no"/,
  },
  "groups that are no list": {
    body: GOOD.replace(`"userInfo":{}`, `"userInfo":{"groups":"g"}`),
    status: 422,
    text: /request\.userInfo\.groups: expected an array of strings/,
  },
  "a member twice": {
    body: withMember(`"uid":"a","uid":"b"`),
    status: 422,
    text: /request: duplicate field `uid` at line 1/,
  },
  "the request twice": { body: `{"request":{},"request":{}}`, status: 422, text: /^Failed to deserialize / },
  "no content type": {
    contentType: undefined,
    status: 415,
    text: "Expected request with `Content-Type: application/json`",
  },
  "another content type": {
    contentType: "text/plain",
    status: 415,
    text: "Expected request with `Content-Type: application/json`",
  },
  "a content type that only begins like JSON's": {
    contentType: "application/jsonx",
    status: 415,
    text: "Expected request with `Content-Type: application/json`",
  },
  "a body over the limit": {
    body: " ".repeat(MAX_BODY + 1),
    status: 413,
    text: /^Failed to buffer the request body: length limit exceeded/,
  },
};

/** Sends `asked` and checks what every answer must be, whatever is wrong. */
async function answerTo(
  server: ServerProcess,
  send: (asked: Ask) => Promise<Answer>,
  asked: Ask,
): Promise<Answer> {
  const before = server.lines("finished processing request").length;
  const answer = await send(asked);
  assert.not.match(answer.body, INSIDE);
  await server.logged("finished processing request", before + 1);
  assert.is(server.lines("finished processing request").length, before + 1, "one log line");
  assert.match(server.lines("finished processing request").at(-1)!, `status=${answer.status}`);
  return answer;
}

function textOf(path: string, answer: Answer): string {
  if (!path.startsWith("/validate/")) {
    assert.is(answer.headers["content-type"], "text/plain; charset=utf-8");
    return answer.body;
  }
  assert.is(answer.headers["content-type"], "application/json");
  const { message, status, ...others } = JSON.parse(answer.body);
  assert.is(status, answer.status);
  assert.equal(others, {});
  return message;
}

test("each fault of a body has its status and text; the connection serves on", () =>
  serving({ policies: POLICIES, flags: ["--max-body-bytes", String(MAX_BODY)] }, async (server) => {
    const connections = client(server, { connections: 1 });
    const wrong: string[] = [];
    for (const path of ["/validate/good", "/audit/good"]) {
      for (const [name, { status, text, ...asked }] of Object.entries(FAULTS)) {
        const answer = await answerTo(server, connections.ask, { path, body: GOOD, ...asked });
        const found = answer.status === 200 ? answer.body : textOf(path, answer);
        const fits = typeof text === "string" ? text === found : text.test(found);
        if (answer.status !== status || !fits) {
          wrong.push(`${name}: ${answer.status} ${found}, expected ${status} ${text}`);
        }
        const good = await answerTo(server, connections.ask, { path, body: GOOD });
        if (good.status !== 200) wrong.push(`after ${name}: ${good.status}`);
      }
    }
    assert.is(wrong.join("\n"), "");
    connections.close();
    assert.equal(server.lines(" ERROR "), []);
    assert.is(server.stderr(), "");
  }));

test("raw requests take any JSON, and have the same faults otherwise", () =>
  serving({ policies: POLICIES, flags: ["--max-body-bytes", String(MAX_BODY)] }, async (server) => {
    const path = "/validate_raw/raw";
    for (
      const name of ["not JSON", "bytes that are not UTF-8", "another content type", "a body over the limit"]
    ) {
      const { status, text, ...asked } = FAULTS[name]!;
      const answer = await answerTo(server, (sent) => ask(server, sent), { path, body: GOOD, ...asked });
      assert.is(answer.status, status, name);
      const found = textOf(path, answer);
      if (typeof text === "string") assert.is(found, text, name);
      else assert.match(found, text, name);
    }
    const missing = await answerTo(server, (sent) => ask(server, sent), { path, body: "{}" });
    assert.is(missing.status, 422);
    for (const request of ["null", "3", `"text"`, "[[1]]"]) {
      const answer = await answerTo(server, (sent) => ask(server, sent), {
        path,
        body: `{"request":${request}}`,
      });
      assert.is(answer.status, 200);
      assert.is(JSON.parse(answer.body).response.uid, "");
    }
  }));

test("unknown policies, paths and methods", () =>
  serving({ policies: POLICIES }, async (server) => {
    const unknown = async (path: string, name: string) => {
      const answer = await answerTo(server, (sent) => ask(server, sent), { path, body: GOOD });
      assert.equal([answer.status, JSON.parse(answer.body)], [404, {
        message: `unknown policy: ${name}`,
        status: 404,
      }]);
    };
    for (const route of ["/validate", "/audit", "/validate_raw"]) await unknown(`${route}/absent`, "absent");
    await unknown("/validate/group%2Fabsent", "group/absent");
    await unknown("/validate/good%2Fmember", "good/member");
    await unknown("/validate/__proto__", "__proto__");
    await unknown("/validate/constructor", "constructor");
    await unknown(`/validate/${"x".repeat(5000)}`, "x".repeat(5000));
    for (const path of ["/validate/a%2Fb%2Fc", "/validate/%2F", "/validate/group%2F"]) {
      const answer = await answerTo(server, (sent) => ask(server, sent), { path, body: GOOD });
      assert.equal(
        [answer.status, answer.body],
        [500, `{"message":"Something went wrong","status":500}`],
        path,
      );
    }
    const latin = await answerTo(server, (sent) => ask(server, sent), { path: "/validate/%ff", body: GOOD });
    assert.equal([latin.status, latin.body], [400, "Invalid URL: Invalid UTF-8 in `policy_id`"]);
    // Routes that don't exist are no requests to a policy: they are answered without a log line.
    for (
      const path of [
        "/",
        "/validate",
        "/validate/",
        "/validate/good/",
        "/validate/good/x",
        "/metrics",
        "/readiness",
        "/%00",
      ]
    ) {
      const answer = await ask(server, { path, body: GOOD });
      assert.equal([answer.status, answer.body], [404, ""], path);
    }
    for (const method of ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const answer = await ask(server, { method, path: "/validate/good" });
      assert.equal([answer.status, answer.body, answer.headers["allow"]], [405, "", "POST"], method);
    }
    // A bad body counts more than an unknown policy (spec/policy-server.md §5.2).
    assert.is((await ask(server, { path: "/validate/absent", body: "{" })).status, 400);
    assert.is((await ask(server, { path: "/validate/absent", body: "{}" })).status, 422);
  }));

test("what is no HTTP is refused, and the server serves on", () =>
  serving({ policies: POLICIES, tls: false }, async (server) => {
    const head = "POST /validate/good HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    const sent: readonly string[] = [
      "this is no HTTP\r\n\r\n",
      "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
      `${head}content-length: -1\r\n\r\n{}`,
      `${head}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`,
      `${head}transfer-encoding: chunked\r\n\r\nnot a chunk\r\n`,
      `POST /validate/good HTTP/1.1\r\nhost: x\r\nx: ${"x".repeat(100_000)}\r\n\r\n`,
    ];
    for (const text of sent) {
      const connection = await connectRaw(server);
      connection.write(text);
      await until(
        () => connection.received() !== "" || connection.socket.closed,
        () => JSON.stringify(text.slice(0, 60)),
      );
      assert.not.match(connection.received(), INSIDE);
      if (connection.received() !== "") assert.match(connection.received(), /^HTTP\/1\.[01] 4\d\d /);
      connection.socket.destroy();
      assert.is((await ask(server, { path: "/validate/good", body: GOOD })).status, 200);
    }
    // A body in chunks, without a length, over the limit.
    const chunked = await connectRaw(server);
    chunked.write(`${head}transfer-encoding: chunked\r\n\r\n`);
    for (let index = 0; index < 10 && chunked.socket.writable; index++) {
      chunked.write(`100000\r\n${" ".repeat(0x100000)}\r\n`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until(
      () => chunked.received() !== "" || chunked.socket.closed,
      () => "an answer to a body without end",
    );
    assert.match(chunked.received(), /^HTTP\/1\.1 413 |^$/);
    chunked.socket.destroy();
    assert.is((await ask(server, { path: "/validate/good", body: GOOD })).status, 200);
    assert.equal(server.lines(" ERROR "), []);
  }));

test("what a policy gets wrong is an answer with code 500 and the specified text", () =>
  serving({ policies: POLICIES, flags: ["--policy-memory-limit-mib", "32"] }, async (server) => {
    const verdict = async (policy: string, way: string) => {
      const path = `/validate/${policy}`;
      const answer = await answerTo(server, (sent) => ask(server, sent), {
        path,
        body: reviewOf({ do: way }),
      });
      assert.is(answer.status, 200);
      const { uid, allowed, status } = JSON.parse(answer.body).response;
      assert.equal([uid, allowed, status.code], ["a-uid", false, 500], `${policy} ${way}`);
      return status.message as string;
    };
    for (
      const way of [
        "empty",
        "text",
        "half",
        "trailing",
        "other-shape",
        "not-a-verdict",
        "code-out-of-range",
        "invalid-utf8",
        "lone-surrogate",
        "zero-bytes",
        "deep",
        "megabytes",
      ]
    ) {
      assert.match(await verdict("garbage", way), /^internal server error: invalid response from policy: /);
    }
    for (
      const way of [
        "response-nowhere",
        "response-of-everything",
        "request-to-nowhere",
        "console-nowhere",
        "console-binary",
        "host-call-nowhere",
        "host-response-to-nowhere",
      ]
    ) {
      assert.match(await verdict("garbage", way), /^internal server error: Guest call failure: /);
    }
    for (
      const way of [
        "unreachable",
        "panic",
        "signature",
        "out-of-bounds",
        "exit",
        "abort",
        "error-then-trap",
        "binary-error",
      ]
    ) {
      assert.match(
        await verdict("trap", way),
        /^internal server error: Guest call failure: error while executing/,
      );
    }
    assert.is(await verdict("trap", "error"), "internal server error: Guest call failure: told to fail");
  }));

test.run();
