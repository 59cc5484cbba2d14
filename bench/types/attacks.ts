/**
 * What a hostile policy can do to a policy server: each attack is run while requests go to other policies, by the test
 * (`tests/policy_server/attack_isolation_test.ts`), which looks at answers, and by the bench (`bench/attack_isolation.ts`), which
 * measures.
 */
import type { ExecutionMode } from "../../evaluator/types/metadata.ts";
import { ATTACK_MODES, type AttackText, LONG_REQUEST } from "./attack_guests.ts";
import { HOSTILE_GUESTS } from "./hostile_guests.ts";

/** One attack. */
export interface Attack {
  /** Attacks of a family share a server in the test. */
  readonly family: string;
  readonly name: string;
  /** A guest to be assembled, or a committed module. */
  readonly guest: { readonly mode: ExecutionMode; readonly text: AttackText } | { readonly file: string };
  /** The annotation `do` of the requests. */
  readonly told?: string;
  readonly hostCapabilities?: readonly string[];
  /** What the attacker is answered; undefined where it is accepted, or cut. */
  readonly refused?: RegExp;
  /** Ordinary requests that the policy serves well before it turns hostile; 1 unless given. */
  readonly proof?: number;
  /** Bytes that an answer may have; {@link MAX_ANSWER} unless given. */
  readonly maxAnswer?: number;
  /** Long settings: validating them is the attack, again and again as the server is told to read its policies anew. */
  readonly settings?: boolean;
}

/** Bytes of an answer that tells of an error: the longest text that a guest may say, escaped, and what stands around it. */
export const MAX_ANSWER = 512 * 1024;
/** The limit of a hostile evaluation: the shortest that a policies file can say. */
export const ATTACK_LIMIT_S = 1;

export const INTERRUPTED: RegExp = /exceeded the allowed execution time|execution deadline exceeded/;
/** What ends by itself may be cut on a machine that has other things to do. */
const FAILED = /failure|exceeded|error while executing/;
/** A WASI program is refused with what it wrote to standard error, which here is nothing. */
const WASI_FAILED = /^$|exceeded/;
const failed = (attack: Attack): Attack => ({
  ...attack,
  refused: attack.name.endsWith("(wasi)") ? WASI_FAILED : FAILED,
});

const review = (annotations: Readonly<Record<string, string>>): string =>
  JSON.stringify({
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: "5d7c4e0a-93b1-4f0e-8f4e-2b1a6c9d7e10",
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      name: "attacker",
      namespace: "default",
      operation: "CREATE",
      userInfo: { username: "attacker" },
      object: { apiVersion: "v1", kind: "Pod", metadata: { name: "attacker", annotations } },
    },
  });

const PADDING = "x".repeat(LONG_REQUEST);
/** A request that any policy here serves well. */
export const ORDINARY_REVIEW: string = review({});
/** A request that is the attack. */
export const attackReview = ({ told = "" }: Attack): string => review({ do: told, padding: PADDING });
/** Settings that are the attack. */
export const LONG_SETTINGS: Readonly<Record<string, unknown>> = { padding: PADDING };

/** Every mode's guest with the same text. */
const everyMode = (
  family: string,
  text: AttackText,
  more: Partial<Attack>,
  modes: readonly ExecutionMode[] = ATTACK_MODES,
): Attack[] => modes.map((mode) => ({ family, name: `${family} (${mode})`, guest: { mode, text }, ...more }));

const waPC = (family: string, name: string, text: AttackText, more: Partial<Attack> = {}): Attack => ({
  family,
  name,
  guest: { mode: "kubewarden-wapc", text },
  ...more,
});

/** A guest of the bench of prices: one that never ends. */
const endless = (family: string, name: string, more: Partial<Attack> = {}): Attack => {
  const { body, declarations, before = "", locals, pages } = HOSTILE_GUESTS[name]!;
  const text = { declarations, locals, pages, hostile: `${before} (loop $round ${body} (br $round))` };
  return waPC(family, `${name}${more.proof === undefined ? "" : ", once proven"}`, text as AttackText, {
    refused: INTERRUPTED,
    ...more,
  });
};

