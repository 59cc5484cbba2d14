// Issue 4, "Bad input": groups whose members fail, mutate, are not granted what they need, or whose expression is none.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { STATEFUL_MODES, statefulGuest } from "../evaluator/stateful_guests.ts";
import { ask, reviewOf } from "./requests.ts";
import { moduleUrl, serving } from "./server_process.ts";

const CONTEXT = {
  contextAwareResources: [{ apiVersion: "v1", kind: "Namespace" }, { apiVersion: "v1", kind: "Service" }],
};
const SECCOMP = { module: moduleUrl("policies/default-seccomp/policy.wasm") };

const folder = mkdtempSync(join(tmpdir(), "groups-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** The guest of a mode as a member. */
function guest(mode: (typeof STATEFUL_MODES)[number]) {
  const path = join(folder, `${mode}.wasm`);
  writeFileSync(path, statefulGuest(mode));
  return { module: pathToFileURL(path).href, timeoutEvalSeconds: 1 };
}

test("a member that fails is no `no`: the group is refused, whatever the mode and the reason", () => {
  const groups = STATEFUL_MODES.map((mode) => {
    const policies = { broken: guest(mode), fine: guest("wasi") };
    return [
      [`not-${mode}`, { policies, expression: "!broken()", message: "refused" }],
      [`and-${mode}`, { policies, expression: "broken() && fine()", message: "refused" }],
    ] as const;
  }).flat();
  const denied = ["opa", "gatekeeper"].map((mode) => {
    const module = moduleUrl(`tests/policies/${mode}-context/policy.wasm`);
    return [`denied-${mode}`, {
      policies: { context: { module, ...CONTEXT } },
      expression: "!context()",
      message: "refused",
    }] as const;
  });
  return serving({
    policies: Object.fromEntries([...groups, ...denied]),
    flags: ["--workers", "2"],
  }, async (server) => {
    const judge = async (group: string, word: string) => {
      const body = reviewOf({}, { object: { metadata: { name: "a" }, word } });
      const answer = await ask(server, { path: `/validate/${group}`, body });
      assert.is(answer.status, 200);
      const { allowed, status } = JSON.parse(answer.body).response;
      return { allowed, message: status?.message, code: status?.code };
    };
    const failed = (reason: RegExp, found: Awaited<ReturnType<typeof judge>>) => {
      assert.is(found.allowed, false);
      assert.is(found.code, 500);
      assert.match(found.message, reason);
    };
    for (const mode of STATEFUL_MODES) {
      assert.equal(await judge(`and-${mode}`, "a"), { allowed: true, message: undefined, code: undefined });
      assert.equal(await judge(`not-${mode}`, "a"), { allowed: false, message: "refused", code: undefined });
      for (const word of ["TRAP", "SPIN"]) {
        failed(
          /^error evaluating policy group expression: it depends on members that failed: broken: /,
          await judge(`not-${mode}`, word),
        );
        const refusal = await judge(`and-${mode}`, word);
        assert.is(refusal.allowed, false);
        assert.is(refusal.message, "refused");
      }
    }
    for (const mode of ["opa", "gatekeeper"]) {
      failed(
        /it depends on members that failed: context: Policy has not been granted access to the 'kubernetes\/list_resources_all'/,
        await judge(`denied-${mode}`, "a"),
      );
    }
  });
});

test("a member that mutates counts as refusing, also where it is negated", () =>
  serving({
    policies: {
      plain: { policies: { seccomp: SECCOMP }, expression: "seccomp()", message: "refused" },
      negated: { policies: { seccomp: SECCOMP }, expression: "!seccomp()", message: "refused" },
    },
  }, async (server) => {
    const judge = async (group: string, spec: unknown) => {
      const body = reviewOf({}, { object: { apiVersion: "v1", kind: "Pod", metadata: { name: "a" }, spec } });
      return JSON.parse((await ask(server, { path: `/validate/${group}`, body })).body).response;
    };
    const bare = { containers: [{ name: "a", image: "a" }] };
    const mutated = await judge("plain", bare);
    assert.is(mutated.allowed, false);
    assert.is(mutated.patch, undefined);
    assert.is(mutated.status.message, "refused");
    assert.equal(mutated.status.details.causes, [{
      reason: null,
      message: "mutation is not allowed inside of policy group",
      field: "spec.policies.seccomp",
    }]);
    const negated = await judge("negated", bare);
    assert.is(negated.allowed, true);
    assert.is(negated.patch, undefined);
  }));

test.run();
