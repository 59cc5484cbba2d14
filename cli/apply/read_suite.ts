/** Reads suite files (`docs/reeve_test.md`). */
import { dirname, resolve } from "node:path";
import { readText } from "../../program/apply/read_text.ts";
import { osErrorText } from "../../program/render/os_error.ts";
import { own } from "../../program/types/own.ts";
import {
  DocumentError,
  type DocumentValue,
  jsonText,
  memberOf,
  requireUniqueKeys,
} from "../../policy_server/types/document.ts";
import type { YamlReading } from "../../policy_server/types/yaml_document.ts";
import { readDocument } from "../../policy_server/types/read_document.ts";
import { readSession, RECORDED_CAPABILITIES } from "../render/exchange.ts";
import { matcherOf } from "../render/expectation.ts";
import { located } from "../render/located.ts";
import { CliError } from "../types/command.ts";
import type { DeclaredAnswer, Suite, SuiteCase, SuiteContext } from "../types/suite.ts";

const SUITE = [
  "policy",
  "definition",
  "executionMode",
  "raw",
  "contextAware",
  "hostCapabilities",
  "settings",
  "context",
  "cases",
];
type Expectable = { readonly kinds: readonly DocumentValue["kind"][]; readonly said: string };
const TEXT: Expectable = {
  kinds: ["string", "null", "map"],
  said: "a text, null, or { contains: TEXT } or { matches: TEXT }",
};
/** What can be expected of a member at all: anything else would fail whatever the policy does, and say so of the policy. */
const EXPECTABLE: Readonly<Record<string, Expectable>> = {
  allowed: { kinds: ["boolean"], said: "true or false" },
  message: TEXT,
  code: { kinds: ["number", "null"], said: "a number or null" },
  patch: { kinds: ["list"], said: "a list, [] where nothing is changed" },
  warnings: { kinds: ["list", "null"], said: "a list or null" },
  auditAnnotations: { kinds: ["map", "null"], said: "a map or null" },
  settingsValid: { kinds: ["boolean"], said: "true or false" },
  settingsMessage: TEXT,
};
const CONTEXT = ["session", "objects", "answers"];
const CASE = ["name", "request", "settings", "context", ...Object.keys(EXPECTABLE)];

/** What is expected of settings; everything else is expected of a verdict. */
export const OF_SETTINGS: readonly string[] = ["settingsValid", "settingsMessage"];

type Fields = ReadonlyMap<string, DocumentValue>;

function fieldsOf(value: DocumentValue, known: readonly string[], where: string): Fields {
  if (value.kind !== "map") throw new CliError(`${where}: expected a map, found ${value.kind}`);
  const unknown = value.entries.find(({ key }) => !known.includes(key));
  if (unknown) {
    throw new CliError(`${where}: unknown member \`${unknown.key}\`, expected one of ${known.join(", ")}`);
  }
  return new Map(value.entries.map((entry) => [entry.key, entry.value]));
}

function textOf(fields: Fields, name: string, where: string): string | undefined {
  const value = fields.get(name);
  if (value === undefined || value.kind === "null") return undefined;
  if (value.kind !== "string") {
    throw new CliError(`${where}: ${name}: expected a string, found ${value.kind}`);
  }
  // As a path it would be the suite's folder.
  if (value.value === "") throw new CliError(`${where}: ${name}: the text is empty`);
  return value.value;
}

function flagOf(fields: Fields, name: string, where: string, preset: boolean): boolean {
  const value = fields.get(name);
  if (value === undefined) return preset;
  if (value.kind !== "boolean") {
    throw new CliError(`${where}: ${name}: expected true or false, found ${value.kind}`);
  }
  return value.value;
}

async function fileText(path: string, where: string): Promise<string> {
  try {
    return await readText(path);
  } catch (error) {
    throw new CliError(`${where}: cannot read ${path}: ${osErrorText(error)}`);
  }
}

function parsed(text: string, path: string, reading?: YamlReading): DocumentValue {
  try {
    const value = requireUniqueKeys(readDocument(text, reading), text);
    if (value === null) throw new CliError(`${path}: the file is empty`);
    return value;
  } catch (error) {
    if (!(error instanceof DocumentError)) throw error;
    throw new CliError(`${path}: ${located(text, error)}`);
  }
}

function answerOf(value: DocumentValue, where: string): DeclaredAnswer {
  const fields = fieldsOf(value, ["call", "with", "answer", "error"], where);
  const call = textOf(fields, "call", where);
  if (call === undefined || !RECORDED_CAPABILITIES.includes(call)) {
    throw new CliError(`${where}: call: expected one of ${RECORDED_CAPABILITIES.join(", ")}`);
  }
  const [answer, error] = [fields.get("answer"), textOf(fields, "error", where)];
  if ((answer === undefined) === (error === undefined)) {
    throw new CliError(`${where}: give either an answer or an error`);
  }
  return {
    call,
    with: fields.get("with"),
    answer: error === undefined ? { payload: jsonText(answer!) } : { error },
  };
}

