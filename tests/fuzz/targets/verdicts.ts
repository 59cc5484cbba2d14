/**
 * Answers of guests. The input is an object and an answer, a line each. A patch that comes of a mutated object makes that
 * object of the one that was asked about, number by number as they are written.
 */
import { gatekeeperVerdict, opaVerdict } from "../../../evaluator/render/rego_verdict.ts";
import { expectEnd, MAX_DEPTH, skipSpace, skipValue } from "../../../evaluator/render/json_scan.ts";
import { isRawNumber, type LosslessJson, parseLossless } from "../../../evaluator/render/lossless_json.ts";
import { AnswerError, settingsVerdictOf, verdictOf } from "../../../evaluator/render/verdict.ts";
import type { EvaluationRequest } from "../../../evaluator/types/evaluation.ts";
import { HOSTILE_WORDS, mutateJson } from "../mutate.ts";
import { Finding, same, type Target } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const OBJECTS = [
  '{"metadata":{"name":"p","labels":{"a":"b","a/b~c":"1"}},"spec":{"list":[1,1.0,-0,1e2,{"x":[]}],"big":9223372036854775807}}',
  '{"a":{"b":{"c":[[1,2],[3]]}},"":null}',
  "[1,2,3]",
  '{"k":1.50}',
].map((text) => encoder.encode(text));
const ANSWERS = [
  '{"accepted":true}',
  '{"accepted":false,"message":"no","code":400,"warnings":["a","b"],"audit_annotations":{"a":"b"}}',
  '{"accepted":true,"mutated_object":{"a":1},"warnings":null,"audit_annotations":null}',
  '{"valid":true}',
  '{"valid":false,"message":"m"}',
  '[{"result":{"uid":"","response":{"uid":"u","allowed":true}}}]',
  '[{"result":{"response":{"allowed":false,"status":{"message":"m","code":403},"patch":"W10=","warnings":["w"]}}}]',
  '[{"result":[{"msg":"a"},{"msg":"b","details":{}}]}]',
  "[]",
].map((text) => encoder.encode(text));
const WORDS = [
  "accepted",
  "message",
  "code",
  "mutated_object",
  "audit_annotations",
  "warnings",
  "valid",
  "result",
  "response",
  "allowed",
  "status",
  "patch",
  "msg",
  "details",
  "metadata",
  "spec",
  "a/b",
  "~1",
];

type Operation = { readonly op: string; readonly path: string; readonly value?: LosslessJson };
type Tree = Map<string, Tree> | Tree[] | Exclude<LosslessJson, readonly LosslessJson[] | object> | {
  rawJSON: string;
};

function treeOf(value: LosslessJson): Tree {
  if (Array.isArray(value)) return value.map(treeOf);
  if (typeof value === "object" && value !== null && !isRawNumber(value)) {
    return new Map(Object.entries(value).map(([name, member]) => [name, treeOf(member)]));
  }
  return value as Tree;
}

function apply(root: Tree, { op, path, value }: Operation): Tree {
  const steps = path.split("/").slice(1).map((step) => step.replace(/~1/g, "/").replace(/~0/g, "~"));
  const last = steps.pop();
  const added = op === "remove" ? null : treeOf(value!);
  if (last === undefined) return added;
  let at: Tree = root;
  for (const step of steps) {
    at = (at instanceof Map ? at.get(step) : (at as Tree[])[Number(step)]) as Tree;
  }
  if (at instanceof Map) {
    if (op !== "add" && !at.has(last)) throw new Finding("difference", `a patch ${op}s what is not there`);
    if (op === "remove") at.delete(last);
    else at.set(last, added);
  } else if (Array.isArray(at)) {
    const index = Number(last);
    if (op === "add") at.splice(index, 0, added);
    else if (op === "remove") at.splice(index, 1);
    else at[index] = added;
  } else throw new Finding("difference", `a patch goes into what is no object: ${path}`);
  return root;
}

/** The tree as text, keys in order; equal doubles count as equal. */
function text(value: Tree): string {
  if (Array.isArray(value)) return `[${value.map(text).join()}]`;
  if (value instanceof Map) {
    return `{${
      [...value].sort(([a], [b]) => a < b ? -1 : 1).map(([name, member]) =>
        `${JSON.stringify(name)}:${text(member)}`
      )
        .join()
    }}`;
  }
  if (isRawNumber(value as LosslessJson)) {
    const { rawJSON } = value as { rawJSON: string };
    return /[.e]/.test(rawJSON) ? `double ${Number(rawJSON) + 0}` : rawJSON;
  }
  return JSON.stringify(value);
}

function attempt(read: () => unknown): unknown {
  try {
    read();
    return undefined;
  } catch (error) {
    if (!(error instanceof AnswerError || error instanceof SyntaxError || error instanceof RangeError)) {
      throw error;
    }
    // The two that engines throw are for numbers out of range and for text that is not JSON.
    if (error instanceof RangeError && !error.message.startsWith("number out of range")) throw error;
    if (error instanceof SyntaxError) {
      throw new Finding("crash", `a SyntaxError is no declared one: ${error.message}`);
    }
    return error;
  }
}

export const target: Target = {
  name: "verdicts",
  seeds: () =>
    ANSWERS.map((answer, at) => Buffer.concat([OBJECTS[at % OBJECTS.length]!, Buffer.from("\n"), answer])),
  generate: (random) => {
    const object = random.oneIn(2) ? random.pick(OBJECTS) : mutateJson(random, OBJECTS, WORDS);
    let answer: Uint8Array;
    if (random.oneIn(2)) answer = mutateJson(random, ANSWERS, random.oneIn(8) ? HOSTILE_WORDS : WORDS);
    else {
      const mutated = decoder.decode(mutateJson(random, [object, random.pick(OBJECTS)], WORDS));
      answer = encoder.encode(`{"accepted":true,"mutated_object":${mutated}}`);
    }
    return Buffer.concat([object, Buffer.from("\n"), answer]);
  },
  expected: [AnswerError, RangeError],
  run: (input) => {
    const newline = input.indexOf(0x0a);
    const [object, answer] = newline < 0
      ? [input.subarray(0, 0), input]
      : [input.subarray(0, newline), input.subarray(newline + 1)];
    let before: Tree | undefined;
    try {
      // As for the server's requests: what is no JSON never reaches the reader that keeps numbers. V8 (Node 26) corrupts its
      // memory when `JSON.parse` with a function often fails on deep texts (`found/verdicts/v8-crash-in-a-reviver`).
      expectEnd(object, skipValue(object, skipSpace(object, 0), MAX_DEPTH));
      before = treeOf(parseLossless(strict.decode(object)));
    } catch {
      before = undefined; // no JSON in UTF-8: the server would not have asked
    }
    const request: EvaluationRequest = {
      json: object,
      object: before === undefined ? undefined : [0, object.length],
    } as unknown as EvaluationRequest;
    const faults = [
      attempt(() => settingsVerdictOf(answer)),
      attempt(() => opaVerdict(answer)),
      attempt(() => gatekeeperVerdict(answer)),
      attempt(() => {
        const { patch } = verdictOf(answer, request);
        if (patch === undefined || before === undefined) return;
        const mutated = parseLossless(decoder.decode(answer)) as { readonly mutated_object: LosslessJson };
        let patched = before;
        for (const operation of parseLossless(patch) as readonly Operation[]) {
          patched = apply(patched, operation);
        }
        same("the patched object", text(treeOf(mutated.mutated_object)), text(patched));
      }),
    ];
    if (faults.every((fault) => fault !== undefined)) throw faults[3];
  },
};
