/** Host calls of an Extism plug-in: one imported function that takes and gives JSON. */
import { Memory } from "@extism/as-pdk";
import { JSON } from "json-as";

@external("extism:host/user", "host_call")
declare function host_call(call: u64): u64;

@external("extism:host/env", "length")
declare function length(block: u64): u64;

@json
class Call {
  namespace: string = "";
  operation: string = "";
  payload: JSON.Raw = new JSON.Raw("null");
}

/** What the host answered: `payload` is JSON, `error` is there when `ok` is false. */
@json
export class Answer {
  ok: bool = false;
  payload: JSON.Raw | null = null;
  error: string = "";
}

/** Asks the host for the capability `namespace/operation`, whose input is `payload`, as JSON. */
export function callHost(namespace: string, operation: string, payload: string): Answer {
  const call = new Call();
  call.namespace = namespace;
  call.operation = operation;
  call.payload = new JSON.Raw(payload);
  const block = host_call(Memory.allocateString(JSON.stringify(call)).offset);
  return JSON.parse<Answer>(new Memory(block, length(block)).toString());
}
