// CEL conditions as Kubernetes evaluates them: values, functions, and what cannot be evaluated.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { celEnvironment, matchConditions } from "../../audit/apply/match_conditions.ts";
import { compileCondition } from "../../audit/render/cel/conditions.ts";
import { createMeter } from "../../audit/render/cel/meter.ts";
import { celSource } from "../../audit/render/cel/values.ts";
import type { Audited } from "../../audit/types/judgement.ts";
import type { Auditable, Served } from "../../audit/types/policies.ts";

const TEXT = JSON.stringify({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web-1", namespace: "shop", labels: { app: "web", "example.org/tier": "front" } },
  spec: {
    replicas: 3,
    nodeName: null,
    containers: [
      {
        name: "a",
        image: "registry.example.org/a:v1.2.3",
        resources: { limits: { memory: "1Gi", cpu: "500m" } },
      },
      { name: "b", image: "docker.io/b", ports: [{ containerPort: 80 }, { containerPort: 443 }] },
    ],
    hosts: ["10.0.0.1", "2001:db8::1"],
    site: "https://user@example.org:8443/a/b?x=1&x=2&y=",
  },
}).replace('"replicas":3', '"replicas":3,"ratio":1.0,"big":9007199254740993');

const TRUE: readonly string[] = [
  // What conditions are usually about.
  "object.metadata.name == 'web-1'",
  "object.metadata.name.startsWith('web-') && !object.metadata.name.endsWith('-2')",
  "has(object.metadata.labels) && 'app' in object.metadata.labels && object.metadata.labels['app'] == 'web'",
  "!has(object.metadata.annotations)",
  "object.spec.containers.all(c, has(c.image)) && object.spec.containers.exists(c, c.name == 'b')",
  "object.spec.containers.exists_one(c, has(c.ports)) && object.spec.containers.filter(c, has(c.ports)).size() == 1",
  "object.spec.containers.map(c, c.name) == ['a', 'b']",
  "object.?spec.?missing.orValue(7) == 7 && object.spec[?'replicas'].hasValue()",
  "oldObject == null && request.operation == 'CREATE'",
  "request.kind.kind == 'Pod' && request.resource.resource == 'pods' && request.namespace == 'shop'",
  "!(request.userInfo.username.startsWith('system:')) && !('system:nodes' in request.userInfo.groups)",
  "request.userInfo.groups.all(g, g != 'system:masters')",
  "object.spec.missing == 1 || true",
  // Numbers keep their form.
  "object.spec.replicas == 3 && object.spec.replicas + 1 > 3 && type(object.spec.replicas) == int",
  "object.spec.big == 9007199254740993 && type(object.spec.ratio) == double",
  "object.spec.nodeName == null",
  "timestamp('2026-01-01T00:00:00Z') < timestamp('2026-01-02T00:00:00Z') && duration('1h') > duration('59m')",
  "cel.bind(n, object.spec.replicas, n * n == 9)",
  // Lists and sets.
  "[1, 2, 3].sum() == 6 && [3, 1].min() == 1 && [3, 1].max() == 3 && [1, 2].isSorted() && ![2, 1].isSorted()",
  "['a', 'b', 'a'].indexOf('a') == 0 && ['a', 'b', 'a'].lastIndexOf('a') == 2 && ['a'].indexOf('z') == -1",
  "sets.contains([1, 2, 3], [1, 3]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1])",
  // Text and regular expressions.
  "object.metadata.name.matches('^web-[0-9]+$') && matches('abc', 'b')",
  "'(?i)WEB'.size() == 7 && 'Web'.matches('(?i)^web$')",
  "'a1b22'.find('[0-9]+') == '1' && 'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'a1b22'.findAll('[0-9]+', 1) == ['1']",
  "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b' && 'AbC'.lowerAscii() == 'abc'",
  "'abc'.charAt(1) == 'b' && 'abc'.indexOf('c') == 2 && 'abc'.substring(1) == 'bc' && ' a '.trim() == 'a'",
  "'aaa'.replace('a', 'b') == 'bbb' && 'aaa'.replace('a', 'b', 2) == 'bba' && 'abc'.upperAscii() == 'ABC'",
  "'%s has %d of %.2f and 100%%'.format(['web', 3, 1.5]) == 'web has 3 of 1.50 and 100%'",
  // Quantities.
  "quantity(object.spec.containers[0].resources.limits.memory).isGreaterThan(quantity('512Mi'))",
  "quantity('500m').isLessThan(quantity('1')) && quantity('1k') == quantity('1000') && isQuantity('1Gi') && !isQuantity('x')",
  "quantity('1').add(quantity('1')).asInteger() == 2 && quantity('2').sub(1).sign() == 1 && quantity('1').compareTo(quantity('2')) == -1",
  "quantity('0.5').asApproximateFloat() == 0.5 && !quantity('0.5').isInteger()",
  // Networks.
  "object.spec.hosts.all(h, isIP(h)) && ip(object.spec.hosts[0]).family() == 4 && ip(object.spec.hosts[1]).family() == 6",
  "cidr('10.0.0.0/8').containsIP(object.spec.hosts[0]) && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
  "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
  "ip('127.0.0.1').isLoopback() && ip('::1').isLoopback() && !ip('127.0.0.1').isGlobalUnicast() && ip.isCanonical('::1')",
  "string(ip('2001:DB8:0:0:0:0:0:1')) == '2001:db8::1' && !isIP('::ffff:1.2.3.4') && !isIP('01.2.3.4') && isCIDR('::/0')",
  "url(object.spec.site).getHost() == 'example.org:8443' && url(object.spec.site).getScheme() == 'https'",
  "url(object.spec.site).getQuery()['x'] == ['1', '2'] && url(object.spec.site).getPort() == '8443' && isURL('/a') && !isURL('a')",
  // Versions and formats.
  "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0')) && isSemver('1.0.0') && !isSemver('v1')",
  "semver('v1', true) == semver('1.0.0') && semver('1.2.3').minor() == 2",
  "!format.dns1123Label().validate('web-1').hasValue() && format.dns1123Label().validate('Web').hasValue()",
  "format.named('uuid').value().validate('x').hasValue() && !format.named('nothing').hasValue()",
];

