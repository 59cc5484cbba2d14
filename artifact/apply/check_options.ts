/** What the options of this room's functions may be, see `artifact/types/options.ts`. */
import {
  BOOLEAN,
  FUNCTION,
  OBJECT,
  oneOf,
  optionFault,
  type OptionRules,
  ruled,
  TEXT,
} from "../../program/types/option_rules.ts";
import { isObject } from "../../program/types/json_object.ts";
import { own } from "../../program/types/own.ts";
import { ArtifactError } from "../types/error.ts";
import { type ArtifactOptions, DEFAULT_LIMITS, type Limits } from "../types/options.ts";
import type { Destination } from "./fetch.ts";
import type { TrustRootSource } from "./trust_root.ts";

const NUMBER = ruled("a number of 0 or more", (value) => typeof value === "number" && value >= 0);
const LIMITS = Object.fromEntries(
  Object.keys(DEFAULT_LIMITS).map((name) => [name, NUMBER]),
) as OptionRules<Limits>;

const OPTIONS: OptionRules<ArtifactOptions> = {
  sources: ruled(
    "what readSources(path) gives, awaited: its insecureSources is a Set, its sourceAuthorities a Map",
    (value) =>
      isObject(value) && value["insecureSources"] instanceof Set && value["sourceAuthorities"] instanceof Map,
  ),
  dockerConfigDir: TEXT,
  env: OBJECT,
  signal: ruled("an AbortSignal", (value) => isObject(value) && typeof value["aborted"] === "boolean"),
  limits: OBJECT,
  onEvent: FUNCTION,
};
const DESTINATIONS: {
  readonly [Kind in Destination["kind"]]: OptionRules<Extract<Destination, { kind: Kind }>>;
} = {
  store: { kind: oneOf("store"), root: TEXT },
  file: { kind: oneOf("file"), path: TEXT },
};
const TRUST_ROOTS: {
  readonly [Kind in TrustRootSource["kind"]]: OptionRules<Extract<TrustRootSource, { kind: Kind }>>;
} = {
  file: { kind: oneOf("file"), path: TEXT },
  tuf: { kind: oneOf("tuf"), cacheDir: TEXT, mirror: TEXT, rootPath: TEXT, offline: BOOLEAN },
};

function refuse(what: string, fault: string | undefined): void {
  if (fault !== undefined) throw new ArtifactError("invalid_options", `${what}${fault}`);
}

/** Throws {@link ArtifactError} `invalid_options` for what can't be used. */
export function checkArtifactOptions(options: ArtifactOptions): void {
  refuse("", optionFault(options, OPTIONS));
  if (options.limits !== undefined) refuse("limits: ", optionFault(options.limits, LIMITS));
}

/** Throws {@link ArtifactError} `invalid_options` for a place that is none. */
export function checkDestination(destination: Destination): void {
  checkKind("destination", destination, DESTINATIONS, { store: "root", file: "path" });
}

/** Throws {@link ArtifactError} `invalid_options` for what no trust root can be read from. */
export function checkTrustRootSource(source: TrustRootSource): void {
  checkKind("trust root", source, TRUST_ROOTS, { file: "path", tuf: "cacheDir" });
}

function checkKind(
  what: string,
  given: object,
  rules: Readonly<Record<string, OptionRules<object>>>,
  needed: Readonly<Record<string, string>>,
): void {
  const kind = isObject(given) ? String(given["kind"]) : "";
  const known = own(rules, kind);
  const name = own(needed, kind);
  if (known === undefined || name === undefined) {
    throw new ArtifactError("invalid_options", `${what}: its kind is ${Object.keys(rules).join(" or ")}`);
  }
  refuse(`${what}: `, optionFault(given, known));
  if (own(given as Readonly<Record<string, unknown>>, name) === undefined) {
    refuse(`${what}: `, `it needs ${name}`);
  }
}
