/**
 * What a schema library has to offer so that a policy's settings can be described with it: the part of Standard Schema 1 that is used
 * (https://standardschema.dev). valibot, zod and ArkType have it.
 */

/** One thing that is wrong with settings. */
export interface SchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where, from the outermost member to the innermost. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a schema says of a value. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** A schema of any library that follows Standard Schema. Asynchronous ones are refused: a policy waits for nothing. */
export interface SettingsSchema<Output = unknown> {
  /** The schema's own members stay out of the way of this one. */
  readonly "~standard": {
    /** The version of the standard. */
    readonly version: 1;
    /** Who made the schema. */
    readonly vendor: string;
    /** Checks a value, and gives it with its defaults. */
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    /** For the compiler alone. */
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined;
  };
}

/** The settings that a policy gets, by its schema. */
export type SettingsOf<Schema> = Schema extends SettingsSchema<infer Output> ? Output
  : Readonly<Record<string, unknown>>;
