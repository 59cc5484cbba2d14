/**
 * AdmissionReviews: what the server's scanner takes is what `JSON.parse` takes, the members that it finds are those that
 * `JSON.parse` finds, and the guest gets to see the same values.
 *
 * The scanner refuses more than `JSON.parse`, as the original does: deep nesting, lone surrogates, numbers that no double can
 * hold, and of the request's members wrong kinds and repeated names.
 */
import { JsonSyntaxError, MAX_DEPTH } from "../../../evaluator/render/json_scan.ts";
import {
  readRawReview,
  readReview,
  type Review,
  ReviewShapeError,
} from "../../../evaluator/render/review.ts";
import { HOSTILE_WORDS, mutateJson } from "../mutate.ts";
import { holds, same, type Target } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lossy = new TextDecoder("utf-8", { ignoreBOM: true });

const KIND = { group: "", version: "v1", kind: "Pod" };
const RESOURCE = { group: "", version: "v1", resource: "pods" };
const request = (more: object) => ({
  request: {
    uid: "u",
    kind: KIND,
    resource: RESOURCE,
    operation: "CREATE",
    userInfo: { username: "a", uid: "b", groups: ["g", "h"], extra: { k: ["v"], l: [] } },
    ...more,
  },
});
const SEEDS: readonly unknown[] = [
  request({}),
  { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", ...request({ name: "n", namespace: "ns" }) },
  request({
    requestKind: KIND,
    requestResource: RESOURCE,
    subResource: "status",
    requestSubResource: "scale",
    dryRun: true,
    options: { kind: "CreateOptions", fieldManager: "kubectl" },
    object: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "p", labels: { a: "b", "é": "😀" }, annotations: null },
      spec: { containers: [{ name: "c", image: "nginx", securityContext: { privileged: true } }] },
    },
    oldObject: [1, 1.5, -0, 1e21, { z: {}, a: [] }],
  }),
  request({ object: null, oldObject: null, name: null, unknown: { a: [1] } }),
  { request: 1 },
  { request: [{ uid: "u" }] },
  {},
  [],
];
const WORDS = [
  "request",
  "uid",
  "kind",
  "resource",
  "requestKind",
  "requestResource",
  "subResource",
  "requestSubResource",
  "name",
  "namespace",
  "operation",
  "userInfo",
  "username",
  "groups",
  "extra",
  "object",
  "oldObject",
  "dryRun",
  "options",
  "apiVersion",
  "group",
  "version",
  "metadata",
  "CREATE",
];
/** What of a request reaches the guest. */
const MEMBERS = new Set([
  ...["uid", "kind", "resource", "operation", "userInfo", "subResource", "requestKind", "requestResource"],
  ...["requestSubResource", "name", "namespace", "object", "oldObject", "dryRun", "options"],
]);

type Read = { readonly review: Review } | { readonly error: Error };

function attempt(read: (body: Uint8Array) => Review, body: Uint8Array): Read {
  try {
    return { review: read(body) };
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof ReviewShapeError) return { error };
    throw error;
  }
}

function joined(review: Review): Uint8Array {
  const whole = new Uint8Array(review.length);
  let at = 0;
  for (const piece of review.pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  same("the length of the pieces", review.length, at);
  return whole;
}

function depthOf(text: string): number {
  let depth = 0, deepest = 0, quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quoted) {
      if (character === "\\") at++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "{" || character === "[") deepest = Math.max(deepest, ++depth);
    else if (character === "}" || character === "]") depth--;
  }
  return deepest;
}

/** Whether the text holds what the scanner refuses on purpose though it is JSON. */
const refusedOnPurpose = (text: string): boolean =>
  depthOf(text) >= MAX_DEPTH - 3 || /\\u[dD][89a-fA-F]/.test(text) || /\d[eE]\+?\d{3}|\d{300}/.test(text);

type Members = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const member = (value: unknown, name: string): unknown =>
  isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;

