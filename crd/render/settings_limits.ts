/**
 * Limits of a policy's settings, whose form is the policy's own business. All policies of a PolicyServer are written into one
 * file: settings that it cannot hold, or that its reader refuses, would keep everybody else's policies from being served.
 */
import { deeperThan } from "../../program/types/depth.ts";
import { isGroup, type Policy } from "../types/kinds.ts";
import { type FieldError, forbidden } from "./field_error.ts";

/** Levels of lists and maps. Policy servers read files of up to 128 levels, and a member's settings begin at the fifth. */
export const MAX_SETTINGS_DEPTH = 100;
/** Characters of a member's name in the path of an error. */
const MAX_NAME = 100;

/** The paths of settings that are nested too deeply. */
function tooDeep(policy: Policy): readonly string[] {
  const all: readonly (readonly [path: string, settings: unknown])[] = isGroup(policy)
    ? Object.entries(policy.spec.policies ?? {}).map(([name, member]) =>
      [`spec.policies[${name.slice(0, MAX_NAME)}].settings`, member?.settings] as const
    )
    : [["spec.settings", policy.spec.settings]];
  return all.filter(([, settings]) => deeperThan(settings, MAX_SETTINGS_DEPTH)).map(([path]) => path);
}

/** Errors of a policy's settings, or of those of its members. */
export function checkSettings(policy: Policy): readonly FieldError[] {
  return tooDeep(policy).map((path) =>
    forbidden(path, `settings must not be nested more than ${MAX_SETTINGS_DEPTH} levels deep`)
  );
}
