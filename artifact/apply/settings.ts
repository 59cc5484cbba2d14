/** The options of a call with every default filled in. */
import process from "node:process";
import { type ArtifactOptions, DEFAULT_LIMITS, type Environment, type Limits } from "../types/options.ts";
import { NO_SOURCES, type Sources } from "../types/sources.ts";

export function environmentOf(options: ArtifactOptions): Environment {
  return options.env ?? process.env;
}

export function limitsOf(options: ArtifactOptions): Limits {
  return { ...DEFAULT_LIMITS, ...options.limits };
}

export function sourcesOf(options: ArtifactOptions): Sources {
  return options.sources ?? NO_SOURCES;
}
