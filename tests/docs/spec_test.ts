// The specification is true: what cites it finds it, and flags, variables, metrics, names and messages are those of the code.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { usage as auditUsage } from "../../audit/render/flags.ts";
import { COMMANDS, ROOT_FLAGS } from "../../cli/types/commands.ts";
import type { CommandDescription, Flag } from "../../cli/types/command.ts";
import { OTEL_VARIABLES } from "../../controller/render/environment.ts";
import { FLAGS as CONTROLLER_FLAGS } from "../../controller/render/flags.ts";
import {
  HOST_PORTS_AVAILABLE,
  PODS_RUNNING,
  POLICY_LOADED,
  SERVER_STEPS,
  serverStepFinding,
  WEBHOOKS_CLEANED_UP,
} from "../../controller/render/status.ts";
import { isCapability, parseCapabilities } from "../../evaluator/types/host_capabilities.ts";
import { FLAGS as SERVER_FLAGS } from "../../policy_server/types/flags.ts";
import { LATENCY_BOUNDS_MS } from "../../policy_server/types/metrics.ts";
import { ROOMS } from "../floors.ts";
import {
  chapter,
  CHAPTERS,
  citations,
  codeSpans,
  files,
  hasEntry,
  read,
  withoutComments,
} from "./_chapters.ts";

const PAGES = new Map(CHAPTERS.map((name) => [name, chapter(name)]));
const textOf = (name: string): string => PAGES.get(name)!.text;

/** What explains how to cite holds examples of it. */
const ABOUT_CITING = ["tests/docs/_chapters.ts", "tests/docs/spec_test.ts", "docs/spec/README.md"];

const problemsOf = (path: string, home?: string): readonly string[] => {
  const { found, stray } = citations(read(path), home);
  return [
    ...stray.map((text) => `${path}: no chapter before the section sign: …${text}…`),
    ...found.flatMap(({ chapter: name, section, entries }) => {
      const page = PAGES.get(name);
      if (page === undefined) return [`${path}: docs/spec/${name}.md does not exist`];
      if (section === "") return [];
      const lines = page.sections.get(section);
      if (lines === undefined) return [`${path}: ${name}.md has no section ${section}`];
      return entries.filter((entry) => !hasEntry(lines, entry))
        .map((entry) => `${path}: section ${section} of ${name}.md has no entry ${entry}`);
    }),
  ];
};

test("every citation in code, tests and pages leads to a section, and to an entry of it", () => {
  const citing = files(".", [".ts", ".rs", ".wat", ".yaml", ".tpl", ".toml", ".md", ".sh", ".bats"])
    .filter((path) => !path.startsWith("docs/spec/") && !ABOUT_CITING.includes(path));
  const count = citing.reduce((sum, path) => sum + citations(read(path)).found.length, 0);
  assert.ok(count > 300, `${count} citations`);
  assert.equal(citing.flatMap((path) => problemsOf(path)), []);
});

test("chapters cite each other and themselves rightly", () => {
  assert.equal(CHAPTERS.flatMap((name) => problemsOf(`docs/spec/${name}.md`, name)), []);
});

test("citations that lead nowhere are found", () => {
  const stray = (text: string) => citations(text).stray.length;
  assert.is(stray("// as in §5.1"), 1);
  assert.is(stray("// RFC 5280 §4.2.1.10, RFC 6125 §6"), 0);
  assert.is(stray("// spec/audit.md §5.1, §8).\n * §9"), 1);
  const found = (text: string) =>
    citations(text).found.filter(({ section }) => section !== "")
      .map(({ chapter, section, entries }) => [chapter, section, ...entries].join(" "));
  assert.equal(found("(`spec/fetch-verify.md §9.4` rule 5, `§9.6` rules 4 and 5)"), [
    "fetch-verify 9.4 5",
    "fetch-verify 9.6 4 5",
  ]);
  assert.equal(found("spec/audit.md §11–§13"), ["audit 11", "audit 13"]);
  assert.equal(found("spec/policy-server.md §1.2 and the fixes of §19 rows 10, 15"), [
    "policy-server 1.2",
    "policy-server 19 10 15",
  ]);
  assert.equal(found("(`spec/evaluator.md §5.8`, sharp edges 12 to 14)"), ["evaluator 5.8"]);
  assert.equal(found("spec/cli.md, sharp edge 22: the text"), ["cli sharp edges 22"]);
  assert.ok(hasEntry(["| 3 | x |", "2. y"], "2") && !hasEntry(["| 30 | x |", "12. y"], "2"));
});

