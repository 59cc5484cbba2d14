/**
 * Writes a changed object with the numbers of the request as they were. JavaScript reads 9007199254740993 as 9007199254740992, and
 * 1.0 as 1: a policy that changes a label would change these, too. What it leaves alone is written as it stood in the request.
 */

import { parseNumbers } from "../../program/types/json_numbers.ts";
import { own } from "../../program/types/own.ts";

/** A number that JavaScript would write in another way, or takes for another one. */
class Inexact {
  readonly value: number;
  readonly source: string;

  constructor(value: number, source: string) {
    this.value = value;
    this.source = source;
  }
}

/** From here on, several integers are one number. */
const isLarge = (value: number) => Math.abs(value) >= 2 ** 53;

/** Whether there may be such a number: a fraction, an exponent, minus zero or sixteen digits. Most requests have none. */
const SUSPICIOUS = /(?:^|[^\w"])-?(?:\d+[.eE]|-0\b|\d{16})/;

const isNode = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !(value instanceof Inexact);

const memberOf = (node: unknown, name: string): unknown =>
  isNode(node) ? own(node as Readonly<Record<string, unknown>>, name) : undefined;

/** What the request holds of such numbers. */
interface Originals {
  /** The objects and arrays that hold some, by what JavaScript writes of them. */
  readonly nodes: Map<string, object>;
  /** The texts of integers that JavaScript can't tell apart, by what it takes them for. */
  readonly large: Map<number, string | undefined>;
}

/** Whether there is an inexact number in `value`; all objects and arrays that have one go to `found`. */
function collect(value: unknown, found: Originals): boolean {
  if (value instanceof Inexact) {
    if (isLarge(value.value)) {
      const known = found.large.get(value.value);
      const same = known === value.source || !found.large.has(value.value);
      found.large.set(value.value, same ? value.source : undefined);
    }
    return true;
  }
  if (!isNode(value)) return false;
  let holds = false;
  for (const member of Object.values(value)) if (collect(member, found)) holds = true;
  if (holds) found.nodes.set(lossy(value), value);
  return holds;
}

/** What JavaScript would write. */
const lossy = (value: unknown): string =>
  JSON.stringify(value, (_name, member: unknown) => member instanceof Inexact ? member.value : member);

function write(value: unknown, original: unknown, found: Originals): string | undefined {
  if (typeof value === "number") {
    if (original instanceof Inexact && Object.is(original.value, value)) return original.source;
    if (isLarge(value) && found.large.has(value)) {
      const source = found.large.get(value);
      if (source === undefined) {
        throw new RangeError(
          `a number near ${value} was moved, and the request has several that JavaScript can't tell apart`,
        );
      }
      return source;
    }
    return JSON.stringify(value);
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const node = value as { readonly toJSON?: unknown };
  if (typeof node.toJSON === "function") return JSON.stringify(value);
  // What was moved as a whole is found by what is in it; what was changed in its place, by the place.
  const text = JSON.stringify(value);
  const unchanged = isNode(original) && lossy(original) === text;
  const like = unchanged ? original : found.nodes.get(text) ?? original;
  if (Array.isArray(value)) {
    const items = Array.isArray(like) ? like : [];
    return `[${value.map((item, index) => write(item, items[index], found) ?? "null").join(",")}]`;
  }
  const members: string[] = [];
  for (const [name, member] of Object.entries(value)) {
    const text = write(member, memberOf(like, name), found);
    if (text !== undefined) members.push(`${JSON.stringify(name)}:${text}`);
  }
  return `{${members.join(",")}}`;
}

/** What in `value` JSON can't hold, by its path. */
function unwritable(value: unknown, path: string, above: readonly unknown[]): string | undefined {
  if (typeof value === "bigint") return `${path} is a BigInt`;
  if (typeof value !== "object" || value === null) return undefined;
  if (above.includes(value)) return `${path} stands in itself`;
  for (const [name, member] of Object.entries(value)) {
    const found = unwritable(member, `${path}.${name}`, [...above, value]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What JavaScript writes of an object that is to be sent. */
function plainText(object: unknown): string | undefined {
  try {
    return JSON.stringify(object);
  } catch (error) {
    const fault = unwritable(object, "object", []) ?? (error as Error).message;
    throw new TypeError(`mutate needs what JSON can hold: ${fault}`);
  }
}

/**
 * `object` as JSON. `payload` is the text of the call, of whose request it was made. Throws {@link RangeError} when it can't
 * be told which of two numbers one was, and {@link TypeError} for what JSON can't hold.
 */
export function withExactNumbers(object: unknown, payload: string): string {
  const plain = plainText(object);
  // A Map, a Set and their like would be written as an object without members: everything would be removed.
  if (plain?.[0] !== "{" || (typeof object === "object" && object !== null && Symbol.iterator in object)) {
    throw new TypeError("mutate needs the whole object, as it should be: what it got isn't written as one");
  }
  if (!SUSPICIOUS.test(payload)) return plain;
  const parsed = parseNumbers(payload, (source) => {
    const value = Number(source);
    return isLarge(value) || String(value) !== source ? new Inexact(value, source) : value;
  });
  const request = memberOf(parsed, "request");
  // A raw policy changes the whole of its request.
  const original = memberOf(request, "object") ?? request;
  const found: Originals = { nodes: new Map(), large: new Map() };
  // Circular objects, and what can't be written, were refused above.
  return collect(request, found) ? write(object, original, found)! : plain;
}
