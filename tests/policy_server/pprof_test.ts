// Profiles of a running server (spec/policy-server.md §5.7, §19 row 19).
import { request } from "node:http";
import { gunzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadPprof } from "../../deps.ts";
import { reviewOf } from "./requests.ts";
import { moduleUrl, ON_BUN, type ServerProcess, serving, until } from "./server_process.ts";

const POLICIES = { psp: { module: moduleUrl("policies/pod-privileged/policy.wasm") } };
const ASK = { policies: POLICIES, tls: false };

const get = async (server: ServerProcess, path: string) => {
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`);
  return { status: answer.status, headers: answer.headers, body: new Uint8Array(await answer.arrayBuffer()) };
};
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function decoded(bytes: Uint8Array) {
  const { Profile } = await loadPprof();
  const profile = Profile.decode(bytes);
  const { strings } = profile.stringTable;
  return {
    types: profile.sampleType.map(({ type, unit }) => [strings[Number(type)], strings[Number(unit)]]),
    samples: profile.sample.length,
    functions: profile.function.map(({ name }) => strings[Number(name)]),
    period: Number(profile.period),
    durationMs: Number(profile.durationNanos) / 1e6,
  };
}

test("a CPU profile shows what the server did; there is one at a time, and none is left behind by a client that goes", async () => {
  await serving({ ...ASK, flags: ["--enable-pprof"] }, async (server) => {
    const busy = async (until: Promise<unknown>) => {
      let over = false;
      void until.then(() => over = true);
      const headers = { "content-type": "application/json" };
      while (!over) {
        const url = `http://127.0.0.1:${server.port}/validate/psp`;
        await (await fetch(url, { method: "POST", headers, body: reviewOf() })).text();
      }
    };
    const profiling = get(server, "/debug/pprof/cpu?interval=1&frequency=200");
    await busy(profiling);
    const { status, headers, body } = await profiling;
    assert.is(status, 200);
    assert.is(headers.get("content-type"), "application/octet-stream");
    assert.is(headers.get("content-disposition"), 'attachment; filename="cpu_profile"');
    assert.is(headers.get("content-length"), String(body.length));
    const profile = await decoded(body);
    assert.equal(profile.types, [["samples", "count"], ["cpu", "nanoseconds"]]);
    assert.is(profile.period, 5_000_000);
    assert.ok(profile.samples > 0 && profile.durationMs >= 900, JSON.stringify(profile));
    // Which of them a sample meets is a matter of chance.
    const own = ["answerReview", "reviewIn", "parseReview", "readReview", "scanReview"];
    assert.ok(own.some((name) => profile.functions.includes(name)), profile.functions.join());

    // A client that would wait for minutes goes away.
    const long = request({ host: "127.0.0.1", port: server.port, path: "/debug/pprof/cpu?interval=300" });
    long.on("error", () => {});
    long.end();
    await server.logged("a CPU profile was asked for", 2);
    const refused = await get(server, "/debug/pprof/cpu?interval=1");
    assert.is(refused.status, 500);
    assert.is(text(refused.body), '{"message":"Something went wrong","status":500}');
    await server.logged("pprof error: a CPU profile is being taken already");
    long.destroy();
    await until(
      async () => (await get(server, "/debug/pprof/cpu?interval=1")).status === 200,
      () => "the profile of the client that went is still being taken",
    );

    for (const query of ["interval=0", "interval=301", "interval=x", "frequency=-1", "frequency=1001"]) {
      const wrong = await get(server, `/debug/pprof/cpu?${query}`);
      assert.is(wrong.status, 400);
      assert.match(text(wrong.body), /^Failed to deserialize query string: (interval|frequency): expected/);
    }
    assert.is(
      (await fetch(`http://127.0.0.1:${server.port}/debug/pprof/cpu`, { method: "POST" })).status,
      405,
    );

    const heap = await get(server, "/debug/pprof/heap");
    if (ON_BUN) {
      assert.is(heap.status, 501);
      assert.match(text(heap.body), /"heap profiles need Node/);
    } else {
      assert.is(heap.status, 200);
      assert.is(heap.headers.get("content-disposition"), 'attachment; filename="heap_profile"');
      const { types, samples } = await decoded(gunzipSync(heap.body));
      assert.equal(types, [["inuse_space", "bytes"]]);
      assert.ok(samples > 0);
    }
  });
});

test("without the flag there are no profiles", async () => {
  await serving(ASK, async (server) => {
    for (const kind of ["cpu", "heap"]) assert.is((await get(server, `/debug/pprof/${kind}`)).status, 404);
  });
});

test.run();
