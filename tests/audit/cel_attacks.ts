/** Expressions of a hostile tenant, by what they try; also run against older code, which had these faults. */

export type Attack = {
  readonly name: string;
  readonly expressions: readonly string[];
  /** The object; {@link OBJECT} unless told. */
  readonly text?: string;
  /** What the conditions come to: an error, unless told; `any` where it depends on how fast the machine is. */
  readonly outcome?: "matching" | "excluded" | "any";
};

export const OBJECT = '{"kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"b","list":[]}}';

/** A large object: 2,000 names and a text of 200 KB. */
export const LARGE = JSON.stringify({
  data: { large: "a".repeat(200_000) },
  spec: { names: Array.from({ length: 2_000 }, (_, index) => `name-${index}`) },
});
const withData = (data: unknown) => JSON.stringify({ data });

const nested = (times: number, open: (depth: number) => string, body: string, close = ")") =>
  Array.from({ length: times }, (_, depth) => open(depth)).join("") + body + close.repeat(times);
const TEN = "[0,1,2,3,4,5,6,7,8,9]";
const bound = (
  times: number,
  first: string,
  next: (before: string) => string,
  body: (last: string) => string,
) =>
  `cel.bind(v0, ${first}, ${
    nested(times, (depth) => `cel.bind(v${depth + 1}, ${next(`v${depth}`)}, `, body(`v${times}`))
  })`;

const LONG = withData({
  text: "a".repeat(1_000_000),
  list: Array.from({ length: 1_000 }, (_, at) => `${at}`),
});
const MANY = JSON.stringify({
  map: Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`name-${at}`, 1])),
  list: Array.from({ length: 2_000 }, () => 1),
});
const one = (name: string, expression: string, text?: string, outcome?: Attack["outcome"]): Attack => ({
  name,
  expressions: [expression],
  ...(text === undefined ? {} : { text }),
  ...(outcome === undefined ? {} : { outcome }),
});

