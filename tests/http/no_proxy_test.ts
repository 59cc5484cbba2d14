// Which hosts NO_PROXY keeps from the proxy: the answers of Go's `httpproxy` (golang.org/x/net v0.61.0), recorded for port 443 of https,
// what client-go adds to them, and where curl reads otherwise. Through a real proxy and beside kubectl: `tests/kubernetes/kubectl_server_test.ts`.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { exempt } from "../../http/render/no_proxy.ts";
import { isLoopback } from "../../http/types/ip_address.ts";

/** Lists of NO_PROXY, by the host that is asked for. */
type Lists = Readonly<Record<string, readonly string[]>>;

const DIRECT: Lists = {
  "api.test": [
    "api.test",
    "test",
    ".test",
    "*.test",
    "api.test:",
    "api.test:443",
    "API.TEST",
    "*",
    "x,*,y",
    " api.test ",
  ],
  "api.test.": ["api.test."],
  "x.api.test.": ["api.test."],
  "xn--bcher-kva.test": ["bücher.test"],
  "a.xn--bcher-kva.test": [".BÜCHER.test"],
  "10.0.0.1": [
    "10.0.0.1",
    "10.0.0.0/8",
    "10.0.0.0/08",
    "10.0.0.1:443",
    "10.0.0.1:",
    "::ffff:10.0.0.1",
    "::ffff:a00:1",
    "::ffff:10.0.0.0/104",
    "::ffff:0:0/96",
    "0.0.0.0/0",
    "[10.0.0.1]:443",
  ],
  "[::ffff:a00:1]": ["10.0.0.1", "10.0.0.0/8"],
  "[fd00::1]": [
    "fd00::1",
    "FD00:0::1",
    "[fd00::1]:443",
    "[fd00::1]:",
    "fd00::/8",
    "fd00:0:0:0:0:0:0:1",
    "::/0",
    "*",
  ],
};

const PROXIED: Lists = {
  "api.test": [
    ".api.test",
    "api.test.",
    ".",
    ":443",
    "api.test:0443",
    "api.test:80",
    "*api.test",
    "*:443",
    "*.",
    "pi.test",
    "http://api.test",
    "a api.test",
  ],
  "api.test.": ["api.test", ".test"],
  "10.0.0.1": [
    "010.0.0.1",
    "10.0.0.01",
    "10.0.0.0/8:443",
    "10.0.0.1:80",
    "10.0.0.1.",
    ".0.0.1",
    "0.1",
    "10.0.0.1/33",
    "10.0.0.0/",
    "::/0",
    "::ffff:0:0/95",
    "[10.0.0.1]",
  ],
  "[::ffff:a00:1]": ["::/0"],
  "[fd00::1]": [
    "[fd00::1]",
    "[fd00::1]:80",
    "[fd00::]/8",
    "[fd00::/8]",
    "fd00::1%eth0",
    "[fd00::1%eth0]:443",
    "fd00::/8%eth0",
    "fd00::1:443",
    "fd00:0:0:0:0:0:0::1",
    "0.0.0.0/0",
    "fd00::/129",
  ],
};

test("as Go reads it", () => {
  for (const [lists, expected] of [[DIRECT, true], [PROXIED, false]] as const) {
    for (const [host, all] of Object.entries(lists)) {
      for (const list of all) assert.is(exempt(list, host, "443", "go"), expected, `${host} in "${list}"`);
    }
  }
});

test("networks with zeros before their decimals, which client-go reads beside it (`utilnet.NewProxierWithNoProxyCIDR`)", () => {
  assert.is(exempt("010.0.0.0/8", "10.0.0.1", "443", "go"), true);
  assert.is(exempt("010.0.0.0/8", "8.0.0.1", "443", "go"), false);
  assert.is(exempt(" 010.0.0.0/8", "10.0.0.1", "443", "go"), false);
  assert.is(exempt("010.0.0.0/8", "10.0.0.1", "443", "curl"), false);
});

test("where curl reads otherwise", () => {
  const otherwise: readonly (readonly [string, string])[] = [
    ["api.test", ".api.test"],
    ["api.test", "api.test."],
    ["api.test.", "api.test"],
    ["api.test.", ".test"],
    ["10.0.0.1", "[10.0.0.1]"],
    ["[fd00::1]", "[fd00::1]"],
  ];
  for (const [host, list] of otherwise) {
    assert.is(exempt(list, host, "443", "curl"), true, `${host} in "${list}"`);
    assert.is(exempt(list, host, "443", "go"), false, `${host} in "${list}", by Go`);
  }
  for (
    const [host, list] of [["10.0.0.1", "010.0.0.1"], ["8.0.0.1", "010.0.0.1"], ["api.test", "."], [
      "[fd00::1]",
      "fd00::1%eth0",
    ]]
  ) {
    assert.is(exempt(list, host!, "443", "curl"), false, `${host} in "${list}"`);
  }
});

test("which hosts are this machine itself", () => {
  for (const host of ["localhost", "127.0.0.1", "127.255.0.9", "[::1]", "[::ffff:7f00:1]"]) {
    assert.ok(isLoopback(host), host);
  }
  for (
    const host of [
      "127.evil.test",
      "127.0.0.1.evil.test",
      "localhost.evil.test",
      "localhost.",
      "128.0.0.1",
      "[::2]",
      "[::127.0.0.1]",
      "[::ffff:8000:1]",
      "0.0.0.0",
    ]
  ) assert.not.ok(isLoopback(host), host);
});

test.run();
