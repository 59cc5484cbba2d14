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

/** Values and details come from whoever writes the object: of longer ones the beginning is told. */
const MAX_VALUE = 1_000;
const MAX_DETAIL = 8_000;
/** Errors that are told of one object. */
const MAX_ERRORS = 50;

/** The beginning of a text that comes from elsewhere. */
export const clipped = (text: string, limit = MAX_DETAIL) =>
  text.length > limit ? `${text.slice(0, limit)}…` : text;

export function required(field: string, detail?: string): FieldError {
  return {
    reason: "FieldValueRequired",
    field,
    message: detail === undefined ? "Required value" : `Required value: ${detail}`,
  };
}

export function invalid(field: string, value: string | number, detail: string): FieldError {
  const shown = typeof value === "number" ? String(value) : JSON.stringify(clipped(value, MAX_VALUE));
  const message = `Invalid value: ${shown}: ${clipped(detail)}`;
  return { reason: "FieldValueInvalid", field, message };
}

export function forbidden(field: string, detail: string): FieldError {
  return { reason: "FieldValueForbidden", field, message: `Forbidden: ${clipped(detail)}` };
}

export function internal(field: string, detail: string): FieldError {
  return { reason: "InternalError", field, message: `Internal error: ${clipped(detail)}` };
}

/** As many of an object's errors as are told, each once; a last one counts those that are left. */
export function toldErrors(errors: readonly FieldError[]): readonly FieldError[] {
  if (errors.length <= MAX_ERRORS) return errors;
  const told = new Map<string, FieldError>();
  let more = 0;
  for (const error of errors) {
    const text = fieldErrorText(error);
    if (told.has(text)) continue;
    if (told.size < MAX_ERRORS) told.set(text, error);
    else more++;
  }
  return [...told.values(), ...(more === 0 ? [] : [internal("", `there are ${more} more errors`)])];
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
  const texts = [...new Set(toldErrors(errors).map(fieldErrorText))];
  const list = texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`;
  return `${kind}.${group} ${JSON.stringify(name)} is invalid: ${list}`;
}