const LOOP = "(loop $round (br $round))";
/** Grows page by page as far as it may, so that the host has nothing to refuse, and writes to each page. */
const GROW = {
  locals: "(local $at i32)",
  hostile: `
    (block $full (loop $more
      (local.set $at (memory.grow (i32.const 64)))
      (br_if $full (i32.eq (local.get $at) (i32.const -1)))
      (memory.fill (i32.mul (local.get $at) (i32.const 65536)) (i32.const 1) (i32.const 4194304))
      (br $more)))`,
};

const MIB = 1 << 20;
/** Fills memory from page 1 on with so many `a`. */
const fill = (length: number) => `(memory.fill (i32.const 65536) (i32.const 97) (i32.const ${length}))`;
const texts = (...values: readonly (readonly [at: number, text: string])[]) =>
  values.map(([at, text]) => `(data (i32.const ${at}) "${text.replaceAll('"', '\\"')}")`).join(" ");
/** `{"accepted":false,"message":"aaa…"}` of `length` bytes at page 1, answered. */
const message = (length: number): AttackText => ({
  pages: 4090,
  declarations: texts([256, '{"accepted":false,"message":"'], [512, '"}']),
  hostile: `${fill(length)}
    (memory.copy (i32.const 65536) (i32.const 256) (i32.const 29))
    (memory.copy (i32.const ${65536 + length - 2}) (i32.const 512) (i32.const 2))
    (call $respond (i32.const 65536) (i32.const ${length})) (global.set $responded (i32.const 1))`,
});
const hostCall = (namespace: string, operation: string, payload: number, again = true): AttackText => ({
  pages: 320,
  declarations: texts([256, "kubewarden"], [288, namespace], [352, operation]),
  hostile: `${fill(payload)} ${again ? "(loop $round" : ""}
    (drop (call $host_call (i32.const 256) (i32.const 10) (i32.const 288) (i32.const ${namespace.length})
      (i32.const 352) (i32.const ${operation.length}) (i32.const 65536) (i32.const ${payload})))
    ${again ? "(br $round))" : ""}`,
});
/** Writes `length` bytes to a descriptor, `times` or for ever. */
const write = (descriptor: number, length: number, times?: number): AttackText => ({
  pages: 32,
  locals: "(local $times i32)",
  hostile: `${fill(length)}
    (i32.store (i32.const 256) (i32.const 65536)) (i32.store (i32.const 260) (i32.const ${length}))
    (loop $round
      (drop (call $write (i32.const ${descriptor}) (i32.const 256) (i32.const 1) (i32.const 264)))
      ${
    times === undefined
      ? "(br $round)"
      : `(br_if $round (i32.lt_u (local.tee $times (i32.add (local.get $times) (i32.const 1))) (i32.const ${times})))`
  })`,
});
/** Logs 60 KB at a time. */
const log = (times?: number): AttackText => ({
  pages: 4,
  locals: "(local $times i32)",
  hostile: `${fill(60_000)} (loop $round (call $log (i32.const 65536) (i32.const 60000))
    ${
    times === undefined
      ? "(br $round)"
      : `(br_if $round (i32.lt_u (local.tee $times (i32.add (local.get $times) (i32.const 1))) (i32.const ${times})))`
  })`,
});
const rego = (told: string, refused = /failure|error|exceeded/): Attack => ({
  family: "Rego builtins",
  name: told,
  guest: { file: "tests/policies/rego-hostile/policy.wasm" },
  told,
  refused,
});

