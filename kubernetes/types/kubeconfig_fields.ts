/** The fields of a kubeconfig's entries: each is read as what it must be, and none is passed over. */
import { isObject, type JsonObject } from "../../program/types/json_object.ts";
import { boundedText } from "../../program/types/bounded_text.ts";
import { PortreeveError } from "../../program/types/error.ts";
import { own } from "../../program/types/own.ts";

/** A kubeconfig, or a part of it, can't be used; the message names the place, and never a value that may be a secret. */
export class KubeconfigError extends PortreeveError {
  /** Always this one. */
  override readonly code = "invalid_kubeconfig";
  /** The name of the error. */
  override readonly name = "KubeconfigError";
}

/** The value of a key behind which not even a colon stands, as in `{token}`, or no blank behind the colon, as in `{token:s3cret}`. */
export const NO_VALUE = Symbol("no value");

export function kindOf(value: unknown): string {
  if (value === NO_VALUE) return "a key alone: write a colon, a blank and its value behind it";
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "a map" : `a ${typeof value}`;
}

export function refuse(where: string, expected: string, value: unknown): never {
  throw new KubeconfigError(`${where} must be ${expected}, it is ${kindOf(value)}`);
}

/**
 * What is said of a field that nobody knows. What can't be the name of one is not quoted: it may be a secret, as in `token:s3cret`.
 *
 * @param beside what it stands beside, empty or with a blank before it
 */
export const unsupportedField = (
  [name, value]: readonly [string, unknown],
  where: string,
  beside: string,
  remedy: string,
): string =>
  /^[A-Za-z][A-Za-z-]{0,39}$/.test(name) && value !== NO_VALUE
    ? `${where} has the field "${name}"${beside}, which is not supported here: ${remedy}`
    : `${where} has a key${beside} that is no field of a kubeconfig (it is not shown, as it may be a secret): ` +
      "write a colon and a blank behind each field's name, or remove it";

/** An entry by its kind and name, for messages. */
export const entryName = (kind: "cluster" | "context" | "user", name: string): string =>
  `${kind} "${boundedText(name, 100)}"`;

/** A reader of a map's members, none of which it takes from a prototype, that knows which it was asked for. */
export function readerOf(value: unknown, where: string) {
  if (!isObject(value)) refuse(where, "a map", value);
  const asked = new Set<string>();
  const member = (name: string): unknown => {
    asked.add(name);
    return own(value, name) ?? undefined;
  };
  return {
    member,
    text(name: string): string | undefined {
      const found = member(name);
      if (found === undefined || found === "") return undefined;
      if (typeof found !== "string") refuse(`${where}.${name}`, "a text", found);
      return found;
    },
    flag(name: string): boolean {
      const found = member(name) ?? false;
      if (typeof found !== "boolean") refuse(`${where}.${name}`, "true or false", found);
      return found;
    },
    list(name: string): readonly unknown[] {
      const found = member(name) ?? [];
      if (!Array.isArray(found)) refuse(`${where}.${name}`, "a list", found);
      return found;
    },
    map(name: string): JsonObject {
      const found = member(name) ?? {};
      if (!isObject(found)) refuse(`${where}.${name}`, "a map", found);
      return found;
    },
    /** Refuses what was not asked for. */
    end(): void {
      const unknown = Object.entries(value).find(([name, held]) =>
        !asked.has(name) && (held ?? null) !== null
      );
      if (unknown === undefined) return;
      throw new KubeconfigError(unsupportedField(unknown, where, "", "remove it, or correct its name"));
    },
  };
}

export function texts(values: readonly unknown[], where: string): readonly string[] {
  return values.map((value, index) =>
    typeof value === "string" ? value : refuse(`${where}[${index}]`, "a text", value)
  );
}

/** A field of base64 in one text, wrapped or not; what it holds is never told. */
export function base64(text: string | undefined, where: string): string | undefined {
  if (text === undefined) return undefined;
  const joined = text.replace(/[\r\n]/g, "");
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(joined)) {
    throw new KubeconfigError(
      `${where} is not base64: encode the PEM file, or name the file in the field without "-data"`,
    );
  }
  return joined;
}

/** A named member of a list that is read when it is used: a broken one spoils nothing else. */
export type Named = {
  readonly name: string;
  /** Absent and null are an entry without fields, as they are for kubectl. */
  readonly value: unknown;
  /** What is wrong with the member of the list around it; undefined: nothing. */
  readonly fault?: string | undefined;
  /** The file in which it stands. */
  readonly file: string;
};

/** Data and a file for the same thing, which kubectl refuses. */
export function eitherOf(
  where: string,
  data: string | undefined,
  file: string | undefined,
  field: string,
): void {
  if (data !== undefined && file !== undefined) {
    throw new KubeconfigError(
      `${where} has both ${field} and ${field}-data: kubectl refuses both together, remove one`,
    );
  }
}
