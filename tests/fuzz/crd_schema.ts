/** Whether the API server would let an object past the schema of its CustomResourceDefinition, as far as our schemas go. */

type Schema = Readonly<Record<string, unknown>>;
type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const own = (value: unknown, name: string): unknown =>
  isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;

function ofType(type: unknown, value: unknown): boolean {
  switch (type) {
    case "object":
      return isObject(value);
    case "array":
      return Array.isArray(value);
    case "string":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
    case "integer":
      return Number.isSafeInteger(value);
    case "number":
      return typeof value === "number";
    default:
      return true;
  }
}

/** Whether `value` fits; unknown members of objects are pruned by the API server, so {@link pruned} comes first. */
export function fits(schema: Schema, value: unknown): boolean {
  if (value === null && schema["nullable"] === true) return true;
  if (schema["x-kubernetes-int-or-string"] === true) {
    return Number.isSafeInteger(value) || typeof value === "string";
  }
  if (!ofType(schema["type"], value)) return false;
  const choices = schema["enum"];
  if (Array.isArray(choices) && !choices.includes(value)) return false;
  if (typeof value === "number") {
    const { minimum = -Infinity, maximum = Infinity, format } = schema as Record<string, number | string>;
    if (value < Number(minimum) || value > Number(maximum)) return false;
    if (format === "int32" && (value | 0) !== value) return false;
  }
  if (Array.isArray(value)) {
    const items = schema["items"];
    return !isObject(items) || value.every((item) => fits(items, item));
  }
  if (!isObject(value)) return true;
  const wanted = schema["required"];
  if (Array.isArray(wanted) && wanted.some((name) => !Object.hasOwn(value, name))) return false;
  return Object.entries(value).every(([name, member]) => {
    const described = own(schema["properties"], name) ?? schema["additionalProperties"];
    return !isObject(described) || fits(described, member);
  });
}

/** The value without members that the schema does not know. */
export function pruned(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = schema["items"];
    return isObject(items) ? value.map((item) => pruned(items, item)) : value;
  }
  if (!isObject(value) || schema["x-kubernetes-preserve-unknown-fields"] === true) return value;
  const properties = schema["properties"], additional = schema["additionalProperties"];
  if (!isObject(properties) && !isObject(additional)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) => {
      const described = own(properties, name) ?? additional;
      return isObject(described) ? [[name, pruned(described, member)] as const] : [];
    }),
  );
}
