/** Lists over an API server that misbehaves on purpose: it speaks the protocol, and breaks it where a test says so. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openTransport } from "../../../kubernetes/apply/api_transport.ts";
import { ApiFailure } from "../../../policy_server/apply/kubernetes/api.ts";
import { type Cluster, openCluster } from "../../../policy_server/apply/kubernetes/cluster.ts";
import type { ListIdentity } from "../../../policy_server/apply/kubernetes/followed_lists.ts";
import { until } from "../../cluster/control_plane.ts";

type Handler = (query: URLSearchParams, response: ServerResponse, request: IncomingMessage) => void;

let server: Server;
let list: Handler;
let watch: Handler;
let cluster: Cluster;
let troubles: string[];

const PODS: ListIdentity = {
  apiVersion: "v1",
  kind: "Pod",
  namespace: undefined,
  labelSelector: undefined,
  fieldSelector: undefined,
  fieldMasks: [],
};
const pod = (name: string, version: number, more: object = {}) => ({
  metadata: { name, namespace: "n", resourceVersion: String(version) },
  ...more,
});
const page = (items: readonly object[], version: number, next = "") =>
  JSON.stringify({ kind: "PodList", metadata: { resourceVersion: String(version), continue: next }, items });
const event = (type: string, object: unknown) => `${JSON.stringify({ type, object })}\n`;
const silent: Handler = (_query, response) => void response.writeHead(200).flushHeaders();
const names = async () =>
  [...(await cluster.lists.get(PODS)).objects.values()].map(({ name }) => name).sort();

test.before(async () => {
  server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, "http://x");
    response.on("error", () => {});
    if (pathname === "/api/v1") {
      const resources = [
        { name: "pods/eviction", kind: "Eviction", namespaced: true },
        { name: "pods", kind: "Pod", namespaced: true },
      ];
      return void response.end(JSON.stringify({ resources }));
    }
    (searchParams.get("watch") ? watch : list)(searchParams, response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
test.before.each(() => {
  const { port } = server.address() as AddressInfo;
  const transport = openTransport(
    `http://127.0.0.1:${port}`,
    () => Promise.resolve({ headers: {}, tls: { rejectUnauthorized: true } }),
  );
  troubles = [];
  cluster = openCluster(transport, (message, error) => troubles.push(`${message}: ${error.message}`));
  list = (_query, response) => response.end(page([pod("a", 1)], 1));
  watch = silent;
});
test.after.each(() => cluster.close());
test.after(() => {
  server.closeAllConnections();
  server.close();
});

test("a list in pages is whole", async () => {
  list = (query, response) => {
    assert.is(query.get("limit"), "500");
    const at = Number(query.get("continue") ?? 0);
    response.end(page([pod(`p${at}`, 1)], 1, at < 4 ? String(at + 1) : ""));
  };
  assert.equal(await names(), ["p0", "p1", "p2", "p3", "p4"]);
});

test("a watch that is too old begins with a new list, and the old one serves until then", async () => {
  let lists = 0;
  let watched = "";
  list = (_query, response) => response.end(page([pod(`list${++lists}`, lists * 10)], lists * 10));
  watch = (query, response) => {
    watched = query.get("resourceVersion")!;
    if (watched === "10") {
      response.end(event("ERROR", { kind: "Status", code: 410, message: "too old resource version" }));
    } else response.writeHead(200).flushHeaders();
  };
  assert.equal(await names(), ["list1"]);
  await until("the new list", async () => (await names())[0] === "list2");
  await until("it is watched", () => watched === "20");
  assert.equal(troubles, []);
});

test("so does one that is refused with 410", async () => {
  let lists = 0;
  let watched = "";
  list = (_query, response) => response.end(page([pod(`list${++lists}`, lists * 10)], lists * 10));
  watch = (query, response) => {
    watched = query.get("resourceVersion")!;
    if (watched === "10") response.writeHead(410).end("{}");
    else response.writeHead(200).flushHeaders();
  };
  assert.equal(await names(), ["list1"]);
  await until("the new list", async () => (await names())[0] === "list2");
  await until("it is watched", () => watched === "20");
});

test("a watch that ends goes on where it was, bookmarks included", async () => {
  const versions: string[] = [];
  watch = (query, response) => {
    const version = query.get("resourceVersion")!;
    versions.push(version);
    if (version === "1") response.end(event("ADDED", pod("b", 5)) + event("BOOKMARK", pod("", 7)));
    else if (version === "7") response.end(event("DELETED", pod("a", 9)));
    else response.writeHead(200).flushHeaders();
  };
  await until("all events came", async () => (await names()).join() === "b");
  await until("the last watch is open", () => versions.length >= 3);
  assert.equal(versions, ["1", "7", "9"]);
});

test("events may come in any pieces", async () => {
  watch = (_query, response) => {
    const all = Buffer.from(event("ADDED", pod("é😀", 2)) + event("MODIFIED", pod("b", 3)));
    response.writeHead(200).flushHeaders();
    let at = 0;
    const send = () => {
      if (at < all.length) response.write(all.subarray(at, at += 7), () => setImmediate(send));
    };
    send();
  };
  await until("all events came", async () => (await names()).join() === "a,b,é😀");
});

test("garbage in a watch is no end of it: it is said, and the watch begins again", async () => {
  let watches = 0;
  watch = (_query, response) => {
    if (++watches === 1) response.end("<html>\n");
    else response.writeHead(200).write(event("ADDED", pod("b", 5)));
  };
  await until("the watch came back", async () => (await names()).includes("b"));
  assert.is(troubles.length, 1);
  assert.match(troubles[0]!, /^cannot follow v1\/Pod: /);
});

test("when reading is forbidden later on, the list is not served any more", async () => {
  watch = (_query, response) => response.writeHead(403).end(JSON.stringify({ message: "no longer" }));
  assert.equal(await names(), ["a"]);
  list = (_query, response) => response.writeHead(403).end(JSON.stringify({ message: "no longer" }));
  await until("the list is dropped", () => cluster.lists.count === 0, { limitMs: 15_000 });
  const error = await names().then(() => undefined, (error: Error) => error);
  assert.instance(error, ApiFailure);
  assert.is(error?.message, "no longer");
});

test("an answer that is no list, a broken connection, and refusals are errors at once", async () => {
  const told = async (handler: Handler) => {
    list = handler;
    return await names().then(() => "", (error: Error) => error.message);
  };
  assert.match(await told((_query, response) => response.end("<html>")), /expected/);
  assert.match(await told((_query, response) => response.destroy()), /cannot reach the Kubernetes API/);
  for (const code of [401, 403, 404, 500]) {
    const handler: Handler = (_query, response) => response.writeHead(code).end(`{"message":"told ${code}"}`);
    assert.is(await told(handler), `told ${code}`);
  }
  assert.is(cluster.lists.count, 0);
  assert.is(cluster.lists.bytes, 0);
});

test("a throttled list is asked for again", async () => {
  let lists = 0;
  list = (_query, response) => {
    if (++lists === 1) response.writeHead(429, { "retry-after": "1" }).end("{}");
    else response.end(page([pod("a", 1)], 1));
  };
  assert.equal(await names(), ["a"]);
});

test("when its objects change, a list is younger and its answer another", async () => {
  let send: (text: string) => void = () => {};
  watch = (_query, response) => {
    response.writeHead(200).flushHeaders();
    send = (text) => void response.write(text);
  };
  const followed = await cluster.lists.get(PODS);
  const { changes } = followed;
  const answer = followed.answer();
  assert.is(followed.answer(), answer);
  await until("the watch is open", () => send.length === 1 && troubles.length === 0 && send !== undefined);
  await until("the event came", async () => {
    send(event("MODIFIED", pod("a", 2, { spec: "new" })));
    await new Promise((resolve) => setTimeout(resolve, 10));
    return followed.changes > changes;
  });
  assert.is.not(followed.answer(), answer);
  assert.match(new TextDecoder().decode(followed.answer()), /"spec":"new"/);
});

test("ten thousand objects take about what their text takes", async () => {
  // As of a Deployment: four fifths of it are managed fields and the last-applied annotation, which are not kept.
  const noise = {
    managedFields: Array.from(
      { length: 30 },
      (_, i) => ({ manager: `m${i}`, fieldsV1: { "f:spec": { [`f:${i}`]: {} } } }),
    ),
    annotations: { "kubectl.kubernetes.io/last-applied-configuration": "x".repeat(1_000) },
  };
  list = (query, response) => {
    const from = Number(query.get("continue") ?? 0);
    const items = Array.from({ length: 500 }, (_, index) => ({
      metadata: { ...pod(`p${from + index}`, 1).metadata, ...noise },
      spec: { containers: [{ name: "c", image: "registry.test/app:v1", args: ["y".repeat(200)] }] },
    }));
    response.end(page(items, 1, from < 9_500 ? String(from + 500) : ""));
  };
  const collect = (globalThis as { Bun?: { gc(full: boolean): void } }).Bun?.gc ?? (() => {});
  collect(true);
  const before = process.memoryUsage().rss;
  const followed = await cluster.lists.get(PODS);
  collect(true);
  const grown = process.memoryUsage().rss - before;
  assert.is(followed.objects.size, 10_000);
  assert.ok(cluster.lists.bytes < 8_000_000, `${cluster.lists.bytes} bytes are kept`);
  // What was read on the way is garbage that may not be collected yet; as JavaScript objects it would be far more.
  assert.ok(grown < 200_000_000, `the process has grown by ${Math.round(grown / 1e6)} MB`);
  console.log(
    `\n  10,000 objects: ${Math.round(cluster.lists.bytes / 1e6)} MB kept, process grew by ${
      Math.round(grown / 1e6)
    } MB`,
  );
});

test.run();