/** What the guest should see of a part of the request: known members that are not null. */
function kept(value: unknown, names: ReadonlySet<string>): Members {
  return Object.fromEntries(
    Object.entries(value as Members).filter(([name, inner]) => names.has(name) && inner !== null),
  );
}
const GVK = new Set(["group", "version", "kind"]), GVR = new Set(["group", "version", "resource"]);
const USER = new Set(["username", "uid", "groups", "extra"]);

function expectedRequest(given: unknown): Members {
  const seen: Record<string, unknown> = kept(given, MEMBERS);
  for (const name of ["kind", "requestKind"]) if (name in seen) seen[name] = kept(seen[name], GVK);
  for (const name of ["resource", "requestResource"]) if (name in seen) seen[name] = kept(seen[name], GVR);
  const user: Record<string, unknown> = kept(seen["userInfo"], USER);
  if (isObject(user["extra"])) {
    user["extra"] = Object.fromEntries(Object.entries(user["extra"]).filter(([, groups]) => groups !== null));
  }
  seen["userInfo"] = user;
  return seen;
}

/** JSON with sorted keys. Keys that look like numbers change their place when they pass through an object. */
const canonical = (value: unknown): string =>
  JSON.stringify(
    value,
    (_key, inner) =>
      isObject(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0))
        : inner,
  );

function checkReview(review: Review, parsed: unknown): void {
  const given = member(parsed, "request");
  const seen = JSON.parse(lossy.decode(joined(review)));
  const expected = expectedRequest(given);
  same("what the guest sees", canonical(expected), canonical(seen));
  same("uid", expected["uid"], review.uid);
  same("operation", expected["operation"], review.operation);
  same("namespace", expected["namespace"], review.namespace);
  same("kind", member(expected["requestKind"], "kind") ?? "", review.kind);
  const object = review.object && JSON.parse(lossy.decode(joined(review).subarray(...review.object)));
  same("object", canonical(expected["object"]), canonical(object));
}

function checkRaw(review: Review, parsed: unknown): void {
  const given = member(parsed, "request");
  same("the raw request", canonical(given), canonical(JSON.parse(lossy.decode(joined(review)))));
  // Of repeated names the last counts, for `JSON.parse` as for the reader.
  const uid = member(given, "uid");
  same("uid of a raw request", typeof uid === "string" ? uid : "", review.uid);
}

export const target: Target = {
  name: "reviews",
  seeds: () => [
    ...SEEDS.map((seed) => encoder.encode(JSON.stringify(seed))),
    ...['{"request":{"uid":1.0e2}}', '{ "request" : [ "\\u0041", -0.0 , 1E+2 ] }'].map((text) =>
      encoder.encode(text)
    ),
  ],
  generate: (random, seeds) => mutateJson(random, seeds, random.oneIn(8) ? HOSTILE_WORDS : WORDS),
  expected: [JsonSyntaxError, ReviewShapeError],
  run: (body) => {
    let text: string;
    try {
      text = decoder.decode(body);
    } catch {
      // The server refuses such a body before it reads it; the scanner must only not fall over it.
      attempt(readReview, body);
      attempt(readRawReview, body);
      return;
    }
    let parsed: unknown;
    let valid = true;
    try {
      parsed = JSON.parse(text);
    } catch {
      valid = false;
    }
    const raw = attempt(readRawReview, body);
    const review = attempt(readReview, body);
    if (!valid) {
      holds(!("review" in raw), "a raw review was read from what is not JSON");
      holds(!("review" in review), "a review was read from what is not JSON");
    }
    if ("review" in raw) checkRaw(raw.review, parsed);
    else if (valid && raw.error instanceof JsonSyntaxError && !refusedOnPurpose(text)) {
      holds(false, `JSON was refused: ${raw.error.message}`);
    }
    if ("review" in review) checkReview(review.review, parsed);
    else if (valid && review.error instanceof JsonSyntaxError && !refusedOnPurpose(text)) {
      holds(false, `JSON was refused: ${review.error.message}`);
    }
    if ("error" in review) throw review.error;
  },
};
