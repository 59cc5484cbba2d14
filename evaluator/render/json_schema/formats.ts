/** The formats that OPA's JSON Schema library checks; all others pass. */
import { BuiltinError } from "../../types/rego.ts";
import { parseTime } from "../go_time_layout.ts";
import { parseUrl, UrlError } from "../go_url.ts";
import { parseAddress } from "../ip_address.ts";
import { compiled } from "../rego_builtins/regex.ts";
import { halt, workOn } from "../work.ts";

const inLayout = (...layouts: readonly string[]) => (text: string) =>
  layouts.some((layout) => parseTime(layout, text) !== undefined);

const RFC3339 = "2006-01-02T15:04:05Z07:00";
const LABEL = "([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]{0,61}[a-zA-Z0-9])";
const HOSTNAME = new RegExp(`^${LABEL}(\\.${LABEL})*$`);
const ATOM = '[^\\s()<>[\\]:;@\\\\,."]+';
const ADDRESS = new RegExp(`^${ATOM}(\\.${ATOM})*@(${ATOM}(\\.${ATOM})*|\\[[^\\]\\\\\\s]*\\])$`, "u");

/** No regular expression here is held against a longer text: some of them repeat groups, for which runtimes need memory. */
const MAX_LENGTH = 64 * 1024;

/** An address alone, or behind a name and in angle brackets. */
function isEmail(text: string): boolean {
  const named = /^(?:"(?:[^"\\]|\\.)*"\s*|[^<>@",;:()[\]\\]*)<([^<>]*)>$/.exec(text.trim());
  return ADDRESS.test((named ? named[1]! : text).trim());
}

function url(text: string): { readonly scheme: string; readonly path: string } | undefined {
  if (text.includes("\\")) return undefined;
  try {
    return parseUrl(text);
  } catch (error) {
    if (error instanceof UrlError) return undefined;
    throw error;
  }
}

function isRegex(text: string): boolean {
  try {
    compiled(text);
    return true;
  } catch (error) {
    if (error instanceof BuiltinError) return false;
    throw error;
  }
}

const isUri = (text: string) => (url(text)?.scheme ?? "") !== "";
const isReference = (text: string) => url(text) !== undefined;

const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  date: inLayout("2006-01-02"),
  time: inLayout("15:04:05Z07:00", "15:04:05"),
  "date-time": inLayout("15:04:05", "15:04:05Z07:00", "2006-01-02", RFC3339),
  hostname: (text) => text.length < 256 && HOSTNAME.test(text),
  email: isEmail,
  "idn-email": isEmail,
  ipv4: (text) => text.includes(".") && parseAddress(text) !== undefined,
  ipv6: (text) => text.includes(":") && parseAddress(text) !== undefined,
  uri: isUri,
  "uri-reference": isReference,
  iri: isUri,
  "iri-reference": isReference,
  "uri-template": (text) => {
    const path = url(text)?.path;
    return path !== undefined && /^[^{]*(\{[^}]*\}[^{]*)*$/.test(path);
  },
  uuid: (text) => /^[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}$/i.test(text),
  regex: isRegex,
  "json-pointer": (text) => /^(?:\/(?:[^~/]|~0|~1)*)*$/.test(text),
  "relative-json-pointer": (text) => /^(?:0|[1-9][0-9]*)(?:#|(?:\/(?:[^~/]|~0|~1)*)*)$/.test(text),
};

/** Whether a text is of a format. */
export function isOfFormat(format: string, text: string): boolean {
  if (Object.hasOwn(FORMATS, format) && text.length > MAX_LENGTH) {
    halt(`json.match_schema: a text of over ${MAX_LENGTH} characters where the format is ${format}`);
  }
  workOn(8 * text.length);
  return !Object.hasOwn(FORMATS, format) || FORMATS[format]!(text);
}
