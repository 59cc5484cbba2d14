/** The JSON that `host_call` of Extism plug-ins takes and gives (`docs/extism_policies.md`). */
import type { HostCallAnswer } from "../types/evaluation.ts";
import type { GuestCall } from "../types/guest.ts";
import {
  expectEnd,
  JsonSyntaxError,
  MAX_DEPTH,
  position,
  scanObject,
  skipSpace,
  skipString,
  skipValue,
  stringValue,
} from "./json_scan.ts";

/** Raised for a call that can't be read; the message says what is wrong and where. */
export class HostCallError extends Error {
  override readonly name = "HostCallError";
}

const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);
const OPEN_BRACE = 0x7b, QUOTE = 0x22;
/** Members of a call, of which four have a meaning. */
const MAX_MEMBERS = 64;
/** Bytes of a name as JSON, quotes and escapes included. */
const MAX_NAME = 1024;
const NAMES = ["binding", "namespace", "operation"] as const;

/**
 * Reads `{"binding"?: "kubewarden", "namespace": "…", "operation": "…", "payload"?: any JSON}`. The payload goes on byte for
 * byte. Throws {@link HostCallError}.
 */
export function readHostCall(json: Uint8Array): GuestCall {
  const names = new Map<string, string>();
  let payload: Uint8Array = NOTHING;
  try {
    const start = skipSpace(json, 0);
    if (json[start] !== OPEN_BRACE) throw new HostCallError(`expected an object at ${position(json, start)}`);
    let members = 0;
    const end = scanObject(json, start, (keyStart, keyEnd, valueStart) => {
      if (++members > MAX_MEMBERS) {
        throw new HostCallError(`over ${MAX_MEMBERS} members at ${position(json, keyStart)}`);
      }
      const key = stringValue(json, keyStart, keyEnd);
      if (key === "payload") {
        const valueEnd = skipValue(json, valueStart, MAX_DEPTH - 1);
        payload = json.slice(valueStart, valueEnd);
        return valueEnd;
      }
      if (!NAMES.some((name) => name === key)) return skipValue(json, valueStart, MAX_DEPTH - 1);
      if (json[valueStart] !== QUOTE) {
        throw new HostCallError(`${key}: expected a string at ${position(json, valueStart)}`);
      }
      const valueEnd = skipString(json, valueStart);
      if (valueEnd - valueStart > MAX_NAME) {
        throw new HostCallError(`${key}: over ${MAX_NAME} bytes at ${position(json, valueStart)}`);
      }
      names.set(key, stringValue(json, valueStart, valueEnd));
      return valueEnd;
    });
    expectEnd(json, end);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new HostCallError(`${error.message} at ${position(json, error.at)}`);
  }
  const namespace = names.get("namespace");
  const operation = names.get("operation");
  if (namespace === undefined) throw new HostCallError("missing field `namespace`");
  if (operation === undefined) throw new HostCallError("missing field `operation`");
  return { binding: names.get("binding") ?? "kubewarden", namespace, operation, payload };
}

const PAYLOAD = encoder.encode('{"ok":true,"payload":');
const EMPTY = encoder.encode('{"ok":true,"payload":null}');
const END = encoder.encode("}");

const failed = (error: string) => encoder.encode(JSON.stringify({ ok: false, error }));

/** Writes `{"ok": true, "payload": …}`, the payload byte for byte and `null` when it is empty, or `{"ok": false, "error"}`. */
export function writeHostCallAnswer(answer: HostCallAnswer): Uint8Array {
  if (!answer.ok) return failed(answer.error);
  // What threads share can't be decoded.
  const payload = answer.payload.buffer instanceof SharedArrayBuffer
    ? answer.payload.slice()
    : answer.payload;
  if (payload.length === 0) return EMPTY;
  try {
    expectEnd(payload, skipValue(payload, skipSpace(payload, 0), MAX_DEPTH - 1));
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return failed(`the host's answer is no JSON: ${error.message}`);
  }
  const bytes = new Uint8Array(PAYLOAD.length + payload.length + END.length);
  bytes.set(PAYLOAD);
  bytes.set(payload, PAYLOAD.length);
  bytes.set(END, PAYLOAD.length + payload.length);
  return bytes;
}