/** All attacks. */
export const ATTACKS: readonly Attack[] = [
  ...everyMode("loops", { hostile: LOOP }, { refused: INTERRUPTED }),
  ...everyMode("grows to the limit", GROW, {}),
  ...everyMode("traps with all of its memory", { ...GROW, hostile: `${GROW.hostile} (unreachable)` }, {}).map(
    failed,
  ),
  ...everyMode("recursion", { hostile: "(call $hostile)" }, {}).map(failed),
  ...[
    "memory.fill of 256 MiB",
    "memory.copy of 128 MiB",
    "table.fill of all elements",
    "table.copy of all elements",
    "memory.grow by a page, to the limit",
  ].map((name) => endless("bulk operations", name)),
  ...[
    "throw and catch",
    "throw of 700 values",
    "throw through 5,000 frames",
    "deep recursion",
    "900 parameters and results, indirectly",
    "chained loads",
  ].map((name) => endless("exceptions, calls and memory", name)),
  ...["an empty loop", "table.fill of 255 elements", "memory.fill of 256 MiB", "throw and catch"].map((
    name,
  ) => endless("once proven", name, { proof: 200 })),
  waPC("large answers", "__guest_error of 250 MB", {
    pages: 4090,
    hostile: `${fill(250_000_000)} (call $error (i32.const 65536) (i32.const 250000000)) (unreachable)`,
  }, { refused: FAILED }),
  waPC("large answers", "two names of 100 MB in a host call", {
    pages: 4090,
    hostile: `${fill(200_000_000)} (drop (call $host_call (i32.const 65536) (i32.const 10)
      (i32.const 65536) (i32.const 100000000) (i32.const 100065536) (i32.const 100000000)
      (i32.const 65536) (i32.const 10)))`,
  }, { refused: FAILED }),
  waPC("large answers", "a response of 250 MB", message(250_000_000), { refused: FAILED }),
  waPC("large answers", "a response of 15 MiB", message(15 * MIB), { refused: FAILED }),
  waPC("large answers", "a response of 4 MiB", message(4 * MIB), {
    refused: /^a+$/,
    maxAnswer: 5 * MIB,
  }),
  waPC("large answers", "a response of 4 MiB that is no JSON", {
    pages: 4090,
    hostile: `${fill(4 * MIB)} (call $respond (i32.const 65536) (i32.const ${4 * MIB}))
      (global.set $responded (i32.const 1))`,
  }, { refused: /invalid response|exceeded/ }),
  waPC("floods", "logs for ever", log(), { refused: INTERRUPTED }),
  waPC("floods", "2 MB of log in every quick request", log(35), { proof: 50 }),
  waPC("floods", "host calls of log entries", hostCall("tracing", "log", 20_000), { refused: INTERRUPTED }),
  waPC("floods", "standard error of waPC", write(2, 65_536), { refused: INTERRUPTED }),
  ...everyMode("floods", write(2, MIB), { name: "standard error of WASI", refused: INTERRUPTED }, ["wasi"]),
  ...everyMode("floods", write(1, MIB), { name: "standard output of WASI", refused: /./ }, ["wasi"]),
  waPC("floods", "small writes to standard error", write(2, 1), { refused: INTERRUPTED }),
  waPC("floods", "denied host calls", hostCall("kubernetes", "can_i", 10), { refused: INTERRUPTED }),
  waPC("floods", "denied host calls of 4 MiB", hostCall("kubernetes", "can_i", 4 * MIB), {
    refused: INTERRUPTED,
  }),
  waPC("floods", "one denied host call in every quick request", hostCall("kubernetes", "can_i", 10, false), {
    proof: 50,
  }),
  waPC("floods", "unknown host calls", hostCall("nothing", "of the kind", 10), {
    refused: INTERRUPTED,
    hostCapabilities: ["*"],
  }),
  waPC("floods", "granted host calls of 1 MB", hostCall("crypto", "v1/is_certificate_trusted", 1_000_000), {
    refused: INTERRUPTED,
    hostCapabilities: ["crypto/*"],
  }),
  ...[
    "hex.decode",
    "json.patch",
    "urlquery.decode_object",
    "yaml.unmarshal",
    "regex.replace",
    "sprintf",
    "net.cidr_expand",
    "graph.reachable_paths",
    "json.match_schema",
    "strings.render_template",
    "crypto.x509.parse_certificates",
    "numbers.range",
    "concat",
  ].map((name) => rego(name)),
  ...everyMode("settings", { hostile: LOOP }, { refused: /settings are invalid/, settings: true }, [
    "kubewarden-wapc",
    "wasi",
    "extism",
  ]),
];
