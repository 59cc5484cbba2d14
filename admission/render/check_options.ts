/** What the options of policies and of groups may be, see `admission/types/options.ts`. */
import {
  ANY,
  BOOLEAN,
  FUNCTION,
  oneOf,
  optionFault,
  type OptionRules,
  ruled,
  TEXT,
  TEXTS,
  whole,
} from "../../program/types/option_rules.ts";
import { isObject } from "../../program/types/json_object.ts";
import type {
  GroupMember,
  ModuleOptions,
  PolicyGroupOptions,
  PolicyOptions,
  RunOptions,
} from "../types/options.ts";
import { viewedBytes } from "./given_json.ts";
import { PolicyError } from "../types/policy_error.ts";

/** The address space of a 32-bit guest. */
const MAX_MEMORY_MIB = 4_096;
/** Nobody has as many processors, and each takes tens of megabytes. */
const MAX_THREADS = 1_024;

const RUN: OptionRules<RunOptions> = {
  timeoutMs: ruled(
    "a number of milliseconds above 0, or Infinity",
    (value) => typeof value === "number" && value > 0,
  ),
  memoryMib: whole(1, MAX_MEMORY_MIB),
  threads: whole(0, MAX_THREADS),
  onLog: FUNCTION,
  onThreadError: FUNCTION,
};
const MODULE: OptionRules<Omit<ModuleOptions, "name">> = {
  // What they are is checked where they are written as JSON.
  settings: ANY,
  validateSettings: BOOLEAN,
  hostCapabilities: TEXTS,
  contextAwareResources: ruled("a list of { apiVersion, kind }", (value) =>
    Array.isArray(value) &&
    value.every((one) =>
      isObject(one) && typeof one["apiVersion"] === "string" && typeof one["kind"] === "string"
    )),
  host: ruled(
    "what hostCapabilities(…) or replaySession(…) gives, awaited",
    (value) => isObject(value) && isObject(value["capabilities"]),
  ),
  onHostCall: FUNCTION,
};
const MODE = oneOf("protect", "monitor");
const POLICY: OptionRules<PolicyOptions> = {
  ...RUN,
  ...MODULE,
  name: TEXT,
  mode: MODE,
  message: TEXT,
  allowedToMutate: BOOLEAN,
};
const GROUP: OptionRules<PolicyGroupOptions> = {
  ...RUN,
  name: TEXT,
  mode: MODE,
  message: TEXT,
  expression: TEXT,
};
const MEMBER: OptionRules<GroupMember> = {
  ...MODULE,
  policy: ruled(
    "a module's bytes, its path or its URL",
    (value) => typeof value === "string" || viewedBytes(value) !== undefined || value instanceof URL,
  ),
};

/** Throws {@link PolicyError} for options that a policy can't have. */
export function checkPolicyOptions(options: PolicyOptions): void {
  const fault = optionFault(options, POLICY);
  if (fault !== undefined) throw new PolicyError("invalid_options", fault);
}

/** Throws {@link PolicyError} for members and options that no group has. */
export function checkGroup(
  members: Readonly<Record<string, GroupMember>>,
  options: PolicyGroupOptions,
): void {
  const fault = optionFault(options, GROUP);
  if (fault !== undefined) throw new PolicyError("invalid_options", fault);
  for (const name of ["expression", "message"] as const) {
    if (options[name] === undefined) throw new PolicyError("invalid_options", `a group needs ${name}`);
  }
  if (!isObject(members) || Object.keys(members).length === 0) {
    throw new PolicyError(
      "invalid_group",
      `${
        options.name ?? "group"
      }: it has no members: give at least one, as in { signed: { policy: "signed.wasm" } }`,
    );
  }
  for (const [name, member] of Object.entries(members)) {
    const fault = optionFault(member, MEMBER);
    if (fault !== undefined) throw new PolicyError("invalid_options", `${name}: ${fault}`);
    if (member.policy === undefined) {
      throw new PolicyError("invalid_options", `${name}: it needs policy: ${MEMBER.policy.must}`);
    }
  }
}
