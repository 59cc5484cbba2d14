// scaffold verification-config (spec/cli.md §16.5).
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inPlace } from "./place.ts";
import { yaml } from "./scaffolded.ts";

test("verification-config: a file that verify takes", () =>
  inPlace(async ({ reeve, file, home }) => {
    const { stdout } = await reeve("scaffold", "verification-config");
    assert.match(stdout, `${home}/.config/kubewarden/verification-config.yml`);
    assert.equal(yaml(stdout), {
      apiVersion: "v1",
      allOf: [{ kind: "githubAction", owner: "kubewarden", repo: null, annotations: null }],
      anyOf: null,
    });
    file("v.yml", stdout);
    // Far enough to see that the file was understood, and no further: the trust root can't be read.
    file("trust.json", "{}");
    const { stderr } = await reeve(
      "verify",
      "--verification-config-path",
      "v.yml",
      "--sigstore-trust-config",
      "trust.json",
      "localhost:1/x",
    );
    assert.match(stderr, "missing trusted_root field");
  }));

test.run();
