// The text of a kubeconfig: kubectl and we read the same out of the same file, or both refuse. Where we differ, the row says why.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readKubeconfigDocument } from "../../kubernetes/types/kubeconfig.ts";
import { parseKubeconfigText } from "../../kubernetes/types/kubeconfig_text.ts";
import { readUser } from "../../kubernetes/types/kubeconfig_user.ts";
import { HOW_TO_GET_NODE } from "../cluster/binaries/locate.ts";
import { KUBECTL } from "./kubectl.ts";

const folder = mkdtempSync(join(tmpdir(), "portreeve-kubectl-text-"));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const HEAD = "apiVersion: v1\nkind: Config\ncurrent-context: c\n" +
  "contexts:\n- {name: c, context: {cluster: k, user: u}}\nclusters:\n- {name: k, cluster: {server: https://x.test}}\n";
const user = (text: string) => `${HEAD}users:\n- {name: u, user: ${text}}\n`;
const block = (text: string) => `${HEAD}users:\n- name: u\n  user:\n    ${text.replaceAll("\n", "\n    ")}\n`;

/** The user's token and whom he acts as; `refused`; or what ours is where it differs, with the reason. */
type Row = readonly [what: string, text: string, read: string, differs?: string];

const SILENT = "kubectl takes it for a user without fields, in silence";

const ROWS: readonly Row[] = [
  [
    "brackets whose lines stand at the key's column",
    `${HEAD}users: [\n{name: u, user: {token: t}}\n]\n`,
    "t",
  ],
  ["a brace whose lines do", `${HEAD}users:\n- name: u\n  user: {\n  token: t\n  }\n`, "t"],
  ["a brace whose lines stand left of it", `${HEAD}users:\n- name: u\n  user: {\ntoken: t\n}\n`, "t"],
  ["one within the other", `${HEAD}users: [\n{\nname: u,\nuser: {\ntoken: t,\nas: a\n}\n}\n]\n`, "t a"],
  ["a text in quotes", `${HEAD}users: [\n{name: u, user: {token: "a\nb"}}\n]\n`, "a b"],
  ["a text without", `${HEAD}users: [\n{name: u, user: {token: a\nb}}\n]\n`, "a b"],
  ["comments between", `${HEAD}users: [\n# a [\n{name: u, user: {token: t}} # }\n]\n`, "t"],
  ["tabs before them", `${HEAD}users: [\n\t{name: u, user: {token: t}}\n]\n`, "t"],
  [
    "what follows them",
    `${HEAD}x: {\na: b\n}\ny: c\n  d\nusers: [{\nname: u, user: {token: t}}]\nz:\n  a: [\n1]\n  b: >\n    c\n`,
    "t",
  ],
  ["one that is not closed", user("{token: t").replace("}\n", "\n"), "refused"],
  ["the begin of a document within", `${HEAD}users: [\n---\n{name: u}]\n`, "refused"],
  ["tabs that indent", `${HEAD}users:\n- name: u\n  user:\n\t  token: t\n`, "refused"],
  ["lines of a block at other columns", block("token: t").replace(/$/, "   as: x\n"), "refused"],
  ["binary", user("{token: !!binary dG9r}"), "tok"],
  ["binary of several lines", block("token: !!binary |\n  dG\n  9r"), "tok"],
  ["binary that is none", user("{token: !!binary '!!!'}"), "refused"],
  ["binary of nothing", user("{token: !!binary }"), ""],
  ["a number that is said to be a text", user("{token: !!str 123}"), "123"],
  ["a tag of one's own", user("{token: !vault 123}"), "123"],
  ["a date by its tag", user("{token: !!timestamp 2001-12-14}"), "2001-12-14"],
  ["a list of another kind", `${HEAD}users: !!omap\n- {name: u, user: {token: t}}\n`, "t"],
  ["a key that is merged before", `x: &d {token: t}\n${user("{<<: *d, token: u}")}`, "u"],
  ["a key that is merged behind", `x: &d {token: t}\n${user("{token: u, <<: *d}")}`, "t"],
  [
    "a key that is merged behind, from two",
    `x: &d {as: a}\ny: &e {token: t}\n${user("{token: u, <<: [*d, *e]}")}`,
    "t a",
  ],
  ["two maps that are merged", `x: &d {token: t}\ny: &e {token: v}\n${user("{<<: [*d, *e]}")}`, "t"],
  [
    "a merge that has one itself",
    `x: &d {token: t}\ny: &e {<<: *d, as: a}\n${user("{token: u, <<: *e}")}`,
    "t a",
  ],
  ["no blank behind a key in quotes", user('{"token":t}'), "t"],
  ["line ends of old", user("{token: t}").replaceAll("\n", "\r"), "t"],
  ["nothing", user("{token: }"), ""],
  ["no blank", user("{token:s3cret}"), "refused", SILENT],
  ["no blank, and another field", user("{token:s3cret, as: j}"), "refused", SILENT],
  ["a blank that does not break", user("{token:\u00a0s3cret}"), "refused", SILENT],
  ["no value", user("{token}"), "refused", SILENT],
  ["a key alone", user("{s3cret}"), "refused", SILENT],
  ["a set", user("!!set {token}"), "refused", SILENT],
  ["a key that is no name", user("{token: t, s3cret: 1}"), "refused", "kubectl passes unknown fields over"],
  ["a key twice", user("{token: a, token: b}"), "refused", "kubectl takes the last, in silence"],
  ["`<<` twice", `x: &d {as: a}\ny: &e {token: t}\n${user("{<<: *d, <<: *e}")}`, "refused", "said twice"],
  [
    "slashes that are escaped, as in JSON",
    user('{token: "a\\/b"}'),
    "a/b",
    "kubectl reads JSON so, and YAML not",
  ],
];

function theirs(file: string): string {
  const { status, stdout } = spawnSync(KUBECTL, [
    "--kubeconfig",
    file,
    "config",
    "view",
    "--raw",
    "-o",
    "json",
  ], {
    env: { HOME: folder, PATH: process.env["PATH"] },
    encoding: "utf8",
  });
  if (status !== 0) return "refused";
  type View = {
    readonly users: readonly { readonly name: string; readonly user: { token?: string; as?: string } }[];
  };
  const { token, as } = (JSON.parse(stdout) as View).users.find(({ name }) => name === "u")?.user ?? {};
  return [token, as].filter((one) => one !== undefined).join(" ");
}

function ours(text: string, what: string): string {
  try {
    const { users } = readKubeconfigDocument(parseKubeconfigText(text), "config");
    const { token, as } = readUser(users.find(({ name }) => name === "u")!);
    return [token, as].filter((one) => one !== undefined).join(" ");
  } catch (error) {
    assert.not.match((error as Error).message, "s3cret", what);
    return "refused";
  }
}

if (!existsSync(KUBECTL)) test.skip(`what kubectl reads (${HOW_TO_GET_NODE})`, () => {});
else {
  test("what kubectl reads", () => {
    const file = join(folder, "config");
    for (const [what, text, read, differs] of ROWS) {
      writeFileSync(file, text);
      assert.is(ours(text, what), read, what);
      if (differs === undefined) assert.is(theirs(file), read, `${what}, by kubectl`);
      else assert.is.not(theirs(file), read, `${what}: ${differs}`);
    }
  });
}

test.run();