// What people are shown has no numbers of the specification.

const PRODUCT = [
  ...Object.keys(ROOMS).flatMap((room) => files(room, [".ts"])),
  ...files("policies", [".ts"]),
  ...files("package", [".ts"]),
];
/** Pages for people who work on Portreeve. */
const FOR_DEVELOPERS = ["CONTRIBUTING.md", "SECURITY.md", "docs/spec/", "tests/"];
const NUMBERED = /§|\bsharp edges? \d|\bspec\/[a-z-]+\.md/;

test("no text that a user sees has a section sign or the number of a rule", () => {
  const shown = [
    ...PRODUCT.map((path) => [path, withoutComments(read(path))] as const),
    ...files(".", [".md"]).filter((path) => !FOR_DEVELOPERS.some((one) => path.startsWith(one)))
      .map((path) => [path, read(path)] as const),
    ...files("deploy", [".tpl", ".txt", ".yaml", ".json"])
      // Comments of templates, and of values unless they become a line of the READMEs.
      .map((path) =>
        [
          path,
          read(path).replace(/\{\{-? ?\/\*[\s\S]*?\*\/ ?-?\}\}/g, "").replace(/^\s*# (?!-- ).*$/gm, ""),
        ] as const
      ),
  ];
  assert.ok(shown.length > 500, `${shown.length} files`);
  const numbered = shown.flatMap(([path, text]) =>
    text.split("\n").filter((line) => NUMBERED.test(line)).map((line) => `${path}: ${line.trim()}`)
  );
  assert.equal(numbered, []);
  assert.is(withoutComments('a("§"); // §\n/* § */ b("//x", \'/*\');'), 'a("§"); \n b("//x", \'/*\');');
});

// Flags and variables.

/** Rows of the tables of a section, as cells without the ticks. */
const rows = (name: string, section: string): readonly (readonly string[])[] =>
  (PAGES.get(name)!.sections.get(section) ?? []).filter((line) => /^\| `?-/.test(line))
    .map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()));
const spans = (cell: string | undefined): readonly string[] => codeSpans(cell ?? "");
const value = (cell: string | undefined): string => spans(cell)[0] ?? "";

test("policy-server.md has the flags, variables and defaults of the policy server", () => {
  const written = rows("policy-server", "1.2").filter((cells) => !spans(cells[0]).includes("--version")).map(
    (cells) => `${value(cells[0])} ${value(cells[1])} ${value(cells[2])}`.trim(),
  );
  const real = SERVER_FLAGS.map(({ name, variable, defaultText = "" }) =>
    `${name} ${variable} ${defaultText}`.trim()
  );
  assert.equal([...written].sort(), [...real].sort());
});

test("audit.md has the flags, letters and defaults of the audit scanner", () => {
  const written = rows("audit", "2").map((cells) => {
    const preset = value(cells[3]);
    return [value(cells[0]), value(cells[1]), preset === '""' || preset === "false" ? "" : preset].join(" ");
  });
  const real = [...auditUsage().matchAll(/^ {2}(?:(-\w), | {4})(--[\w-]+).*?(?:\(default (\w+)\))?$/gm)].map(
    ([, letter = "", name, preset = ""]) => [name, letter, preset].join(" "),
  );
  assert.ok(real.length > 15);
  assert.equal([...written].sort(), [...real].sort());
});

test("controller.md has the flags, kinds and defaults of the controller", () => {
  const written = rows("controller", "1.1").flatMap((cells) =>
    spans(cells[0]).map((name) => [name, cells[1], value(cells[2])] as const)
  );
  const known = new Map(Object.entries(CONTROLLER_FLAGS).map(([name, flag]) => [`--${name}`, flag]));
  assert.equal(written.map(([name]) => name).sort(), [...known.keys()].sort());
  for (const [name, kind, preset] of written) {
    const flag = known.get(name)!;
    // Those that do nothing have one row.
    if (kind === "") continue;
    assert.is(kind, flag.kind, name);
    assert.is(preset === '""' ? "" : preset, flag.preset, name);
  }
});

/** Every flag of the commands, by its name with the dashes. */
function flagsOf(commands: readonly CommandDescription[]): readonly Flag[] {
  return commands.flatMap(({ flags = [], commands: inner = [] }) => [...flags, ...flagsOf(inner)]);
}
const names = (commands: readonly CommandDescription[], before = ""): readonly string[] =>
  commands.flatMap(({ name, commands: inner = [] }) => [before + name, ...names(inner, `${before}${name} `)]);

/** Portreeve's own, which have pages of their own. */
const OWN_COMMANDS = ["build", "explain", "new", "test"];

test("cli.md has the commands and flags of the command line, and no other", () => {
  const text = textOf("cli");
  const missing = names(COMMANDS).filter((name) =>
    !new RegExp(`\`(?:${name.split(" ").at(-1)})\\b`).test(text)
  );
  assert.equal(missing, []);
  const described = COMMANDS.filter(({ name }) => !OWN_COMMANDS.includes(name));
  const known = new Set([...ROOT_FLAGS, ...flagsOf(COMMANDS)].map(({ name }) => `--${name}`));
  const written = new Set(text.match(/(?<![\w`]-)--[a-z][a-z-]+[a-z]/g) ?? []);
  const needed = [...ROOT_FLAGS, ...flagsOf(described)].map(({ name }) => `--${name}`);
  assert.equal(needed.filter((flag) => !written.has(flag)), []);
  // Of any command, of the example of a usage error, of the scripts for air gaps, and what Helm or VAPs have.
  const others = [
    "--help",
    "--version",
    "--flag",
    "--policies-list",
    "--policies",
    "--registry",
    "--cert",
    "--github",
  ];
  assert.equal([...written].filter((flag) => !known.has(flag) && !others.includes(flag)), []);
});

const code = (rooms: readonly string[]): string =>
  rooms.flatMap((room) => files(room, [".ts"])).map(read).join("\n");
const EVERYWHERE = code(Object.keys(ROOMS));
const matches = (text: string, pattern: RegExp): readonly string[] =>
  [...new Set(text.match(pattern) ?? [])].sort();

test("every environment variable of the chapters is read or set by the code, and the other way round", () => {
  const pattern = /\b(?:KUBEWARDEN|PORTREEVE)_[A-Z_]+[A-Z]\b/g;
  const shown = code(["policy_server", "controller"]);
  for (const name of ["policy-server", "controller", "charts", "crds", "fetch-verify", "evaluator", "e2e"]) {
    const unknown = matches(textOf(name), pattern).filter((variable) => !shown.includes(variable));
    // That it is not set is the point.
    assert.equal(unknown.filter((variable) => variable !== "KUBEWARDEN_METRICS_PORT"), [], name);
  }
  const described = textOf("policy-server") + textOf("controller");
  // One that the program sets for the process that it starts is nobody else's business.
  const undescribed = matches(shown, pattern).filter((variable) => !described.includes(variable));
  assert.equal(undescribed.filter((variable) => variable !== "PORTREEVE_DAEMON"), []);
  const list = textOf("controller").replace(/\n/g, " ");
  const named = /List: `OTEL_EXPORTER_OTLP_` \+ (.*?) \((\d+);/.exec(list)!;
  assert.equal(spans(named[1]).map((name) => `OTEL_EXPORTER_OTLP_${name}`), [...OTEL_VARIABLES]);
  assert.is(Number(named[2]), OTEL_VARIABLES.length);
});

test("metrics have the names and buckets of the code", () => {
  const pattern =
    /\b(?:kubewarden_polic|controller_runtime_|leader_election_|certwatcher_|rest_client_)[a-z_]+[a-z]/g;
  const plain = (name: string) => name.replace(/_bucket$/, "");
  for (const name of ["policy-server", "controller", "audit", "charts", "e2e"]) {
    const unknown = matches(textOf(name), pattern).map(plain).filter((metric) =>
      !EVERYWHERE.includes(metric)
    );
    assert.equal(unknown, [], name);
  }
  const described = textOf("policy-server") + textOf("controller");
  const real = matches(code(["policy_server", "controller", "telemetry"]), /\bkubewarden_polic[a-z_]+[a-z]/g);
  assert.equal(real.filter((metric) => !described.includes(metric)), []);
  assert.ok(textOf("policy-server").includes(`| ${LATENCY_BOUNDS_MS.join(", ")} |`));
});

test("labels, annotations, finalizers and conditions are those of the code", () => {
  const shown = EVERYWHERE + files("deploy/helm/source", [".tpl", ".yaml", ".ts"]).map(read).join("\n");
  // Of the original's, or of somebody else's: the pages say so.
  const others = [
    "kubewarden.io/psa-restricted",
    "kubewarden/tests",
    "kubewarden/policies",
    "kubewarden/store",
    "kubewarden/otel-collector-certs",
    "kubewarden/otel-collector-client-certs",
    "kubewarden.io/test-finalizer",
  ];
  const pattern = /(?<![\w./-])kubewarden(?:\.io)?\/[a-z][a-z-]+[a-z]\b(?![\w/-])/g;
  for (const [name, { text }] of PAGES) {
    const unknown = matches(text, pattern).filter((label) =>
      !shown.includes(label) && !others.includes(label)
    );
    assert.equal(unknown, [], name);
  }
  const all = [...PAGES.values()].map(({ text }) => text).join("\n");
  const real = matches(
    code(["controller", "audit", "crd"]),
    /(?<=")kubewarden(?:\.io)?\/[a-z][a-z-]+[a-z](?=")/g,
  );
  assert.ok(real.length > 10);
  assert.equal(real.filter((label) => !all.includes(label)), []);
  const conditions = [
    ...SERVER_STEPS.map((step) => serverStepFinding(step).type),
    WEBHOOKS_CLEANED_UP,
    HOST_PORTS_AVAILABLE,
    PODS_RUNNING,
    POLICY_LOADED,
  ];
  for (const name of ["controller", "crds"]) {
    assert.equal(conditions.filter((condition) => !textOf(name).includes(`\`${condition}`)), [], name);
  }
});

