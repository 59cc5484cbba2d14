/** Kubernetes' named formats in CEL: `format.dns1123Label().validate(text)` lists what is wrong, or is empty. */
import type { Library } from "./library.ts";
import { NONE, Optional } from "./values.ts";

class Format {
  readonly name: string;
  /** What is wrong with a text; nothing when it has the format. */
  readonly check: (text: string) => readonly string[];
  constructor(name: string, check: (text: string) => readonly string[]) {
    this.name = name;
    this.check = check;
  }
}

const LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

function pattern(name: string, expression: string, longest: number, rule: string): Format {
  const whole = new RegExp(`^(?:${expression})$`);
  return new Format(name, (text) => [
    ...(text.length > longest ? [`must be no more than ${longest} bytes`] : []),
    ...(whole.test(text) ? [] : [rule]),
  ]);
}

function labelLike(name: string, prefix: boolean): Format {
  const label = name.startsWith("dns1035") ? "[a-z]([-a-z0-9]*[a-z0-9])?" : LABEL;
  const rule = `a ${name.replace("Prefix", "")} must consist of lower case letters, digits or '-'`;
  return pattern(name, prefix ? `${label}-?` : label, 63, rule);
}

const MAX_QUALIFIED_NAME = 253 + 1 + 63;

const qualifiedName = new Format("qualifiedName", (text) => {
  const parts = text.length > MAX_QUALIFIED_NAME ? [] : text.split("/");
  const [name = "", prefix] = parts.toReversed();
  const wellFormed = parts.length < 3 && name.length < 64 &&
    new RegExp(`^${QUALIFIED}$`).test(name) &&
    (prefix === undefined || prefix.length < 254 && new RegExp(`^${LABEL}(\\.${LABEL})*$`).test(prefix));
  return wellFormed ? [] : ["a qualified name must be a name, perhaps after a DNS subdomain and '/'"];
});

const test = (name: string, rule: string, holds: (text: string) => boolean) =>
  new Format(name, (text) => holds(text) ? [] : [rule]);

const UUID = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const DATE = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

const FORMATS: readonly Format[] = [
  labelLike("dns1123Label", false),
  pattern(
    "dns1123Subdomain",
    `${LABEL}(\\.${LABEL})*`,
    253,
    "a DNS subdomain must consist of labels joined by '.'",
  ),
  labelLike("dns1035Label", false),
  labelLike("dns1123LabelPrefix", true),
  pattern("dns1123SubdomainPrefix", `${LABEL}(\\.${LABEL})*[-.]?`, 253, "the prefix of a DNS subdomain"),
  labelLike("dns1035LabelPrefix", true),
  qualifiedName,
  pattern(
    "labelValue",
    `(${QUALIFIED})?`,
    63,
    "a label's value must consist of letters, digits, '-', '_' or '.'",
  ),
  test("uri", "must be a URI", (text) => URL.canParse(text)),
  test("uuid", "must be a UUID", (text) => UUID.test(text)),
  test("byte", "must be base64", (text) => BASE64.test(text)),
  test("date", "must be a date", (text) => DATE.test(text) && !Number.isNaN(Date.parse(text))),
  test("datetime", "must be a date and time", (text) => TIME.test(text) && !Number.isNaN(Date.parse(text))),
];

const FORMAT = "kubernetes.NamedFormat";
const FUNCTIONS = "kubernetes.Formats";

export const NAMED_FORMATS: Library = {
  types: { [FORMAT]: Format },
  namespaces: { format: FUNCTIONS },
  functions: {
    ...Object.fromEntries(
      FORMATS.map((format) => [`${FUNCTIONS}.${format.name}(): ${FORMAT}`, () => format]),
    ),
    [`${FUNCTIONS}.named(string): optional`]: (_: unknown, name: string) => {
      const format = FORMATS.find((known) => known.name === name);
      return format === undefined ? NONE : new Optional(format);
    },
    [`${FORMAT}.validate(string): optional`]: ({ check }: Format, text: string) => {
      const problems = check(text);
      return problems.length === 0 ? NONE : new Optional(problems);
    },
  },
};
