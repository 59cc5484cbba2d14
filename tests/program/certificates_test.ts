// Files of authorities, as people keep them: a block that is no certificate spoils only itself (Go, `x509.CertPool.AppendCertsFromPEM`).
import { createPrivateKey } from "node:crypto";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { certificatesIn } from "../../program/apply/certificates.ts";
import { createAuthority } from "../cluster/certificates.ts";

const authority = await createAuthority("certificates");
const other = await createAuthority("other");
const block = (content: string, label = "CERTIFICATE") =>
  `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----\n`;
const key = createPrivateKey(authority.key).export({ type: "pkcs8", format: "pem" }).toString();
const ca = `${authority.cert.trimEnd()}\n`;
const second = `${other.cert.trimEnd()}\n`;

/** What the file holds, which of the two certificates are found, and how many blocks are none. */
const FILES: readonly (readonly [string, string, readonly string[], number])[] = [
  ["one", ca, [ca], 0],
  ["two", ca + second, [ca, second], 0],
  ["nothing", "", [], 0],
  ["a block that is none before it", block("AAAA") + ca, [ca], 1],
  ["a block that is none between", ca + block("AAAA") + second, [ca, second], 1],
  ["no base64", block("%%%") + ca, [ca], 1],
  ["an empty block", block("") + ca, [ca], 1],
  ["a block that is cut off", `${second.slice(0, 200)}\n${ca}`, [ca], 1],
  ["a block without its end at the end", ca + second.slice(0, 200), [ca], 1],
  ["a block with headers", block("A: b\n\nAAAA") + ca, [ca], 1],
  ["its key beside it", key + ca, [ca], 0],
  ["a key that says it is a certificate", block(key.replace(/-----.*-----\n/g, "")) + ca, [ca], 1],
  ["text around it", `Certificate:\n  Data: -- x\n${ca}end\n`, [ca], 0],
  ["a byte order mark", `\uFEFF${ca}`, [ca], 0],
  ["line ends of Windows", ca.replaceAll("\n", "\r\n"), [ca], 0],
  ["one line", ca.replaceAll("\n", " "), [ca], 0],
  ["indented", ca.replace(/^/gm, "  "), [ca], 0],
  ["no line end between", ca.trimEnd() + second, [ca, second], 0],
  ["another label", block("AAAA", "X509 CERTIFICATE"), [], 0],
];

test("what a file holds", () => {
  for (const [what, text, certificates, skipped] of FILES) {
    const trimmed = certificates.map((one) => one.trimEnd());
    assert.equal(certificatesIn(text), { certificates: trimmed, skipped }, what);
  }
});

test("what is found is trusted, and nobody else", async () => {
  const issued = await authority.issue({ commonName: "server", dns: ["localhost"] });
  const server = createServer({ cert: issued.cert, key: issued.key }, (_request, response) => response.end());
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const { port } = server.address() as AddressInfo;
  const answered = (trusted: readonly string[]) =>
    new Promise<boolean>((resolve) => {
      const sent = request({ host: "localhost", port, ca: [...trusted], agent: false }, (response) => {
        response.resume();
        resolve(true);
      });
      sent.on("error", () => resolve(false));
      sent.end();
    });
  try {
    for (const [what, text] of FILES) {
      const { certificates } = certificatesIn(text);
      if (certificates.length > 0) assert.ok(await answered(certificates), what);
    }
    assert.not.ok(await answered(certificatesIn(block("AAAA") + second).certificates));
  } finally {
    server.close();
  }
});

test.run();