/** All paths below a prefix, by what the parser says of one that does not exist. */
function capabilitiesBelow(prefix: string): readonly string[] {
  if (isCapability(prefix.slice(0, -1))) return [prefix.slice(0, -1)];
  const options = / are: (.*)$/.exec(String(parseCapabilities([`${prefix}?`])))![1]!;
  return options.split(", ").flatMap((segment) => capabilitiesBelow(`${prefix}${segment}/`));
}

test("host capabilities are those of the code", () => {
  const listed = PAGES.get("policy-server")!.sections.get("10")!.join("\n");
  const known = /Known leaves: ([^.]*)\./.exec(listed)![1]!;
  assert.equal([...spans(known)].sort(), [...capabilitiesBelow("")].sort());
  const paths = /(?<=`)(?:oci|net|crypto|kubernetes)\/[a-z0-9_/]+[a-z](?=[`"])/g;
  // Of a pattern that is refused.
  const wrong = ["oci/v99/verify", "oci/v1/x"];
  for (const name of ["evaluator", "policy-server", "fetch-verify", "cli"]) {
    const unknown = matches(textOf(name), paths).filter((path) =>
      !isCapability(path) && !wrong.includes(path)
    );
    assert.equal(unknown, [], name);
  }
});

// Messages.

/** Literal parts of a message of a chapter: what stands between its placeholders. */
function literals(span: string): readonly string[] {
  // Command lines are no messages.
  if (/(?:^| )--?[a-zA-Z]/.test(span)) return [];
  return span.split(/\{[^}]*\}|<[^>]*>|…|\.\.\.|\[[^\]]*\]|\\?\||["`]|(?:^|[\s(])[NMXPLS](?=[\s):,.]|$)|: /)
    .map((part) => part.replace(/^[\s:,.;(]+|[\s:,.;(]+$/g, ""))
    .filter((part) => part.split(/\s+/).length >= 3 && /^[A-Za-z' ,./()-]+$/.test(part));
}

/**
 * Whether a message is in the code: as it is, or more than half of it as one string that others go on from, or that goes on with
 * a value.
 */
function isIn(source: string, message: string): boolean {
  if (source.includes(message)) return true;
  const ends = [0, ...[...message.matchAll(/ /g)].flatMap(({ index }) => [index, index + 1]), message.length];
  return ends.some((from) =>
    ends.some((to) => {
      if (to - from < message.length / 2) return false;
      const part = message.slice(from, to);
      const before = from === 0 ? [""] : ["}", '"', "`"];
      const behind = to === message.length ? [""] : ["${", '"', "`"];
      return before.some((one) => behind.some((other) => source.includes(one + part + other)));
    })
  );
}

/** Quoted in chapters, and not found as words of the code: who says it, or what it is. */
const NOT_OURS: Readonly<Record<string, string>> = {
  "Could not find function": "TinyGo's guests",
  "Host call failed": "Kubewarden's JavaScript SDK",
  "Privileged container is not allowed": "a policy",
  "Service of type LoadBalancer are not allowed": "a policy",
  "something that does not make sense": "an expression",
  "Error obtaining response over callback channel": "the original",
  "Sigstore PKI file": "the original",
  "Unknown policy execution mode": "the original",
  "Valid values are": "the original",
  "must evaluate to bool but got int": "the API server",
  "extraneous input 'expression'": "the API server",
  "cannot get spec.imagePullSecret": "ours; the field's name is a value",
  "cannot get spec.sigstoreTrustConfig ConfigMap": "ours; the field's name is a value",
  "invalid report-kind 'X'": "ours; X is a value",
  "Policy 'pod-privileged' cannot be verified": "ours; the name is a value",
  "Configuration version annotation (kubewarden/config-version) in deployment":
    "ours; the annotation is a value",
  "Z  INFO span": "the form of a line",
  "schemaVersion, mediaType, config, layers, manifests, subject, artifactType, annotations": "fields",
  "kind, owner, key, annotations": "fields",
  "mediaType, digest, size, urls, annotations, artifactType": "fields",
  "kubectl rollout restart": "a command",
  "mediaType, digest, size, platform": "fields",
  "backgroundAudit failurePolicy matchConditions matchPolicy mode objectSelector policyServer(default":
    "fields",
  ") rules sideEffects timeoutSeconds": "fields",
  "module mutating(default false) settings(default": "fields",
  "expression message policies": "fields",
  "subResource requestKind requestResource requestSubResource name namespace object oldObject dryRun options":
    "fields",
  "image owner repo annotations": "fields",
  "questions-ui.yml questions-ui.yaml questions.yml questions.yaml": "files",
};

test("messages that the chapters quote can be found in the code", () => {
  const scripts = files("deploy/scripts", [".sh"]).map(read).join("\n");
  // Sentences are often put together of several strings.
  const said = PRODUCT.map((path) => withoutComments(read(path))).join("\n");
  const joined = `${said}\n${scripts}`.split("\n").filter((line) => /["'`]|^\s*\+/.test(line)).join("\n")
    .replace(/["'`]\s*\+\s*["'`]/g, "").replace(/\\(["'`])/g, "$1");
  const quoted = ["evaluator", "policy-server", "fetch-verify", "audit", "controller", "crds", "cli"].flatMap(
    (name) => codeSpans(textOf(name)).flatMap((span) => literals(span).map((part) => ({ name, part }))),
  );
  assert.ok(quoted.length > 250, `${quoted.length} parts of messages`);
  const missing = quoted.filter(({ part }) => !Object.hasOwn(NOT_OURS, part) && !isIn(joined, part));
  assert.equal([...new Set(missing.map(({ name, part }) => `${name}.md: ${part}`))], []);
  const parts = new Set(quoted.map(({ part }) => part));
  assert.equal(Object.keys(NOT_OURS).filter((part) => !parts.has(part)), [], "no longer quoted");
  assert.ok(isIn("`error reconciling ${subject}: `", "error reconciling secret"));
  assert.not(isIn("`error reconciling ${subject}: `", "error reconciled secrets at last"));
});

test.run();