export const ATTACKS: readonly Attack[] = [
  // Loops.
  one("eight nested all over literals", nested(8, (d) => `${TEN}.all(x${d}, `, "true")),
  one("eight nested exists over literals", nested(8, (d) => `${TEN}.exists(x${d}, `, "false")),
  one("eight nested map over literals", `${nested(8, (d) => `${TEN}.map(x${d}, `, "1")}.size() == 1`),
  one(
    "eight nested filter over literals",
    `${nested(8, (d) => `${TEN}.filter(x${d}, `, "[].size() == 1", ").size() == 0")} || true`,
  ),
  one("eight nested exists_one over literals", nested(8, (d) => `${TEN}.exists_one(x${d}, `, "true")),
  one(
    "loops over a map literal's keys",
    nested(9, (d) => `{0:0,1:1,2:2,3:3,4:4,5:5,6:6,7:7}.all(x${d}, `, "true"),
  ),
  one(
    "loops over what the object holds",
    "object.data.list.all(a, object.data.list.all(b, object.data.list.all(c, true)))",
    LONG,
  ),
  one(
    "loops over a split text",
    "object.data.text.split('').all(a, object.data.text.split('').all(b, a == b))",
    LONG,
  ),
  one("split in map", "object.data.text.split('').map(a, object.data.text.split('')).size() == 1", LONG),
  one(
    "split of a literal in map",
    `'${"a,".repeat(2_000)}'.split(',').map(a, '${"a,".repeat(2_000)}'.split(',').map(b, '${
      "a,".repeat(2_000)
    }'.split(','))).size() == 1`,
  ),
  one("loops that each fail", nested(8, (d) => `${TEN}.all(x${d}, `, "1 / 0 == x0")),
  one(
    "loops with failures in a long expression",
    `${nested(5, (d) => `${TEN}.all(x${d}, `, "1 / 0 == x0")} || '${"x".repeat(30_000)}' == ''`,
  ),
  one("failing operands", nested(7, (d) => `${TEN}.all(x${d}, (1 / 0 == 1 || false) && `, "true")),
  one("loops in cel.bind", `cel.bind(l, ${TEN}, ${nested(8, (d) => `l.all(x${d}, `, "true")})`),
  one("loops with two variables", nested(8, (d) => `${TEN}.all(i${d}, x${d}, `, "true")),
  one(
    "transformList and transformMap",
    `${
      nested(8, (d) => `${TEN}.transformList(i${d}, x${d}, `, "1")
    }.size() == 10 && {'a': 1}.transformMap(k, v, v).size() == 1`,
  ),
  one("loops in optionals", nested(8, (d) => `optional.of(${TEN}).orValue([]).all(x${d}, `, "true")),
  // Large texts.
  one("doubling a text", bound(40, "'aaaaaaaaaa'", (v) => `${v} + ${v}`, (v) => `${v}.contains('b')`)),
  one(
    "doubling a text by join",
    bound(40, "'aaaaaaaaaa'", (v) => `[${v}, ${v}].join('')`, (v) => `${v}.contains('b')`),
  ),
  one(
    "doubling a text by format",
    bound(40, "'aaaaaaaaaa'", (v) => `'%s%s'.format([${v}, ${v}])`, (v) => `${v}.contains('b')`),
  ),
  one(
    "replacing each character by a text",
    bound(8, "'aaaaaaaaaa'", (v) => `${v}.replace('a', ${v})`, (v) => `${v}.size() == 1`),
  ),
  one(
    "replacing nothing by a text",
    bound(8, "'aaaaaaaaaa'", (v) => `${v}.replace('', ${v})`, (v) => `${v}.size() == 1`),
  ),
  one("joining with a long separator", "object.data.list.join(object.data.text).size() == 1", LONG),
  one("join of joins", "object.data.list.map(x, object.data.text + x).join('').size() == 1", LONG),
  one("bytes doubled", bound(40, "b'aaaaaaaaaa'", (v) => `${v} + ${v}`, (v) => `size(${v}) == 1`)),
  one(
    "bytes of a text, again and again",
    "object.data.list.map(x, bytes(object.data.text)).size() == 1",
    LONG,
  ),
  one(
    "a text in upper case, again and again",
    "object.data.list.map(x, (object.data.text + x).upperAscii()).size() == 1",
    LONG,
  ),
  one(
    "a text reversed, again and again",
    "object.data.list.all(x, (object.data.text + x).reverse() != '')",
    LONG,
  ),
  one("charAt, again and again", "object.data.list.all(x, object.data.text.charAt(500000) == 'a')", LONG),
  one(
    "size of a text, again and again",
    "object.data.list.all(x, object.data.list.all(y, object.data.text.size() > 1))",
    LONG,
  ),
  one("format in hexadecimal", "object.data.list.all(x, '%x'.format([object.data.text]) != '')", LONG),
  one(
    "a search that goes through everything",
    "(object.data.text + object.data.text + object.data.text).contains('b' + object.data.text.substring(500000))",
    LONG,
  ),
  one(
    "lastIndexOf that goes through everything",
    "object.data.list.all(x, (object.data.text + object.data.text).lastIndexOf(object.data.text.substring(500000) + 'b') < 0)",
    LONG,
  ),
  // Large lists and maps.
  one("doubling a list", bound(30, TEN, (v) => `${v} + ${v}`, (v) => `${v}.size() == 1`)),
  one(
    "lists that share their parts, compared",
    `${
      bound(40, "[1]", (v) =>
        `[${v}, ${v}]`, (v) =>
        `${v} == ${
          bound(40, "[1]", (w) => `[${w}, ${w}]`, (w) =>
            w).replaceAll("v", "w")
        }`)
    }`,
  ),
  one(
    "lists that share their parts, written",
    bound(40, "['a']", (v) => `[${v}, ${v}]`, (v) => `'%s'.format([${v}]) == ''`),
  ),
  one(
    "maps that share their parts, compared",
    bound(
      30,
      "{'a': 1}",
      (v) => `{'a': ${v}, 'b': ${v}}`,
      (v) =>
        `${v} == ${bound(30, "{'a': 1}", (w) => `{'a': ${w}, 'b': ${w}}`, (w) => w).replaceAll("v", "w")}`,
    ),
  ),
  one(
    "maps as keys, whose type doubles",
    bound(40, "{1: 1}", (v) => `{${v}: ${v}}`, (v) => `size(${v}) == 1`),
  ),
  one(
    "sets of long lists",
    "object.data.list.all(x, sets.contains(object.data.list, object.data.list))",
    LONG,
  ),
  one(
    "sets.intersects of lists with nothing in common",
    "sets.intersects(object.data.text.split(''), object.data.list)",
    LONG,
  ),
  one(
    "sets.equivalent of a split text",
    "sets.equivalent(object.data.text.split(''), object.data.text.split('').map(x, 'b'))",
    LONG,
  ),
  one("in, again and again", "object.data.text.split('').all(x, !('b' in object.data.list))", LONG),
  one("indexOf in lists", "object.data.text.split('').all(x, object.data.list.indexOf('b') < 0)", LONG),
  one(
    "isSorted, min and max of long texts",
    "object.data.list.all(x, object.data.list.map(y, object.data.text + y).isSorted())",
    LONG,
  ),
  one(
    "sum, again and again",
    "object.data.list.all(x, object.data.list.map(y, 1).sum() > 0 && object.data.list.all(z, object.data.list.map(y, 1).sum() > 0))",
    LONG,
  ),
  ...["sort()", "distinct()", "flatten()", "slice(0, 1)", "sortBy(x, x)"].map((call) =>
    one(`${call} of a long list`, `object.data.text.split('').${call}.size() == 1`, LONG)
  ),
  one("lists.range", "lists.range(100000000).size() == 1"),
  // Listing the names of a large object takes milliseconds: it is done once.
  one(
    "the size of a large map, again and again",
    "object.list.all(x, object.map.size() > 0)",
    MANY,
    "matching",
  ),
  one(
    "whether a large map is empty, again and again",
    "object.list.all(x, optional.ofNonZeroValue(object.map).hasValue())",
    MANY,
    "matching",
  ),
  // Regular expressions.
  one(
    "a backtracking pattern",
    "object.data.text.matches('^(a+)+$') && object.data.list.all(x, (object.data.text + x).matches('(a|aa)+$'))",
    LONG,
  ),
  one("a pattern with many repetitions", `'a'.matches('${"a{1000}".repeat(280)}')`),
  one("a repeated group", `'a'.matches('(?:${"abcdefghij".repeat(150)}){1000}')`),
  one("nested repetitions", `'a'.matches('(((((a{9}){9}){9}){9}){9}){9}')`),
  one("a long pattern", `'a'.matches('${"(a|b)".repeat(4_000)}')`),
  one("classes of Unicode", `'a'.matches('(?i)${"\\\\pL".repeat(500)}')`),
  one("classes of Unicode in one class", `'a'.matches('[${"\\\\pL".repeat(600)}]')`),
  one("classes of Unicode in one class, all cases", `'a'.matches('(?i)[${"\\\\pL\\\\PN".repeat(250)}]')`),
  one(
    "classes of Unicode, all cases",
    `'a'.matches('(?i)${"\\\\pL".repeat(300)}') || true`,
    OBJECT,
    "matching",
  ),
  one("a large program on a long text", "object.data.text.matches('(a|b)*a(a|b){500}$')", LONG),
  one(
    "findAll that goes to the end each time",
    "(object.data.text.substring(980000) + 'b').findAll('a.*c|a').size() == 1 || object.data.list.all(x, object.data.text.substring(900000).findAll('a.*c|a').size() > 1)",
    LONG,
  ),
  one(
    "findAll of every character",
    "object.data.list.all(x, object.data.text.findAll('a').size() > 1)",
    LONG,
  ),
  one(
    "a new pattern for each member",
    "object.data.text.split('').all(x, object.data.list.all(y, !x.matches('(b{500}|c{500})' + y)))",
    LONG,
  ),
  // Parsers of values.
  one(
    "a long quantity",
    "quantity(object.data.digits).isInteger()",
    withData({ digits: "1".repeat(2_000_000) }),
  ),
  one(
    "a long fraction",
    "quantity(object.data.digits).isInteger()",
    withData({ digits: `0.${"1".repeat(1_000_000)}` }),
  ),
  one(
    "a long duration",
    "duration(object.data.digits) == duration('1s')",
    withData({ digits: "1".repeat(1_000_000) }),
  ),
  one(
    "a long double",
    "object.data.list.all(x, double(object.data.digits) > 0.0)",
    withData({ digits: "1".repeat(1_000_000), list: Array(1_000).fill(1) }),
  ),
  one(
    "a long version",
    "semver(object.data.digits) == semver('1.0.0')",
    withData({ digits: `1.0.0-${"1".repeat(1_000_000)}` }),
  ),
  one(
    "a long version made whole",
    "semver(object.data.digits, true) == semver('1.0.0')",
    withData({ digits: "0".repeat(1_000_000) }),
  ),
  one(
    "a long URL",
    "url(object.data.url).getHost() == ''",
    withData({ url: `http://${"ü".repeat(500_000)}/` }),
  ),
  one(
    "a long address",
    "ip(object.data.text).isLoopback() || cidr(object.data.text).prefixLength() == 1",
    LONG,
  ),
  one(
    "addresses of many parts",
    "isIP(object.data.a) || isIP(object.data.b) || isCIDR(object.data.a)",
    withData({ a: ":0".repeat(500_000), b: ".1".repeat(500_000) }),
    "excluded",
  ),
  one(
    "formats of long texts",
    "object.data.list.all(x, format.dns1123Subdomain().validate(object.data.text).hasValue() && format.qualifiedName().validate(object.data.text).hasValue())",
    LONG,
  ),
  one(
    "time zones",
    "object.data.list.all(x, object.data.list.all(y, timestamp('2026-01-01T00:00:00Z').getHours('Europe/Berlin') < 24))",
    LONG,
  ),
  one(
    "a whole number of many digits in the object",
    "object.data.n % 7 == 0",
    `{"data":{"n":${"9".repeat(1_000_000)}}}`,
  ),
  one("a whole number of many digits in the expression", `[1, 2, 3].all(x, ${"9".repeat(30_000)} % x == 0)`),
  // The expression itself.
  one("many nots", `${"!".repeat(32_000)}true`),
  one("many minuses", `${"-".repeat(32_000)}1 == 1`),
  one("many parentheses", `${"(".repeat(10_000)}1${")".repeat(10_000)} == 1`),
  one("many list brackets", `${"[".repeat(10_000)}1${"]".repeat(10_000)} == [1]`),
  one("many additions", `${Array(10_000).fill("1").join("+")} == 10000`),
  one("many comparisons", `${Array(8_000).fill("1").join("==")}`),
  one("many conditionals", `${"true?".repeat(4_000)}true${":true".repeat(4_000)}`),
  one("many fields", `object${".a".repeat(10_000)} == 1`),
  one("many operands", Array(5_000).fill("true").join("&&"), OBJECT, "matching"),
  one("a huge expression", `'${"a".repeat(1_000_000)}' == ''`),
  one("control characters in an error", "duration('\\u001b[31m\\u202e') == duration('1s')"),
  one(
    "the authorizer",
    nested(6, (d) => `${TEN}.all(x${d}, `, "authorizer.path('/healthz').check('get').allowed()"),
  ),
  // The object itself.
  one(
    "a deeply nested object",
    "object.data == object.data && object.data[0][0][0].size() == 1",
    `{"data":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
  ),
  {
    name: "64 long conditions",
    expressions: Array.from({ length: 64 }, (_, at) => `${"[1].all(x,true)&&".repeat(1_900)}${at} >= 0`),
    outcome: "any",
  },
  {
    name: "64 conditions, each with much to do",
    expressions: Array.from({ length: 64 }, () => nested(5, (d) => `${TEN}.all(x${d}, `, "true")),
  },
];
