/** CEL of matchConditions, as a tenant may write it, asked of an object: always a verdict, in time. */
import { celEnvironment } from "../../../audit/apply/match_conditions.ts";
import { compileCondition, type Environment } from "../../../audit/render/cel/conditions.ts";
import { createMeter } from "../../../audit/render/cel/meter.ts";
import { celSource } from "../../../audit/render/cel/values.ts";
import { Finding } from "../target.ts";
import { textTarget } from "../text_target.ts";

const OBJECT = JSON.stringify({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "n", labels: { a: "b", c: "d" }, uid: "x" },
  spec: {
    containers: Array.from({ length: 8 }, (_, at) => ({ name: `c${at}`, image: "nginx", ports: [1, 2, 3] })),
  },
  text: "a,b,c,d,e,f,g,h".repeat(20),
});
const source = celSource(OBJECT);
const variables = {
  object: source.value,
  oldObject: null,
  request: { operation: "CREATE", userInfo: { username: "", groups: [] }, name: "p", namespace: "n" },
  authorizer: null,
};
let environment: Environment;
/** What a verdict says is one line of a report. */
const MAX_MESSAGE = 4096;

export const target = textTarget({
  name: "cel",
  setUp: async () => {
    environment = await celEnvironment();
  },
  examples: [
    "object.metadata.name == 'p'",
    "!has(object.metadata.labels) || object.metadata.labels.a != 'b'",
    "object.spec.containers.all(c, c.image.startsWith('nginx') && c.ports.exists(p, p > 2))",
    "object.spec.containers.map(c, c.name).filter(n, n.size() > 1).size() < 10",
    "'a,b'.split(',').join('-').upperAscii() == 'A-B'",
    "object.text.split(',').all(a, object.text.split(',').exists(b, b == a))",
    "[1,2,3].all(a, [1,2,3].all(b, [1,2,3].all(c, a + b + c > 0)))",
    "quantity('1Gi').isGreaterThan(quantity('500Mi'))",
    "cidr('10.0.0.0/8').containsIP(ip('10.1.2.3'))",
    "request.userInfo.username.matches('^a+$') ? true : 1.0 / 0.0 > 0.0",
    "timestamp('2020-01-01T00:00:00Z') + duration('1h') > timestamp('2019-01-01T00:00:00Z')",
    "object.?spec.?missing.orValue('x') == 'x'",
    "format.dns1123Label().validate('a').hasValue()",
    "url('https://example.org/a').getHost() == 'example.org' && isURL('x')",
    "{'a': 1, 'b': [1, 2]}.b.sum() == 3 && [3,1].isSorted()",
    "object.text.find('[a-z]+') == 'a' && 'a%sb'.format(['x']) == 'axb'",
    "b'abc' == bytes('abc') && int('1') + 9223372036854775807 > 0",
  ],
  words: [
    "object",
    "object.metadata",
    "object.spec.containers",
    "object.text",
    "oldObject",
    "request",
    ".all(a, ",
    ".exists(b, ",
    ".map(c, ",
    ".filter(d, ",
    ".exists_one(e, ",
    ".split(',')",
    ".split('')",
    ".join('')",
    ".replace('a', 'aaaa')",
    ".matches('(a+)+$')",
    ".findAll('a')",
    ".size()",
    "[1,2,3,4,5,6,7,8]",
    "'aaaaaaaaaaaaaaaaaaaaaaaa'",
    "has(object.a)",
    " && ",
    " || ",
    " == ",
    " + ",
    " in ",
    "!",
    "(",
    ")",
    "? true : false",
    "quantity('1')",
    "ip('::1')",
    "cel.bind(x, 1, x)",
    "dyn(1)",
    "type(1)",
    "9223372036854775807",
    "1u",
    "1.5",
    "r'\\d'",
    "optional.of(1)",
  ],
  // The time that the conditions of one policy have, and some more.
  limitMs: 1_100,
  expected: [],
  read: (text) => {
    const verdict = compileCondition(environment, text)(variables, createMeter(() => performance.now()));
    if (verdict.kind === "problem" && Buffer.byteLength(verdict.message) > MAX_MESSAGE) {
      throw new Finding("long error", "the explanation of a condition is as long as its input");
    }
  },
});