const PROBLEMS: readonly (readonly [expression: string, says: RegExp])[] = [
  ["object.spec.missing == 1", /missing/],
  ["object.spec.replicas > 'three'", /overload|no such/i],
  ["object.metadata.name", /neither true nor false/],
  ["1 +", /./],
  ["unheardOf(object)", /unheardOf/],
  ["nobody.home", /nobody/],
  ["authorizer.group('').resource('pods').check('get').allowed()", /no user/],
  ["'x'.matches('(')", /./],
  ["quantity('lots').isInteger()", /quantity/],
  ["object.spec.containers[7].name == 'a'", /./],
  ["object.constructor.name == 'x'", /constructor/],
  ["namespaceObject.metadata.name == 'shop'", /namespaceObject/],
  [`${"!".repeat(40_000)}true`, /longer/],
];

const served: Served = {
  group: "",
  version: "v1",
  kind: "Pod",
  plural: "pods",
  singular: "pod",
  namespaced: true,
  rank: 0,
};
const object: Audited = {
  text: TEXT,
  apiVersion: "v1",
  kind: "Pod",
  name: "web-1",
  namespace: "shop",
  uid: "u",
  resourceVersion: "1",
  labels: {},
};

async function checker(text = TEXT) {
  const conditions = matchConditions();
  const about = { ...object, text };
  const policy = (expressions: readonly string[]) =>
    ({
      id: "p",
      policy: { metadata: { name: "p" } },
      conditions: expressions.map((expression, index) => ({ name: `condition-${index}`, expression })),
    }) as unknown as Auditable;
  await conditions.prepare([policy(["true"])]);
  return (...expressions: readonly string[]) => conditions.check(policy(expressions), about, served);
}

test("what is true of the object matches, and its opposite excludes it", async () => {
  const check = await checker();
  for (const expression of TRUE) {
    assert.equal(check(expression), { kind: "matching" }, expression);
    assert.equal(check(`!(${expression})`), { kind: "excluded" }, `not: ${expression}`);
  }
});

test("what cannot be evaluated is a problem that names the condition and says why", async () => {
  const check = await checker();
  for (const [expression, says] of PROBLEMS) {
    const found = check(expression);
    assert.is(found.kind, "problem", expression.slice(0, 80));
    const { message } = found as { message: string };
    assert.match(message, /^the match condition "condition-0" cannot be evaluated: /);
    assert.match(message, says);
    assert.ok(message.length < 400 && !message.includes("\n"), message);
  }
});

test("a false condition excludes the object, even beside one that cannot be evaluated", async () => {
  const check = await checker();
  assert.is(check("object.spec.missing == 1", "false").kind, "excluded");
  assert.is(check("true", "object.spec.missing == 1").kind, "problem");
  assert.is(check("true", "true").kind, "matching");
  assert.is(check().kind, "matching");
});

test("an expression that would never end is refused, be it by its loops or by its regular expression", async () => {
  const names = JSON.stringify({
    spec: { names: Array.from({ length: 20_000 }, (_, index) => `n${index}`) },
  });
  const check = await checker(names);
  assert.is(check("object.spec.names.all(a, object.spec.names.exists(b, a == b))").kind, "problem");
  assert.is(check("object.spec.names.all(a, a != 'x')").kind, "matching");
  assert.is(check(`'${"a".repeat(5000)}!'.matches('^(a+)+$')`).kind, "excluded");
});

test("an environment serves many expressions", async () => {
  const environment = await celEnvironment();
  const source = celSource(TEXT);
  for (const limit of [1, 2, 3]) {
    const condition = compileCondition(environment, `object.spec.replicas > ${limit}`);
    const meter = createMeter(() => 0);
    assert.equal(condition({ object: source.value }, meter), { kind: "value", value: limit < 3 });
  }
});

test.run();
