/** Errors about one field of an object, worded as Kubernetes words them (spec/crds.md §8.2). */

/** Why a field is refused; the values are those of `status.details.causes[].reason`. */
export type FieldErrorReason =
  | "FieldValueRequired"
  | "FieldValueInvalid"
  | "FieldValueForbidden"
  | "FieldValueTooMany"
  | "FieldValueDuplicate"
  | "InternalError";

export type FieldError = {
  readonly reason: FieldErrorReason;
  /** Path of the field, such as `spec.rules.operations[0]`. */
  readonly field: string;
  /** Text without the path, such as `Required value: must be non-empty`. */
  readonly message: string;
};

export function required(field: string, detail?: string): FieldError {
  return {
    reason: "FieldValueRequired",
    field,
    message: detail === undefined ? "Required value" : `Required value: ${detail}`,
  };
}

export function invalid(field: string, value: string | number, detail: string): FieldError {
  const shown = typeof value === "number" ? String(value) : JSON.stringify(value);
  return { reason: "FieldValueInvalid", field, message: `Invalid value: ${shown}: ${detail}` };
}

export function forbidden(field: string, detail: string): FieldError {
  return { reason: "FieldValueForbidden", field, message: `Forbidden: ${detail}` };
}

export function internal(field: string, detail: string): FieldError {
  return { reason: "InternalError", field, message: `Internal error: ${detail}` };
}

/** `path: text`, as it appears in messages. */
export function fieldErrorText(error: FieldError): string {
  return `${error.field}: ${error.message}`;
}

/** The sentence that the user sees; identical errors appear once. */
export function invalidMessage(
  kind: string,
  group: string,
  name: string,
  errors: readonly FieldError[],
): string {
  const texts = [...new Set(errors.map(fieldErrorText))];
  const list = texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`;
  return `${kind}.${group} ${JSON.stringify(name)} is invalid: ${list}`;
}
