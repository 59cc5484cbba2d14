// Every recorded request, sent to a real API server with our CRDs and our webhooks: allowed or refused alike, with the same field
// paths and fixed texts, and stored alike.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Kind, kindDescription } from "../../crd/mod.ts";
import { SECRETS } from "../../controller/types/resources.ts";
import { binariesFolder, HOW_TO_GET_BINARIES } from "../cluster/binaries/locate.ts";
import {
  GROUPS_CHECKED,
  NAME_TOO_LONG,
  SCHEMA_REQUIRES,
  STORED_DIFFERENCES,
} from "./deliberate_differences.ts";
import { type Any, type Harness, NAMESPACE, objectPath, startHarness, startWithWebhooks } from "./harness.ts";

const file = join(dirname(fileURLToPath(import.meta.url)), "..", "vectors", "admission.jsonl");
const cases: readonly Any[] = readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line));

/** Required fields that our webhook fills in. */
const FILLED_IN = ["spec.mutating", "spec.expression", "spec.message"];

/** Paths of required fields that an object lacks. */
function lacking(schema: Any, value: Any, path: string): string[] {
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => lacking(schema.items ?? {}, item, `${path}[${index}]`));
  }
  if (typeof value !== "object" || value === null) return [];
  const missing = (schema.required ?? [])
    .filter((name: string) => value[name] === undefined && !FILLED_IN.includes(`${path}.${name}`))
    .map((name: string) => `${path}.${name}`);
  return [
    ...missing,
    ...Object.entries(value).flatMap(([name, item]) => {
      const inner = schema.properties?.[name] ?? schema.additionalProperties;
      return inner === undefined ? [] : lacking(inner, item, `${path}.${name}`);
    }),
  ];
}

/** Whether a namespaced policy's rule targets what it may not, judged by its apiGroups. */
function reachesTooFar({ apiGroups = [], resources = [] }: Any): boolean {
  const everything = resources.some((resource: string) => resource === "*" || resource === "*/*");
  const reports = everything || resources.some((resource: string) => /^policyreports($|\/)/.test(resource));
  return (apiGroups.includes("*") && (everything || reports)) ||
    (apiGroups.includes("wgpolicyk8s.io") && reports);
}

type Expected = { readonly allowed: boolean; readonly paths?: readonly string[]; readonly reason?: string };

/** What is expected of us: what was recorded, unless one of the deliberate differences applies. */
function expected({ given, allowed, operation }: Any): Expected {
  const kind = given.kind as Kind;
  const missing = lacking(kindDescription(kind).v1.spec.json, given.spec, "spec");
  if (missing.length > 0) return { allowed: false, paths: missing, reason: SCHEMA_REQUIRES };
  if (allowed && given.metadata.namespace !== undefined && (given.spec.rules ?? []).some(reachesTooFar)) {
    return { allowed: false, reason: GROUPS_CHECKED };
  }
  const { name } = given.metadata;
  if (
    allowed && operation === "CREATE" && kind === "PolicyServer" && (name.length > 38 || name.includes("."))
  ) {
    return { allowed: false, paths: ["metadata.name"], reason: NAME_TOO_LONG };
  }
  return { allowed };
}

/** `path: text` of each error in a message of kubectl's; a compiler's or a decoder's own words are left out. */
function recordedErrors(message: string): string[] {
  const list = /is invalid: ([\s\S]*)$/.exec(message)?.[1];
  if (list === undefined) return [];
  return list.split(/\n\* |^\* /m).map((error) => error.trim()).filter((error) => error !== "").map(
    withoutCompiler,
  );
}

function withoutCompiler(error: string): string {
  return error.replace(/compilation failed:[\s\S]*$/, "compilation failed:").replace(/\s+$/, "");
}

function ourErrors(answer: Any): string[] {
  return (answer.details?.causes ?? []).map(({ field, message }: Any) =>
    withoutCompiler(`${field}: ${message}`)
  );
}