/** @param applied the same value as `kubectl` reads it: so its objects are meant */
async function contextOf(
  value: DocumentValue | undefined,
  applied: DocumentValue | undefined,
  folder: string,
  where: string,
): Promise<SuiteContext> {
  if (value === undefined) return { kind: "none" };
  const fields = fieldsOf(value, CONTEXT, where);
  const session = textOf(fields, "session", where);
  if (session !== undefined) {
    if (fields.size > 1) throw new CliError(`${where}: a session stands alone: it answers everything`);
    const path = resolve(folder, session);
    return { kind: "session", exchanges: readSession(await fileText(path, where), path) };
  }
  const listOf = (name: string, of: Fields = fields) => {
    const list = of.get(name);
    if (list !== undefined && list.kind !== "list") throw new CliError(`${where}: ${name}: expected a list`);
    return list?.items ?? [];
  };
  return {
    kind: "declared",
    objects: listOf("objects", fieldsOf(applied ?? value, CONTEXT, where)).map(jsonText),
    answers: listOf("answers").map((answer, index) => answerOf(answer, `${where}: answers[${index}]`)),
  };
}

async function requestOf(
  value: DocumentValue | undefined,
  folder: string,
  where: string,
  reading: YamlReading,
): Promise<string | undefined> {
  if (value === undefined) return undefined;
  if (value.kind !== "string") return jsonText(value);
  if (value.value === "") throw new CliError(`${where}: request: the text is empty`);
  const path = resolve(folder, value.value);
  const text = await fileText(path, where);
  return /\.ya?ml$/.test(path) ? jsonText(parsed(text, path, reading)) : text;
}

function requireExpectable(member: string, value: DocumentValue, where: string): void {
  const { kinds, said } = own(EXPECTABLE, member)!;
  const place = `${where}: ${member}: expected ${said}`;
  if (!kinds.includes(value.kind)) throw new CliError(`${place}, found ${value.kind}`);
  if (!kinds.includes("string") || value.kind !== "map" || matcherOf(value) !== undefined) return;
  throw new CliError(`${place}, found ${jsonText(value)}`);
}

/** What a case expects. Refused is what would never be looked at, and so pass whatever the policy does. */
function expectationsOf(given: Fields, where: string): SuiteCase["expectations"] {
  const expectations = new Map([...given].filter(([member]) => Object.hasOwn(EXPECTABLE, member)));
  for (const [member, value] of expectations) {
    if (!given.has("request") && !OF_SETTINGS.includes(member)) {
      throw new CliError(`${where}: ${member} is expected of a request, and there is none`);
    }
    requireExpectable(member, value, where);
    const pattern = memberOf(value, "matches");
    if (pattern?.kind !== "string") continue;
    try {
      new RegExp(pattern.value, "u");
    } catch (error) {
      throw new CliError(`${where}: ${member}: matches: ${(error as Error).message}`);
    }
  }
  return expectations;
}

/** A member of each of a suite's cases. */
function inCases(suite: DocumentValue, member: string): readonly (DocumentValue | undefined)[] {
  const cases = memberOf(suite, "cases");
  return cases?.kind === "list" ? cases.items.map((item) => memberOf(item, member)) : [];
}

/** Reads the suite at `path`. Throws {@link CliError}, which names the place of what is wrong. */
export async function readSuite(path: string): Promise<Suite> {
  const folder = dirname(path);
  const text = await fileText(path, "suite");
  const suite = parsed(text, path);
  const fields = fieldsOf(suite, SUITE, path);
  const raw = flagOf(fields, "raw", path, false);
  // What stands in a request is an object of Kubernetes, and means what it means to kubectl.
  const reading = raw ? "core" : "kubectl";
  const applied = raw ? suite : parsed(text, path, reading);
  const [requests, contexts] = [inCases(applied, "request"), inCases(applied, "context")];
  const items = fields.get("cases");
  if (items?.kind !== "list" || items.items.length === 0) {
    throw new CliError(`${path}: cases: expected a list of cases`);
  }
  const settings = fields.get("settings");
  const common = await contextOf(
    fields.get("context"),
    memberOf(applied, "context"),
    folder,
    `${path}: context`,
  );
  const cases: SuiteCase[] = [];
  for (const [index, item] of items.items.entries()) {
    const place = `${path}: cases[${index}]`;
    const given = fieldsOf(item, CASE, place);
    const name = textOf(given, "name", place);
    if (name === undefined) throw new CliError(`${place}: name is missing`);
    const before = cases.findIndex((one) => one.name === name);
    if (before >= 0) {
      throw new CliError(
        `${place}: the name ${JSON.stringify(name)} is that of cases[${before}] already: rename one of them`,
      );
    }
    const where = `${path}: ${JSON.stringify(name)}`;
    const own = given.get("settings") ?? settings;
    cases.push({
      name,
      request: await requestOf(requests[index], folder, where, reading),
      settings: own === undefined ? undefined : jsonText(own),
      context: given.has("context")
        ? await contextOf(given.get("context"), contexts[index], folder, `${where}: context`)
        : common,
      expectations: expectationsOf(given, where),
    });
  }
  const capabilities = fields.get("hostCapabilities");
  if (capabilities !== undefined && capabilities.kind !== "list") {
    throw new CliError(`${path}: hostCapabilities: expected a list of patterns`);
  }
  return {
    path,
    policy: textOf(fields, "policy", path) ?? "policy.wasm",
    definition: textOf(fields, "definition", path),
    executionMode: textOf(fields, "executionMode", path),
    raw,
    contextAware: flagOf(fields, "contextAware", path, true),
    hostCapabilities: capabilities?.items.map((item) => item.kind === "string" ? item.value : jsonText(item)),
    cases,
  };
}
