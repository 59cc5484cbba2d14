// spec/policy-server.md §11 rule 3, §17 item 11, §19 row 12.
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createLog } from "../../policy_server/apply/log.ts";
import { loadTlsMaterial, type TlsMaterial } from "../../policy_server/apply/tls_material.ts";
import { TlsWatch } from "../../policy_server/serve/tls_watch.ts";
import { type Identity, identity } from "./certificates.ts";

const [first, second, third] = await Promise.all([identity("first"), identity("second"), identity("third")]);

// A watch does not keep the process alive; the tests have to.
const alive = setInterval(() => {}, 1000);
test.after(() => clearInterval(alive));

/** No poll ever comes: what is seen is seen through events or an explicit check. */
const NO_POLL_MS = 1 << 30;

type Scene = {
  readonly folder: string;
  readonly watch: TlsWatch;
  readonly materials: readonly TlsMaterial[];
  /** All log lines so far, without timestamps. */
  log(): string;
  /** Resolves when the log has `text` `times` times. */
  logged(text: string, times?: number): Promise<void>;
};

async function scene(
  prepare: (
    folder: string,
  ) => { readonly certFile: string; readonly keyFile: string; readonly clientCaFiles?: string[] },
  play: (scene: Scene) => Promise<void>,
  { pollMs = NO_POLL_MS, onChange = () => {} }: {
    readonly pollMs?: number;
    readonly onChange?: (material: TlsMaterial) => void;
  } = {},
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "tls-watch-"));
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "text", output: (text) => (lines.push(text), 0) });
  const text = () => {
    log.flush();
    return lines.join("").replace(/^\S+ +/gm, "");
  };
  const paths = { clientCaFiles: [], ...prepare(folder) };
  const materials: TlsMaterial[] = [];
  const watch = new TlsWatch(paths, loadTlsMaterial(paths, log), (material) => {
    onChange(material);
    materials.push(material);
  }, { log, pollMs, settleMs: 20 });
  await watch.check();
  const logged = async (wanted: string, times = 1) => {
    const until = Date.now() + 20_000;
    while (text().split(wanted).length <= times) {
      if (Date.now() > until) throw new Error(`not logged: ${wanted}\n${text()}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    // The line comes before its consequence.
    await watch.check();
  };
  try {
    await play({ folder, watch, materials, log: text, logged });
  } finally {
    watch.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function plain(folder: string) {
  const certFile = join(folder, "cert.pem");
  const keyFile = join(folder, "key.pem");
  writeFileSync(certFile, first.cert);
  writeFileSync(keyFile, first.key);
  return { certFile, keyFile };
}

const CERT = "INFO policy_server::certs: TLS certificate file has been modified\n";
const KEY = "INFO policy_server::certs: TLS key file has been modified\n";
const PAIR = "INFO policy_server::certs: Reloading Server TLS certificates\n";
const CA = "INFO policy_server::certs: TLS client CA file has been modified\n";
const CAS = "INFO policy_server::certs: Reloading client CA certificates\n";
const FAILED = "ERROR policy_server::certs: Failed to reload TLS certificates: ";

test("writing only the certificate keeps the old pair; writing the key then switches", () =>
  scene(plain, async ({ folder, materials, log, logged }) => {
    writeFileSync(join(folder, "cert.pem"), second.cert);
    await logged(CERT);
    assert.is(materials.length, 0);
    writeFileSync(join(folder, "key.pem"), second.key);
    await logged(PAIR);
    assert.equal(materials.map((m) => [m.server.cert, m.clientCas]), [[second.cert, null]]);
    assert.is(log(), CERT + KEY + PAIR);
  }));

test("the key first, the certificate then; and once more", () =>
  scene(plain, async ({ folder, materials, logged }) => {
    for (const [round, next] of [second, third, first].entries()) {
      writeFileSync(join(folder, "key.pem"), next.key);
      await logged(KEY, round + 1);
      assert.is(materials.length, round);
      writeFileSync(join(folder, "cert.pem"), next.cert);
      await logged(PAIR, round + 1);
      assert.is(materials.at(-1)?.server.cert, next.cert);
    }
  }));

test("files replaced by renaming, and rewritten with the same key", () =>
  scene(plain, async ({ folder, materials, logged }) => {
    for (const [name, text] of [["cert.pem", first.cert], ["key.pem", first.key]] as const) {
      writeFileSync(join(folder, "new"), text);
      renameSync(join(folder, "new"), join(folder, name));
    }
    await logged(PAIR);
    assert.is(materials.length, 1);
  }));

/** A volume as the kubelet makes it: files are links through `..data` into a folder that is swapped. */
function volume(folder: string, generation: number, { cert, key }: Identity): void {
  const held = `..2026_${generation}`;
  mkdirSync(join(folder, held));
  writeFileSync(join(folder, held, "tls.crt"), cert);
  writeFileSync(join(folder, held, "tls.key"), key);
  symlinkSync(held, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
  if (generation > 0) rmSync(join(folder, `..2026_${generation - 1}`), { recursive: true });
}

function mounted(folder: string) {
  volume(folder, 0, first);
  for (const name of ["tls.crt", "tls.key"]) symlinkSync(join("..data", name), join(folder, name));
  return { certFile: join(folder, "tls.crt"), keyFile: join(folder, "tls.key") };
}

test("a Kubernetes volume: every rotation is noticed, not only the first", () =>
  scene(mounted, async ({ folder, materials, log, logged }) => {
    for (const [round, next] of [second, third, first, second].entries()) {
      volume(folder, round + 1, next);
      await logged(PAIR, round + 1);
      assert.is(materials.length, round + 1);
      assert.is(materials.at(-1)?.server.cert, next.cert);
    }
    assert.is(log(), (CERT + KEY + PAIR).repeat(4));
  }));

test("a renewal of the certificate with the same key in a Kubernetes volume is taken", () =>
  scene(mounted, async ({ folder, materials, logged }) => {
    volume(folder, 1, first);
    await logged(PAIR);
    assert.is(materials.length, 1);
  }));

test("a change that no event tells is found by the poll", () =>
  scene(
    (folder) => {
      // The files' own folder is replaced as a whole: a watch on it would be left with the old one.
      mkdirSync(join(folder, "tls"));
      return plain(join(folder, "tls"));
    },
    async ({ folder, materials, logged }) => {
      for (const [round, next] of [second, third].entries()) {
        rmSync(join(folder, "tls"), { recursive: true });
        mkdirSync(join(folder, "tls"));
        writeFileSync(join(folder, "tls", "cert.pem"), next.cert);
        writeFileSync(join(folder, "tls", "key.pem"), next.key);
        await logged(PAIR, round + 1);
        assert.is(materials.at(-1)?.server.cert, next.cert);
      }
    },
    { pollMs: 50 },
  ));

test("a pair that doesn't match keeps the old one; writing the wrong file anew is enough", () =>
  scene(plain, async ({ folder, materials, log, logged }) => {
    writeFileSync(join(folder, "cert.pem"), second.cert);
    writeFileSync(join(folder, "key.pem"), third.key);
    await logged(FAILED);
    assert.match(
      log(),
      `${FAILED}the private key in "${join(folder, "key.pem")}" does not belong to the certificate in`,
    );
    assert.is(materials.length, 0);
    writeFileSync(join(folder, "key.pem"), second.key);
    await logged(PAIR, 2);
    assert.equal(materials.map((m) => m.server.cert), [second.cert]);
  }));

test("a listener that refuses the material keeps the old one, and the watch goes on", () => {
  let refuse = true;
  return scene(plain, async ({ folder, materials, logged }) => {
    writeFileSync(join(folder, "cert.pem"), second.cert);
    writeFileSync(join(folder, "key.pem"), second.key);
    await logged(`${FAILED}no such luck\n`);
    assert.is(materials.length, 0);
    refuse = false;
    writeFileSync(join(folder, "key.pem"), second.key);
    await logged(PAIR, 2);
    assert.is(materials.length, 1);
  }, {
    onChange: () => {
      if (refuse) throw new Error("no such luck");
    },
  });
});

test("files that are away for a while are waited for", () =>
  scene(plain, async ({ folder, materials, watch, log, logged }) => {
    unlinkSync(join(folder, "cert.pem"));
    unlinkSync(join(folder, "key.pem"));
    await watch.check();
    assert.is(log(), "");
    writeFileSync(join(folder, "cert.pem"), second.cert);
    writeFileSync(join(folder, "key.pem"), second.key);
    await logged(PAIR);
    assert.is(materials.length, 1);
  }));

test("client CAs: any change reloads all of them and keeps the pair, a faulty one keeps the old set", () =>
  scene(
    (folder) => {
      writeFileSync(join(folder, "ca1.pem"), first.cert);
      writeFileSync(join(folder, "ca2.pem"), second.cert);
      return { ...plain(folder), clientCaFiles: [join(folder, "ca1.pem"), join(folder, "ca2.pem")] };
    },
    async ({ folder, materials, log, logged }) => {
      const pem = (...identities: readonly Identity[]) => identities.map(({ cert }) => cert.trim());
      writeFileSync(join(folder, "ca1.pem"), third.cert);
      await logged(CAS);
      assert.equal(materials.map((m) => m.clientCas?.certificates), [pem(third, second)]);
      assert.is(materials[0]?.server.cert, first.cert);
      writeFileSync(join(folder, "ca2.pem"), first.cert + second.cert);
      await logged(CAS, 2);
      assert.equal(materials[1]?.clientCas?.certificates, pem(third, first, second));
      writeFileSync(join(folder, "ca1.pem"), "");
      writeFileSync(join(folder, "ca2.pem"), "");
      await logged(`${FAILED}Cannot build client verifier: no root trust anchors were provided`);
      const last = materials.at(-1);
      assert.ok((last?.clientCas?.certificates.length ?? 0) > 0);
      writeFileSync(join(folder, "cert.pem"), second.cert);
      writeFileSync(join(folder, "key.pem"), second.key);
      await logged(PAIR);
      assert.is(materials.at(-1)?.server.cert, second.cert);
      assert.is(materials.at(-1)?.clientCas, last?.clientCas);
      assert.match(log(), CA + CAS);
      assert.not.match(log(), "Reloading Server TLS certificates\nINFO policy_server::certs: TLS client CA");
    },
  ));

test("a change between loading and watching is not missed; a closed watch hands nothing on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tls-watch-"));
  const log = createLog({ level: "error", format: "text", output: () => 0 });
  const paths = { ...plain(folder), clientCaFiles: [] };
  const material = loadTlsMaterial(paths, log);
  writeFileSync(paths.certFile, second.cert);
  writeFileSync(paths.keyFile, second.key);
  for (const close of [false, true]) {
    const materials: TlsMaterial[] = [];
    const watch = new TlsWatch(paths, material, (m) => void materials.push(m), { log, settleMs: 20 });
    const checked = watch.check();
    if (close) watch.close();
    await checked;
    assert.is(materials.length, close ? 0 : 1);
    watch.close();
  }
  rmSync(folder, { recursive: true });
});

test.run();