/** What is stored, without what our minimal patch leaves out (see STORED_DIFFERENCES). */
function stored({ apiVersion, kind, metadata, spec }: Any): Any {
  assert.ok(STORED_DIFFERENCES.minimalPatch);
  const copy = structuredClone(spec);
  if (copy.settings === null) delete copy.settings;
  for (const member of Object.values<Any>(copy.policies ?? {})) {
    if (member.settings === null) delete member.settings;
  }
  for (const name of ["affinity", "securityContexts"]) {
    if (copy[name] !== undefined && Object.keys(copy[name]).length === 0) delete copy[name];
  }
  const { name, namespace, finalizers, labels, annotations } = metadata;
  return JSON.parse(JSON.stringify({
    apiVersion,
    kind,
    metadata: { name, namespace, finalizers, labels, annotations },
    spec: copy,
  }));
}

const test = suite<{ harness?: Harness }>("admission", {});

test.before(async (context) => {
  context.harness = await startHarness();
  // Leading would set statuses and remove finalizers; here only the webhooks matter.
  const controller = await startWithWebhooks(context.harness);
  assert.ok(controller.leading());
  const secret = (name: string, type: string, data: Any) =>
    context.harness!.client.create(SECRETS, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, namespace: NAMESPACE },
      type,
      data,
    } as Any);
  await secret("pull-secret", "kubernetes.io/dockerconfigjson", {
    ".dockerconfigjson": btoa('{"auths":{}}'),
  });
});

test.after(async ({ harness }) => await harness?.stop());

/** Sends a request as a dry run: everything is checked and called, nothing is kept. */
async function dryRun(
  harness: Harness,
  { operation, given, old }: Any,
): Promise<{ status: number; answer: Any }> {
  const headers = { "content-type": "application/json" };
  let body = given;
  let path = `${objectPath(given, true)}?dryRun=All`;
  if (operation === "UPDATE") {
    const before = await harness.create(old);
    assert.is(before.kind, old.kind, before.message);
    body = { ...given, metadata: { ...given.metadata, resourceVersion: before.metadata.resourceVersion } };
    path = `${objectPath(given)}?dryRun=All`;
  }
  const method = operation === "UPDATE" ? "PUT" : "POST";
  for (;;) {
    const result = await harness.plane.admin.request({ method, path, headers, body: JSON.stringify(body) });
    const answer = JSON.parse(await result.text());
    // The controller may have written the status meanwhile.
    if (result.status === 409 && operation === "UPDATE" && answer.reason === "Conflict") {
      body.metadata.resourceVersion = (await harness.read(given)).metadata.resourceVersion;
      continue;
    }
    if (operation === "UPDATE") await remove(harness, given);
    return { status: result.status, answer };
  }
}

async function remove(harness: Harness, object: Any): Promise<void> {
  await harness.plane.admin.request({ method: "DELETE", path: objectPath(object) }).then((answer) =>
    answer.text()
  );
  for (;;) {
    const answer = await harness.plane.admin.request({ method: "GET", path: objectPath(object) });
    await answer.text();
    if (answer.status === 404) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

if (binariesFolder() === undefined) {
  test.skip(`217 recorded requests (${HOW_TO_GET_BINARIES})`, () => {});
} else {
  for (const [index, recorded] of cases.entries()) {
    const { operation, given } = recorded;
    test(`${index}: ${operation} ${given.kind} ${given.apiVersion.split("/")[1]}`, async ({ harness }) => {
      const { status, answer } = await dryRun(harness!, recorded);
      const { allowed, paths, reason } = expected(recorded);
      const shown = `${JSON.stringify(given.spec)} → ${JSON.stringify(answer.message ?? answer.spec)}`;
      assert.is(
        status < 300,
        allowed,
        `${shown} (recorded: ${recorded.message ?? "allowed"}; ${reason ?? ""})`,
      );
      if (paths !== undefined) {
        assert.equal(answer.details.causes.map(({ field }: Any) => field).sort(), [...paths].sort(), reason);
      } else if (!allowed && recorded.allowed) {
        assert.ok(reason);
      } else if (allowed) {
        assert.equal(stored(answer), stored(recorded.stored));
      } else {
        const errors = recordedErrors(recorded.message);
        assert.equal(
          ourErrors(answer).filter((error) => errors.includes(error)),
          errors,
          `${shown}\n${recorded.message}`,
        );
      }
    });
  }
}

test.run();
