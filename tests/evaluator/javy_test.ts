/**
 * JavaScript policies that Javy built (`spec/evaluator.md §6.2`), as they are: a real QuickJS, whose module reads, writes and fails
 * as all of them do. Every test runs on each form of the module.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { HostCall, Policy, PolicyLogEntry, PolicyOptions } from "../../mod.ts";
import { loadGuest } from "../load_guest.ts";
import { javyModules, podRequest } from "../policies/javy_modules.ts";

const INTERRUPTED = "Policy execution interrupted because it exceeded the allowed execution time";
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const OWNED = podRequest({ owner: "alice" });

type Use = (policy: Policy) => Promise<void>;

for (const { name, bytes } of javyModules()) {
  const on = (
    what: string,
    use: (withPolicy: (options: PolicyOptions, use: Use) => Promise<void>) => Promise<void>,
  ) => {
    if (bytes === undefined) return void test.skip(`${what}: ${name}`, () => {});
    test(`${what}: ${name}`, () =>
      use(async (options, use) => {
        await using policy = await loadGuest(bytes, { timeoutMs: 20_000, ...options });
        await use(policy);
      }));
  };

  on("verdicts, mutations and settings", async (withPolicy) => {
    await withPolicy({ settings: { default: "nobody" } }, async (policy) => {
      assert.equal(await policy.validateSettings(), { valid: true });
      assert.ok((await policy.validate(OWNED)).allowed);
      const mutated = await policy.validate(podRequest({ app: "ü" }));
      assert.ok(mutated.allowed);
      assert.equal(JSON.parse(mutated.patch!), [{
        op: "add",
        path: "/metadata/labels/owner",
        value: "nobody",
      }]);
      assert.equal(mutated.warnings, ["owner is now nobody"]);
      assert.equal(mutated.auditAnnotations, { label: "owner" });
    });
    await withPolicy({}, async (policy) =>
      assert.equal((await policy.validate(podRequest({}))).status, {
        message: 'the label "owner" is missing',
        code: 422,
      }));
    await withPolicy(
      { settings: { labels: [] } },
      async (policy) =>
        assert.equal(await policy.validateSettings(), { valid: false, message: "unknown settings: labels" }),
    );
  });

  on("a host call is answered, at any length, or says why not", async (withPolicy) => {
    const calls: HostCall[] = [];
    const owners: Record<string, string> = { shop: "alice", long: "b".repeat(3_000_000) };
    const onHostCall = (call: HostCall) => {
      calls.push(call);
      if (call.operation === "v1/dns_lookup_host") {
        return { ok: false as const, error: "no such höst\nat all" };
      }
      const { name } = JSON.parse(decoder.decode(call.payload)) as { name: string };
      const answer = { metadata: { name, labels: { owner: owners[name] } } };
      return { ok: true as const, payload: encoder.encode(JSON.stringify(answer)) };
    };
    await withPolicy({ settings: { ofNamespace: true }, onHostCall }, async (policy) => {
      assert.ok((await policy.validate(OWNED)).allowed);
      assert.is(
        (await policy.validate(podRequest({ owner: "bob" }))).status?.message,
        '"owner" is "bob", in this namespace it is "alice": ünïcödé 🦜',
      );
      const long = await policy.validate({ ...OWNED, namespace: "long" });
      assert.is(
        long.status?.message,
        `"owner" is "alice", in this namespace it is "${owners["long"]}": ünïcödé 🦜`,
      );
      const failed = await policy.validate(podRequest({ owner: "alice" }, { host: "registry.example" }));
      assert.not.ok(failed.allowed);
      assert.is(failed.status?.code, 500);
      assert.match(failed.status?.message ?? "", /Host call failed.*no such höst\nat all/);
      assert.ok((await policy.validate(OWNED)).allowed, "the next request is served");
    });
    assert.equal([calls[0]!.namespace, calls[0]!.operation], ["kubernetes", "get_resource"]);
    assert.equal(JSON.parse(decoder.decode(calls[0]!.payload)), {
      api_version: "v1",
      kind: "Namespace",
      name: "shop",
      disable_cache: false,
    });
    assert.is(
      decoder.decode(calls.find(({ namespace }) => namespace === "net")!.payload),
      '"registry.example"',
    );
  });

  on("a host call that is not granted ends the script, which doesn't catch it", async (withPolicy) => {
    await withPolicy({ settings: { ofNamespace: true } }, async (policy) => {
      const { allowed, status } = await policy.validate(OWNED);
      assert.not.ok(allowed);
      assert.match(
        status?.message ?? "",
        /Host call failed.*has not been granted access to the 'kubernetes\/get_resource' host capability/,
      );
    });
  });

  on("console.error is logged as a warning", async (withPolicy) => {
    const logged: PolicyLogEntry[] = [];
    await withPolicy({ onLog: (entry) => logged.push(entry) }, async (policy) => {
      assert.ok((await policy.validate(podRequest({ owner: "a" }, { do: "console" }))).allowed);
    });
    assert.equal(logged.map(({ level, message }) => [level, message]), [["warn", "a warning 1 list"]]);
  });

  on("console.log spoils the answer", async (withPolicy) => {
    await withPolicy({}, async (policy) => {
      const { allowed, status } = await policy.validate(podRequest({ owner: "a" }, { do: "print" }));
      assert.not.ok(allowed);
      assert.match(
        status?.message ?? "",
        /^internal server error: Cannot deserialize policy validation response: /,
      );
    });
  });

  const failures: readonly (readonly [told: string, message: RegExp])[] = [
    ["throw", /^Error: out of order\n {4}at misbehave /],
    ["throw-text", /^just a text$/],
    // It has written an answer by then, which must not count.
    ["later", /^Pending jobs in the event queue/],
    // The stack of the engine is full before QuickJS finds its own full, so nothing is said.
    ["recurse", /^$|Maximum call stack size exceeded|stack overflow/],
    ["fill", /^Error: out of memory/],
  ];
  on("a script that fails rejects the request with what it said, and harms no other", async (withPolicy) => {
    await withPolicy({}, async (policy) => {
      for (const [told, message] of failures) {
        const { allowed, status } = await policy.validate(podRequest({ owner: "a" }, { do: told }));
        assert.not.ok(allowed, told);
        assert.is(status?.code, 500, told);
        assert.match(status?.message ?? "", message, told);
        assert.ok((await policy.validate(OWNED)).allowed, `after ${told}`);
      }
    });
    await withPolicy({ settings: { do: "throw" } }, async (policy) => {
      const refused = await policy.validateSettings();
      assert.not.ok(refused.valid);
      assert.match(refused.valid ? "" : refused.message ?? "", /^Error: out of order/);
    });
  });

  on("a script that never ends is stopped", async (withPolicy) => {
    await withPolicy({ timeoutMs: 1000 }, async (policy) => {
      for (const told of ["loop", "search"]) {
        const verdict = await policy.validate(podRequest({ owner: "a" }, { do: told }));
        assert.equal(verdict.status, { message: INTERRUPTED, code: 500 }, told);
        assert.not.ok(verdict.allowed);
        assert.ok((await policy.validate(OWNED)).allowed, `after ${told}`);
      }
    });
    await withPolicy(
      { timeoutMs: 1000, settings: { do: "loop" } },
      async (policy) => assert.equal(await policy.validateSettings(), { valid: false, message: INTERRUPTED }),
    );
  });

  on("a request sees nothing of another", async (withPolicy) => {
    await withPolicy({ threads: 1 }, async (policy) => {
      const remember = podRequest({ owner: "a" }, { do: "remember" });
      for (let turn = 0; turn < 4; turn++) {
        assert.match((await policy.validate(remember)).status?.message ?? "", /Error: 1 seen, turn 1, true/);
        assert.ok((await policy.validate(OWNED)).allowed);
      }
      for (const told of ["fill", "throw"]) await policy.validate(podRequest({ owner: "a" }, { do: told }));
      assert.match((await policy.validate(remember)).status?.message ?? "", /Error: 1 seen, turn 1, true/);
    });
  });

  on("an answer that is larger than a pipe arrives whole", async (withPolicy) => {
    // The package writes it by one call, and doesn't look at how much of it was taken.
    await withPolicy({ settings: { default: "nobody" } }, async (policy) => {
      const { allowed, patch, status } = await policy.validate(
        podRequest({}, { do: "pad", bytes: "3000000" }),
      );
      assert.ok(allowed, status?.message);
      const padding = (JSON.parse(patch!) as { path: string; value: string }[]).find(({ path }) =>
        path === "/metadata/padding"
      );
      assert.is(padding?.value.length, 3_000_000);
    });
  });

  on("many requests at a time, each with its own host call", async (withPolicy) => {
    const onHostCall = async ({ payload }: HostCall) => {
      const { name } = JSON.parse(decoder.decode(payload)) as { name: string };
      await Promise.resolve();
      return {
        ok: true as const,
        payload: encoder.encode(JSON.stringify({ metadata: { labels: { owner: name } } })),
      };
    };
    await withPolicy({ settings: { ofNamespace: true }, threads: 2, onHostCall }, async (policy) => {
      const verdicts = await Promise.all(
        Array.from(
          { length: 12 },
          (_, index) =>
            policy.validate({ ...podRequest({ owner: `n${index % 3}` }), namespace: `n${index % 4}` }),
        ),
      );
      assert.equal(
        verdicts.map(({ allowed }) => allowed),
        Array.from({ length: 12 }, (_, index) => index % 3 === index % 4),
      );
    });
  });
}

test.run();
