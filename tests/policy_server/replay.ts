/**
 * Recorded answers of the original against a server that runs: what has to agree, and what need not.
 *
 * The status always has to; of an answer with status 200 the JSON with exactly the same members, numbers by value and by
 * integer or float form, and the patch decoded, its operations in the same order. Free are: texts of other statuses, the JSON
 * library's wording of an invalid response, the engine's wording of a trap, and the order of causes.
 */

/** One line of a recording. */
export interface Recording {
  readonly case: string;
  readonly method: string;
  readonly path: string;
  readonly contentType: string | null;
  readonly body: string | null;
  readonly bodyBase64?: string;
  readonly status: number;
  readonly answer: string;
}

/** The bytes that were sent. */
export function bodyOf({ body, bodyBase64 }: Recording): Uint8Array {
  return bodyBase64 === undefined ? new TextEncoder().encode(body ?? "") : Buffer.from(bodyBase64, "base64");
}

/** A number in a form in which equal texts are equal numbers: `1` is not `1.0`, `1.0` is `1.00` and `10e-1`. */
function numberForm(text: string): string {
  const float = /[.eE]/.test(text);
  const [, sign, whole, fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(
    text,
  )!;
  // All digits as an integer times a power of ten, the power as high as it can be.
  const digits = `${whole}${fraction}`.replace(/^0+(?=\d)/, "");
  const trimmed = digits.replace(/0+$/, "");
  if (trimmed === "") return float ? "float 0" : "integer 0";
  const power = Number(exponent) - fraction.length + digits.length - trimmed.length;
  return `${float ? "float" : "integer"} ${sign}${trimmed}e${power}`;
}

/** Parses JSON; every number becomes an object that holds its {@link numberForm}. */
function parse(text: string): unknown {
  return JSON.parse(text, function (_key, value, context?: { source?: string }) {
    return typeof value === "number" ? { number: numberForm(context!.source!) } : value;
  });
}

const INVALID_RESPONSE = "internal server error: invalid response from policy: ";
const CALL_FAILURE = "internal server error: Guest call failure: ";

function messageForm(message: unknown): unknown {
  if (typeof message !== "string") return message;
  if (message.startsWith(INVALID_RESPONSE)) return INVALID_RESPONSE;
  // The original tells the engine's backtrace, this server the trap.
  const trap = /wasm (backtrace|trap)|unreachable/i.test(message);
  return message.startsWith(CALL_FAILURE) && trap ? "trap" : message;
}

type Members = Record<string, unknown>;
const isMembers = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function responseForm(response: Members): Members {
  const form = { ...response };
  if (typeof form["patch"] === "string") {
    const bytes = Buffer.from(form["patch"], "base64");
    if (bytes.toString("base64") !== form["patch"]) throw new Error(`no base64: ${form["patch"]}`);
    form["patch"] = parse(bytes.toString());
  }
  if (isMembers(form["status"])) {
    const status: Members = { ...form["status"] };
    if ("message" in status) status["message"] = messageForm(status["message"]);
    const { details } = status;
    if (isMembers(details) && Array.isArray(details["causes"])) {
      const causes = (details["causes"] as Members[]).map((cause) => ({
        ...cause,
        message: messageForm(cause["message"]),
      }));
      status["details"] = { ...details, causes: causes.map((cause) => canonical(cause)).sort() };
    }
    form["status"] = status;
  }
  return form;
}

/** A value as text, members in the order of their names. */
function canonical(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, inner) =>
      isMembers(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
        : inner,
  );
}

/** An answer as a text that is equal for answers that agree. */
export function comparable(status: number, answer: string): string {
  if (status !== 200) return String(status);
  let value: unknown;
  try {
    value = parse(answer);
  } catch {
    return `200 no JSON: ${answer}`;
  }
  if (isMembers(value) && isMembers(value["response"])) {
    value = { ...value, response: responseForm(value["response"]) };
  }
  return `200 ${canonical(value)}`;
}
