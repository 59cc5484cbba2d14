/** Policies that the field's own tools write into the field's own registries are read by `reeve`, and the other way round. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listTags } from "../../artifact/mod.ts";
import { cosignOf } from "../artifact/_cosign.ts";
import { digestOf } from "../artifact/_image.ts";
import { REGISTRY_KINDS } from "../artifact/_registry.ts";
import { insecure, listening } from "../artifact/_setting.ts";
import { builtTool, runTool } from "../artifact/_tools.ts";
import { LAYER, onRegistry, ORAS, policy, pushed, type Setting } from "./interoperability.ts";

const HELM = builtTool("helm");

/** Each way to put the policy under a reference. */
const WRITERS: Readonly<Record<string, (at: Setting, reference: string) => Promise<unknown>>> = {
  "reeve push": async ({ reeve }, reference) => {
    const { exit, stderr } = await reeve("push", "policy.wasm", reference);
    assert.is(exit, 0, stderr);
  },
  "oras push": ({ oras }, reference) => oras("push", "--plain-http", reference, `policy.wasm:${LAYER}`),
  "oras push with a configuration, of the time before artifact types": ({ oras, file }, reference) => {
    file("config.json", "{}");
    const config = "config.json:application/vnd.wasm.config.v1+json";
    return oras(
      ...[
        "push",
        "--plain-http",
        "--image-spec",
        "v1.0",
        "--config",
        config,
        reference,
        `policy.wasm:${LAYER}`,
      ],
    );
  },
  "oras push of an artifact type": ({ oras }, reference) =>
    oras(
      ...["push", "--plain-http", "--artifact-type", "application/vnd.wasm.config.v1+json"],
      ...["--annotation", "io.kubewarden.policy.title=p", reference, `policy.wasm:${LAYER}`],
    ),
  "oras manifest index create": async ({ oras }, reference) => {
    await oras(
      "push",
      "--plain-http",
      "--artifact-platform",
      "wasip1/wasm",
      `${reference}-one`,
      `policy.wasm:${LAYER}`,
    );
    await oras("manifest", "index", "create", "--plain-http", reference, "v1-one");
  },
};

for (const kind of REGISTRY_KINDS) {
  const real = onRegistry(kind);

  real(
    "a policy by reeve and by oras, read by both, is the same bytes",
    async (at) => {
      const { reeve, oras, host, cwd } = at;
      for (const [index, [writer, write]] of Object.entries(WRITERS).entries()) {
        const reference = `${host}/tests/written${index}:v1`;
        await write(at, reference);
        const { exit, stderr } = await reeve("pull", reference, "-o", `pulled${index}.wasm`);
        assert.is(exit, 0, `${writer}: ${stderr}`);
        assert.equal(readFileSync(join(cwd, `pulled${index}.wasm`)), policy, writer);
        const { stdout } = await reeve("digest", reference);
        assert.is(
          stdout,
          `${reference}@${(await oras("resolve", "--plain-http", reference)).trim()}\n`,
          writer,
        );

        const blob = `${host}/tests/written${index}@${digestOf(policy)}`;
        await oras("blob", "fetch", "--plain-http", "--output", "blob.wasm", blob);
        assert.equal(readFileSync(join(cwd, "blob.wasm")), policy, writer);
        const copy = `${host}/tests/copied${index}:v1`;
        await oras("cp", "-r", "--from-plain-http", "--to-plain-http", reference, copy);
        assert.is((await reeve("pull", copy, "-o", `copied${index}.wasm`)).exit, 0, writer);
        assert.equal(readFileSync(join(cwd, `copied${index}.wasm`)), policy, writer);
      }
    },
  );

  real("the list of tags is read to its end", async (at) => {
    const { host, oras } = at;
    await pushed(at, "policy.wasm", `${host}/tests/tags:v0`);
    const tags = Array.from({ length: 120 }, (_, index) => `v${index + 1}`);
    await oras("tag", "--plain-http", `${host}/tests/tags:v0`, ...tags);
    const { options } = listening({ sources: insecure(host) });
    assert.equal([...await listTags(`${host}/tests/tags`, options)].sort(), ["v0", ...tags].sort());
  });
}

/** `user:secret`, bcrypt. */
const HTPASSWD = "user:$2b$04$FZCXf7PoyCf0qlOJ.7ZwzOYPqCvpEDT79/57S1puzoMiAJYMb2PV.\n";

/** Who writes credentials into Docker's `config.json`. Each makes an entry of its own kind. */
const LOGINS: Readonly<Record<string, (at: Setting, ...login: readonly string[]) => Promise<unknown>>> = {
  oras: ({ home, host }, ...login) => runTool(ORAS, home, ["login", "--plain-http", ...login, host]),
  "cosign 2": ({ home, host }, ...login) => cosignOf(2, home, "login", ...login, host),
  "cosign 3": ({ home, host }, ...login) => cosignOf(3, home, "login", ...login, host),
  helm: ({ home, host }, ...login) =>
    runTool(HELM, home, ["registry", "login", "--plain-http", ...login, host], {
      HELM_REGISTRY_CONFIG: join(home, ".docker/config.json"),
    }),
};

for (const kind of ["docker-registry 2", "distribution 3"] as const) {
  onRegistry(kind, HELM.binary === undefined ? [HELM.missing] : [], { htpasswd: HTPASSWD })(
    "who logs in with oras, cosign or helm is known to reeve",
    async (at) => {
      const { reeve, host, home, cwd } = at;
      const push = () => reeve("push", "policy.wasm", `${host}/tests/private:v1`);
      const pull = () => reeve("pull", `${host}/tests/private:v1`, "-o", "pulled.wasm");
      for (const [tool, login] of Object.entries(LOGINS)) {
        for (const refused of [await push(), await pull()]) {
          assert.is(refused.exit, 1, tool);
          assert.match(refused.stderr, "Not authorized: url", tool);
          assert.match(
            refused.stderr,
            `${join(home, ".config/containers/auth.json")} is not there: ` +
              `log in with \`docker login ${host}\``,
            tool,
          );
        }
        await login(at, "-u", "user", "-p", "secret");
        const there = await push();
        assert.is(there.exit, 0, `${tool}: ${there.stderr}`);
        const back = await pull();
        assert.is(back.exit, 0, `${tool}: ${back.stderr}`);
        rmSync(join(home, ".docker"), { recursive: true });
        rmSync(join(cwd, "pulled.wasm"));
      }
    },
  );
}

test.run();
