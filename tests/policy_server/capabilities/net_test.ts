import { lookup } from "node:dns/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { netCapabilities } from "../../../policy_server/apply/capabilities/net.ts";
import { noInventory } from "../../../evaluator/apply/host_calls.ts";
import { closeCallers, failure, hostCaller, RawPayload, regoVerdict, success } from "./host_caller.ts";

const LOOKUP = "net/v1/dns_lookup_host";
let caller: Awaited<ReturnType<typeof hostCaller>>;

test.before(async () => {
  caller = await hostCaller(netCapabilities());
});
test.after(closeCallers);

test("a name gives the addresses that the system's resolver gives, in its order", async () => {
  const expected = await lookup("localhost", { all: true, order: "verbatim" });
  const { ips } = success(await caller.call(LOOKUP, "localhost"));
  assert.equal(ips, expected.map(({ address }) => address));
  assert.equal(success(await caller.call(LOOKUP, "localhost")), { ips });
});

test("addresses of both families are their own answer", async () => {
  assert.equal(success(await caller.call(LOOKUP, "127.0.0.1")), { ips: ["127.0.0.1"] });
  assert.equal(success(await caller.call(LOOKUP, "::1")), { ips: ["::1"] });
});

test("a name that can't be resolved gives the resolver's words", async () => {
  // `.invalid` never exists (RFC 6761); without any name server the resolver gives up instead.
  assert.match(
    failure(await caller.call(LOOKUP, "no-such-host.invalid")),
    /^Callback evaluation failure: failed to lookup address information: (Name or service not known|Temporary failure in name resolution)$/,
  );
  for (const name of ["", "a\u0000b"]) {
    assert.is(
      failure(await caller.call(LOOKUP, name)),
      "Callback evaluation failure: failed to lookup address information: Name or service not known",
    );
  }
});

test("a payload that is no JSON string is told with its place", async () => {
  assert.is(
    failure(await caller.call(LOOKUP, { host: "x" })),
    "invalid type: map, expected a string at line 1 column 12",
  );
  assert.is(
    failure(await caller.call(LOOKUP, 5)),
    "invalid type: integer `5`, expected a string at line 1 column 1",
  );
  assert.is(
    failure(await caller.call(LOOKUP, new RawPayload(""))),
    "EOF while parsing a value at line 1 column 0",
  );
  assert.match(failure(await caller.call(LOOKUP, new RawPayload("{]"))), / at line 1 column 2$/);
});

test("Rego's net.lookup_ip_addr asks the same way, where it is granted", async () => {
  const ask = async (granted: readonly string[], ...names: readonly string[]) => {
    const calls = names.map((name) => ({ name: "net.lookup_ip_addr", operands: [name] }));
    return await regoVerdict("rego-builtins", [], noInventory, { calls }, granted, netCapabilities());
  };
  const found = await lookup("localhost", { all: true });
  const addresses = [...new Set(found.map(({ address }) => address))].sort();
  const { warnings, message } = await ask(["net/*"], "localhost", "127.0.0.1", "::1", "", "localhost");
  assert.is(message, undefined);
  // A name without addresses makes the call undefined; the others go on.
  assert.equal(JSON.parse(warnings![0]!), [
    [0, "set", addresses],
    [1, "set", ["127.0.0.1"]],
    [2, "set", ["::1"]],
    [4, "set", addresses],
  ]);
  for (const granted of [[], ["oci/*"]]) {
    const { allowed, message } = await ask(granted, "localhost");
    assert.is(allowed, false);
    assert.match(
      message ?? "",
      /net\.lookup_ip_addr.*Policy has not been granted access to the 'net\/v1\/dns_lookup_host' host capability/,
    );
  }
});

test("many lookups at once are all answered", async () => {
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, index) => caller.call(LOOKUP, `127.0.0.${index + 1}`)),
  );
  assert.equal(answers.map((answer) => success(answer).ips[0]), answers.map((_, i) => `127.0.0.${i + 1}`));
});

test.run();
